"""What bears witness to lost records: directories, items, tar-splits, what engines wrote."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.check.repair.survivors import ExpectedLayer, archive_facts
from cstore.digests import digest_of
from cstore.oci.chain import layer_ids, next_layer_id
from cstore.records.codec import encode
from cstore.records.model import Container, Image, Layer
from cstore.store.places import ItemKind
from tests.builders import digest, directory, regular, whiteout
from tests.unit.check.repair.test_image_files import config, manifest
from tests.unit.check.tables import USER, Tables, facts, identifier, tar, tar_split, unpack, write

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = (f"sha256:{digit * 64}" for digit in "12")


def test_directories_that_no_record_describes(tmp_path: Path) -> None:
    """Whatever a volatile record of the run root describes is not lost."""
    tables = Tables(tmp_path, Layer(id="known"), volatile=[Layer(id="volatile")], trees=["lost", "volatile"])

    assert tables.view().survivors.lost_layers == ["lost"]


def test_images_with_data_or_a_row_in_a_damaged_file(tmp_path: Path) -> None:
    """An empty directory was no image's; a row that tells neither name nor layer is too little."""
    tables = Tables(tmp_path, Image(id="known"))
    tables.item("image", "known", "key", b"")
    tables.item("image", "data", "key", b"")
    os.makedirs(tables.context.layout.image_data("empty"))
    assert tables.view().survivors.lost_images == ["data"]

    rows = Image(id="known"), Image(id="named", names=("n",)), Image(id="bare")
    tables.text(ItemKind.IMAGES, b"[" + b",".join(map(encode, rows)) + b",{")
    broken = tables.view().survivors
    assert "data" in broken.lost_images


def test_containers_with_files_or_a_row_in_a_damaged_file(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Container(id="known"))
    for name in ("known", "files"):
        tables.item("container", name, "key", b"")
    os.makedirs(tables.context.layout.container_data("empty"))

    assert tables.view().survivors.lost_containers == ["files"]


def test_ids_that_an_engine_wrote_most_frequent_first(tmp_path: Path) -> None:
    """In any file of the container, however deep; nothing is read through links, and no monster."""
    one, two, three = (identifier(name) for name in "123")
    tables = Tables(tmp_path)
    tables.item("container", "box", "state", f"{one} {two} {two}".encode())
    folder = tables.context.layout.container_data("box")
    write(os.path.join(folder, "userdata/config.json"), two.encode())
    write(str(tmp_path / "aside"), three.encode() * 9)
    os.symlink(tmp_path / "aside", os.path.join(folder, "link"))
    os.mkfifo(os.path.join(folder, "fifo"))

    assert tables.view().survivors.ids_in_files_of("box") == [two, one]
    assert tables.view().survivors.ids_in_files_of("none") == []


