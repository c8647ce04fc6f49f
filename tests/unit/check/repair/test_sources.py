"""Where lost bytes can be had: whatever is given is known by its digests, and told of if it had nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.repair.sources import Sources
from cstore.digests import digest_of
from cstore.errors import SourceUnusable
from cstore.records.model import IDMapEntry, Image, Layer
from tests.builders import compress, make_tar, regular
from tests.unit.check.tables import Tables, read, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAYER = make_tar(regular("f", b"contents"))
CONFIG = b'{"rootfs":{}}'
FIRST, SECOND = (f"sha256:{digit * 64}" for digit in "12")


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """The store that is repaired."""
    return Tables(tmp_path / "own")


def fetched(sources: Sources, diff_id: str) -> bytes | None:
    """The archive of a layer, decompressed by whoever reads it."""
    with sources.layer(diff_id) as fd:
        return None if fd is None else read(f"/proc/self/fd/{fd}")


FORMS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "as it is": (lambda data: data, lambda data: data),
    "compressed": (lambda data: compress(data, "gzip"), lambda data: compress(data, "gzip")),
    "in an image archive": (lambda data: make_tar(regular("x/layer.tar", data)), lambda data: data),
    "in a compressed image archive": (lambda data: compress(make_tar(regular("x", data)), "zstd"), lambda data: data),
}


@pytest.mark.parametrize(("form", "comes"), FORMS.values(), ids=FORMS)
def test_a_layer_is_known_by_the_digest_of_its_archive(
    tables: Tables, tmp_path: Path, form: Callable[[bytes], bytes], comes: Callable[[bytes], bytes]
) -> None:
    """Whatever the file is called, and however it is wrapped."""
    write(str(tmp_path / "given/deep/file"), form(LAYER))
    sources = Sources(tables.context, [str(tmp_path / "given")])

    assert sources.has_layer(digest_of(LAYER))
    assert fetched(sources, digest_of(LAYER)) == comes(LAYER)
    assert not sources.has_layer(FIRST)
    assert fetched(sources, FIRST) is None
    sources.close()


def test_small_files_may_be_documents(tables: Tables, tmp_path: Path) -> None:
    """Alone, or in an archive; bytes that have changed since are not given out."""
    path = str(tmp_path / "config")
    write(path, CONFIG)
    write(str(tmp_path / "archive"), make_tar(regular("x", b"within")))
    sources = Sources(tables.context, [path, str(tmp_path / "archive")])

    assert sources.blob(digest_of(CONFIG)) == CONFIG
    assert sources.blob(digest_of(b"within")) == b"within"
    assert sources.blob(FIRST) is None
    write(path, CONFIG.replace(b"rootfs", b"changd"))
    assert sources.blob(digest_of(CONFIG)) is None


def test_a_member_of_an_archive_that_was_cut_since_is_not_given_out(tables: Tables, tmp_path: Path) -> None:
    """What is left of it would look like a whole file."""
    path = str(tmp_path / "archive")
    write(path, make_tar(regular("layer.tar", LAYER)))
    sources = Sources(tables.context, [path])
    assert sources.has_layer(digest_of(LAYER))
    os.truncate(path, 1000)

    with pytest.raises(SourceUnusable, match="middle of a member"):
        fetched(sources, digest_of(LAYER))


def test_a_source_that_had_nothing_is_told_of(tables: Tables, tmp_path: Path) -> None:
    """If anything was looked for at all."""
    for name, data in (("used", LAYER), ("unused", b"nothing")):
        write(str(tmp_path / name), data)
    sources = Sources(tables.context, [str(tmp_path / "used"), str(tmp_path / "unused")])
    assert sources.unused() == ()

    sources.has_layer(digest_of(LAYER))
    assert sources.unused() == (str(tmp_path / "unused"),)


def test_a_source_that_is_not_there_is_an_error_at_once(tables: Tables, tmp_path: Path) -> None:
    with pytest.raises(SourceUnusable, match="none"):
        Sources(tables.context, [str(tmp_path / "none")])


def test_the_store_itself_is_no_source(tables: Tables, tmp_path: Path) -> None:
    """It has lost what is looked for; a store of another driver in the same root is another store."""
    other = Tables(tmp_path / "own", Layer(id="theirs", diff_digest=FIRST), driver="overlay")
    root = tables.context.layout.graph_root

    assert Sources(tables.context, [root]).has_layer(FIRST)
    assert not Sources(other.context, [root]).has_layer(FIRST)


def test_items_of_another_stores_images_are_known_by_their_digests(tables: Tables, tmp_path: Path) -> None:
    """If they have it: a record may name a digest that its item has lost."""
    records: dict[str, Any] = {"data_names": ("a", "b"), "data_digests": {"a": digest_of(b"value"), "b": FIRST}}
    other = Tables(tmp_path / "other", Image(id="image", **records))
    other.item("image", "image", "a", b"value")
    other.item("image", "image", "b", b"damaged")
    sources = Sources(tables.context, [other.context.layout.graph_root])

    assert sources.blob(digest_of(b"value")) == b"value"
    assert sources.blob(FIRST) is None


def test_layers_like_one_have_its_archive_and_its_owners(tables: Tables, tmp_path: Path) -> None:
    """Or its table of contents; a layer without either is like none."""
    mapped = Layer(id="mapped", diff_digest=FIRST, uid_map=(IDMapEntry(0, 1, 2),), gid_map=(IDMapEntry(0, 1, 2),))
    layers = Layer(id="same", diff_digest=FIRST), Layer(id="toc", toc_digest=SECOND), Layer(id="bare"), mapped
    other = Tables(tmp_path / "other", *layers)
    sources = Sources(tables.context, [other.context.layout.graph_root])

    def like(**record: Any) -> list[str]:
        return [stored.record.id for stored in sources.like(Layer(id="x", **record))]

    assert like(diff_digest=FIRST) == ["same"]
    assert like(toc_digest=SECOND) == ["toc"]
    assert like() == []


def test_a_stored_item_has_that_very_id(tables: Tables, tmp_path: Path) -> None:
    """A name or a prefix that means it elsewhere says nothing of what it is."""
    other = Tables(tmp_path / "other", Layer(id="layer", names=("name",)), Image(id="image", names=("name",)))
    sources = Sources(tables.context, [other.context.layout.graph_root])

    assert [bool(sources.stored_layer(word)) for word in ("layer", "name", "lay")] == [True, False, False]
    assert [bool(sources.stored_image(word)) for word in ("image", "name", "ima")] == [True, False, False]


def test_a_file_of_a_layer_may_be_in_its_archive(tables: Tables, tmp_path: Path) -> None:
    """The archive is opened once, by its DiffID; scratch files go with the sources."""
    write(str(tmp_path / "layer.tar.gz"), compress(LAYER, "gzip"))
    sources = Sources(tables.context, [str(tmp_path / "layer.tar.gz")])

    assert sources.has_content(digest_of(b"contents"), digest_of(LAYER))
    with sources.content("", digest_of(b"contents"), digest_of(LAYER)) as parts:
        assert b"".join(parts) == b"contents"
    assert not sources.has_content(FIRST, digest_of(LAYER))
    with pytest.raises(SourceUnusable), sources.content("", FIRST, ""):
        pass
    sources.close()
    assert os.listdir(tables.context.layout.graph_root).count("tmp") == 0
