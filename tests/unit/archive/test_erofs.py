"""EROFS images are read without a mount; whatever makes no sense in one is told in a sentence."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.archive.composefs import BlobTree
from cstore.archive.erofs import Image
from cstore.errors import ArchiveError, CstoreError
from cstore.layout import is_blob
from tests.builders import composefs_layer

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
MOMENT = 1_700_000_000


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of a composefs layer that the Go tool made."""
    return composefs_layer(str(tmp_path_factory.mktemp("store")))


@pytest.fixture
def image(layer: str) -> str:
    """Its image."""
    return os.path.join(layer, "composefs-data/composefs.blob")


def test_an_image_has_everything_but_contents(image: str) -> None:
    """Types, owners, modes, times, links and sizes; what only hides the contents is passed over by name."""
    with BlobTree(image) as tree:
        assert [name for name, _ in tree.names(b"")] == [b"d", b"e", b"l"]
        small, folder = tree.status(b"d", b"small"), tree.status(b"", b"e")
        big, linked = tree.status(b"d", b"big"), tree.status(b"e", b"hl")

        assert (stat.S_IMODE(small.st_mode), small.st_size, small.st_mtime_ns) == (0o4711, 6, MOMENT * SECOND)
        assert (folder.st_uid, folder.st_gid, stat.S_ISDIR(folder.st_mode)) == (5, 6, True)
        assert (big.st_ino, big.st_nlink, big.st_size) == (linked.st_ino, 2, 100_000)
        assert tree.link(b"", b"l") == b"d/big"
        assert tree.attributes(b"d/big") == {}


def test_contents_are_found_by_what_the_image_says(image: str) -> None:
    """A file is opened by its name; what is no file, or not there, is an error as of a directory."""
    with BlobTree(image) as tree:
        for folder, name, text in ((b"d", b"small", b"small\n"), (b"d", b"empty", b"")):
            fd = tree.open_file(folder, name)
            assert os.read(fd, 100) == text
            os.close(fd)
        for folder, name, error in (
            (b"", b"l", OSError), (b"l", b"x", OSError), (b"", b"00", FileNotFoundError),
            (b"no", b"x", FileNotFoundError),
        ):  # fmt: skip
            with pytest.raises(error):
                tree.open_file(folder, name)


def test_a_cut_image_is_told_of(image: str, tmp_path: Path) -> None:
    """Wherever it ends, somebody who walks all of it gets an ArchiveError, and nothing else."""
    with open(image, "rb") as file:
        data = file.read()
    path = tmp_path / "image"
    for size in (0, 10, 1024, 1100, 1152, 4000, 9000, 12000, 12288):
        path.write_bytes(data[:size])
        with pytest.raises(ArchiveError, match="is damaged"):
            _read_all(str(path))


def test_no_change_of_a_byte_leads_anywhere_else(image: str, tmp_path: Path) -> None:
    """Any byte may be wrong: the image is then read otherwise, or refused in a sentence."""
    with open(image, "rb") as file:
        data = bytearray(file.read())
    path = tmp_path / "image"
    told = []
    for place in range(1024, len(data), 101):
        before = data[place]
        for value in (0xFF, before ^ 1):
            data[place] = value
            path.write_bytes(data)
            try:
                _read_all(str(path))
            except CstoreError as error:
                told.append(error.message)
        data[place] = before
    assert len(told) > 5
    assert all(str(path) in message for message in told)


def test_something_else_is_no_image(tmp_path: Path) -> None:
    """A text, a directory and a FIFO are told of, and none of them is waited for."""
    (tmp_path / "text").write_bytes(b"x" * 5000)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("text", "folder", "fifo"):
        with pytest.raises(CstoreError, match=name):
            Image(str(tmp_path / name))
    assert not is_blob(str(tmp_path / "text"))


def _read_all(path: str) -> None:
    with Image(path) as image:
        for _, node in image.walk():
            image.attributes(node)
            if stat.S_ISLNK(node.mode):
                image.link(node)


def test_a_directory_that_lies_in_itself_ends_every_walk(image: str, tmp_path: Path) -> None:
    """Who lists it level by level comes to no end otherwise."""
    with Image(image) as found:
        nid, names = found.root.nid, found.names(found.root)
    with open(image, "rb") as file:
        data = file.read()
    path = tmp_path / "composefs-data" / "composefs.blob"
    path.parent.mkdir()
    path.write_bytes(data.replace(names[b"d"].to_bytes(8, "little"), nid.to_bytes(8, "little")))

    with BlobTree(str(path)) as tree, pytest.raises(ArchiveError, match="contains itself"):
        tree.names(b"d")