def test_settings_are_the_objects_among_an_engines_files(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    for key, text in (("a", b'{"x":1}'), ("b", b"[1]"), ("c", b"{"), ("d", b'{"y":2}')):
        tables.item("container", "box", key, text)

    assert list(tables.view().survivors.settings_of("box")) == [{"x": 1}, {"y": 2}]


def test_configs_put_layers_upon_each_other_by_their_usual_ids(tmp_path: Path) -> None:
    """With the blob that the manifest names for each; a config alone tells no blobs."""
    raw = config(FIRST, SECOND)
    tables = Tables(tmp_path)
    blobs = {"digest": "sha256:" + "a" * 64, "size": 1}, {"digest": "sha256:" + "b" * 64, "size": 2}
    name = identifier("image")
    tables.item("image", name, digest_of(raw), raw)
    tables.item("image", name, "manifest", manifest(raw, *blobs))

    base, top = layer_ids([FIRST, SECOND])
    survivors = tables.view().survivors
    assert survivors.expected_layers == {
        base: ExpectedLayer(name, "", FIRST, blobs[0]), top: ExpectedLayer(name, base, SECOND, blobs[1]),
    }  # fmt: skip
    assert survivors.blob_of(SECOND) == blobs[1]
    assert survivors.blob_of("sha256:" + "3" * 64) == {}
    assert survivors.names_digest(FIRST)
    assert not survivors.names_digest("sha256:" + "3" * 64)


def test_the_recorded_digest_goes_before_the_archives(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Layer(id="a", diff_digest=FIRST), Layer(id="b"), Layer(id="c"))
    survivors = tables.view(facts={"a": facts(SECOND), "b": facts(SECOND)}).survivors

    assert [survivors.digest_of(layer) for layer in "abc"] == [FIRST, SECOND, ""]


def test_a_layer_of_the_same_archive_on_top_of_another_is_its_copy(tmp_path: Path) -> None:
    """If an image says so, or overlay lays it upon that one and both have the same digest, as no child has."""
    said = Tables(tmp_path / "said", Image(id="image", layer="top", mapped_layers=("copy",)))
    assert said.view().survivors.template_of("copy") == "top"
    assert said.view().survivors.template_of("top") == ""

    layers = Layer(id="top", diff_digest=FIRST), Layer(id="copy", diff_digest=FIRST)
    tables = Tables(tmp_path / "laid", *layers, driver="overlay")
    tables.lay("copy", "top")
    for layer in ("top", "copy"):
        tables.archive(layer, directory("d"))
    assert tables.view().survivors.template_of("copy") == "top"
    assert tables.view().survivors.driver_chain("copy") == ["copy", "top"]

    child = next_layer_id("top", FIRST)
    layers = Layer(id="top", diff_digest=FIRST), Layer(id=child, parent="top", diff_digest=FIRST)
    real = Tables(tmp_path / "child", *layers, driver="overlay")
    real.lay(child, "top")
    for layer in ("top", child):
        real.archive(layer, directory("d"))
    assert real.view().survivors.template_of(child) == ""


def test_a_chain_ends_where_it_repeats(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Layer(id="a", parent="b"), Layer(id="b", parent="a"))

    assert tables.view().survivors.driver_chain("a") == ["a", "b"]


# ── facts of archives ──

CONTENTS = directory("d"), regular("d/f", b"hello"), whiteout("d/gone")


def test_the_archive_of_sound_files(tmp_path: Path) -> None:
    """Digest, length, and the owners of all that is no whiteout."""
    root, split = unpack(str(tmp_path / "root"), *CONTENTS[:2]), str(tmp_path / "split")
    write(split, tar_split(*CONTENTS))

    found = archive_facts(split, [root])
    assert found is not None
    assert (found.digest, found.size, found.problems) == (digest(tar(*CONTENTS)), len(tar(*CONTENTS)), ())
    assert (found.uids, found.gids) == ((USER,), (os.getegid(),))


def test_owners_of_whiteouts_do_not_count(tmp_path: Path) -> None:
    split = str(tmp_path / "split")
    write(split, tar_split(whiteout("gone")))

    found = archive_facts(split, [str(tmp_path)])
    assert found is not None
    assert (found.uids, found.gids) == ((), ())


def test_with_a_file_that_has_changed_there_is_no_digest(tmp_path: Path) -> None:
    """Which one is told; the length is known all the same."""
    root, split = unpack(str(tmp_path / "root"), *CONTENTS[:2]), str(tmp_path / "split")
    write(split, tar_split(*CONTENTS))
    write(os.path.join(root, "d/f"), b"HELLO")

    found = archive_facts(split, [root])
    assert found is not None
    assert (found.digest, found.size) == ("", len(tar(*CONTENTS)))
    assert [problem.name for problem in found.problems] == [b"d/f"]


def test_a_tar_split_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    split = str(tmp_path / "split")
    assert archive_facts(split, [str(tmp_path)]) is None
    write(split, tar_split(*CONTENTS)[:-9])

    assert archive_facts(split, [str(tmp_path)]) is None
