"""Images: digests, history, duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.errors import InvalidDigest, RecordsDamaged
from cstore.records.images import IMAGES, digests, with_digest
from cstore.records.model import Image
from cstore.records.rows import LARGE
from cstore.records.table import Location, Table

from .sample_files import put, read, sample

if TYPE_CHECKING:
    from pathlib import Path

A, B, C, D = ("sha256:" + letter * 64 for letter in "abcd")


def images_in(directory: Path, data: bytes, *, degraded: bool = False) -> Table[Image]:
    """Load a table of images from one file with these bytes."""
    return Table.load(IMAGES, {Location.STABLE: put(str(directory / "images.json"), data)}, degraded=degraded)


def test_an_images_digests() -> None:
    """Its own, then that of `manifest`, then those of other keys that start so, sorted; each once; nothing else."""
    image = Image(
        id="i",
        digest=A,
        data_digests={"manifestX": D, "manifest-2": B, "manifest": C, "config": "sha256:" + "e" * 64, "manifest-1": A},
    )

    assert digests(image) == (A, C, B, D)
    assert digests(image.with_(digest="")) == (C, A, B, D)
    assert digests(Image(id="i")) == ()


def test_a_missing_digest_is_frozen_from_the_first_manifest() -> None:
    """Once; a manifest that changes later does not change it."""
    image = Image(id="i", data_digests={"manifest": A, "manifest-1": B})

    frozen = with_digest(image)

    assert frozen.digest == A
    assert with_digest(frozen.with_(data_digests={"manifest": C})).digest == A
    assert with_digest(Image(id="i")) == Image(id="i")


@pytest.mark.parametrize("bad", ["", "sha256:", "nonsense", "sha256:" + "A" * 64, "md5:" + "a" * 32])
def test_bad_digests_under_manifest_keys_are_damage(tmp_path: Path, bad: str) -> None:
    """As with the peer, which does not load such a file; other keys may hold anything."""
    record = b'[{"id":"i","big-data-digests":{"%s":"%s"},"created":"2020-01-01T00:00:00Z"}]'

    assert len(images_in(tmp_path, record % (b"config", bad.encode()))) == 1
    with pytest.raises(RecordsDamaged, match=r"image i: .* is not a digest"):
        images_in(tmp_path, record % (b"manifest", bad.encode()))
    degraded = images_in(tmp_path, record % (b"manifest", bad.encode()), degraded=True)
    assert len(list(degraded)) == len(degraded.flaws) == 1  # found when the record is read
    with pytest.raises(InvalidDigest):
        digests(next(iter(degraded)))


def test_names_leave_a_history(tmp_path: Path) -> None:
    """Every name of the new list is pushed to the front in turn, after a removal too."""
    table = images_in(tmp_path, b'[{"id":"i","names":["c"],"names-history":["c"]}]')

    image = table.assign_names("i", ["x", "a", "c"])

    assert (image.names, image.names_history) == (("x", "a", "c"), ("c", "a", "x"))
    image = table.assign_names("i", ["a"])
    assert (image.names, image.names_history) == (("a",), ("a", "c", "x"))


def test_who_loses_a_name_keeps_its_history(tmp_path: Path) -> None:
    """The sample shows what the peer does: `moved` went from the first image to the second."""
    table = images_in(tmp_path, sample("images.json"))
    first, second = table

    table.assign_names(second.id, [*second.names, first.names[0]])

    loser = table.get(first.id)
    assert loser is not None
    assert loser.names == first.names[1:]
    assert loser.names_history == first.names_history


def test_all_images_of_an_id_are_listed_and_the_last_answers(tmp_path: Path) -> None:
    """Unlike layers and containers. A change is made to the one that answers; a removal takes all."""
    data = b'[{"id":"i","metadata":"1"},{"id":"j"},{"id":"i","metadata":"2"}]'
    table = images_in(tmp_path, data)

    assert [image.metadata for image in table] == ["1", "", "2"]
    assert table.ids() == ["i", "j"]
    assert table.resolve("i") == Image(id="i", metadata="2")
    table.replace(Image(id="i", metadata="3"))
    table.save()
    written = read(str(tmp_path / "images.json"))
    assert written.startswith(b'[{"id":"i","metadata":"1"},{"id":"j"},{"id":"i","metadata":"3"')
    table.remove("i")
    table.save()
    assert read(str(tmp_path / "images.json")) == b'[{"id":"j"}]'


def test_images_of_a_large_file_are_found_without_reading_the_others(tmp_path: Path) -> None:
    """The names of an image stand behind its digest, and there are objects in every record."""
    images = [
        b'{"id":"i%d","digest":"%s","names":["name %d"],"metadata":"{\\"a\\":[{}]}",'
        b'"big-data-sizes":{"manifest":%d},"created":"2020-01-01T00:00:00Z"}' % (number, A.encode(), number, number)
        for number in range(1000)
    ]
    broken = images[500].replace(b'"metadata":"', b'"metadata":7,"other":"')
    content = b"[%s]" % b",".join([*images[:500], broken, *images[501:]])

    table = images_in(tmp_path, content, degraded=True)

    assert len(content) > LARGE
    found = table.named("name 700")
    assert found is not None
    assert found.data_sizes == {"manifest": 700}
    assert table.flaws == []
    assert table.get("i500") is None
    assert len(table.flaws) == 1
