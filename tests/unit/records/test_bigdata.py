"""Data items: their file names with all their oddities, and their files."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.errors import DataItemUnknown, InvalidDataName, SystemFailure
from cstore.records.bigdata import file_name, open_item, read_item, write_item

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("manifest", "manifest"),
        ("config.json", "config.json"),
        ("0.9", "0.9"),
        # A single character that is not plain, at the very end, is overlooked.
        ("A", "A"),
        ("aA", "aA"),
        ("manifestX", "manifestX"),
        ("abcdé", "abcdé"),
        ("é", "é"),
        ("x?", "x?"),
        ("x ", "x "),
        ("x\n", "x\n"),
        ("x😀", "x😀"),
        ("-", "-"),
        # Anywhere else it is not.
        ("AA", "=QUE="),
        ("Aa", "=QWE="),
        ("éa", "=w6lh"),
        ("éé", "=w6nDqQ=="),
        ("lk/é", "=bGsvw6k="),
        ("name with space", "=bmFtZSB3aXRoIHNwYWNl"),
        ("sha256:abc/def key", "=c2hhMjU2OmFiYy9kZWYga2V5"),
        ("weird Key/é", "=d2VpcmQgS2V5L8Op"),
        ("manifest-sha256:00", "=bWFuaWZlc3Qtc2hhMjU2OjAw"),
        ("signature-0", "=c2lnbmF0dXJlLTA="),
        ("zstd-chunked-manifest", "=enN0ZC1jaHVua2VkLW1hbmlmZXN0"),
        ("../x", "=Li4veA=="),
        ("a\0b", "=YQBi"),
        # A slash at the end is lost, in a key and in its Base64.
        ("abc/", "abc"),
        ("???", "=Pz8"),
        # More dots than mean a directory are a name.
        ("...", "..."),
        (".a", ".a"),
        ("..a", "..a"),
    ],
)
def test_file_names(key: str, name: str) -> None:
    """The rule, and what follows from it: old data must be found."""
    assert file_name(key) == name


@pytest.mark.parametrize(
    "key",
    [
        "", ".", "..", "/", "./", "../",
        "a\0", "\0", "a\udcff", "\ud800",
        "x" * 256, "X" * 200, "é" * 127,
        "??????", "aa?????",
    ],
)  # fmt: skip
def test_keys_without_a_file(key: str) -> None:
    """Empty, a directory, a slash or NUL in the name, not Unicode, too long: no such item can exist."""
    with pytest.raises(InvalidDataName):
        file_name(key)


def test_the_callers_directory_is_no_item() -> None:
    """Images and containers may have a `userdata` directory; layers never have."""
    for key in ("userdata", "userdata/"):
        for noun in ("image", "container"):
            with pytest.raises(InvalidDataName, match="belongs to the container engine"):
                file_name(key, noun)
        assert file_name(key, "layer") == "userdata"
    assert file_name("userdatA", "image") == "userdatA"


def test_items_come_back(tmp_path: Path) -> None:
    """The directory is made for the owner alone, the file too, whatever the umask."""
    directory = str(tmp_path / "a" / "id")
    old = os.umask(0)
    try:
        write_item(directory, "weird Key/é", b"\0data" * 100_000)
        write_item(directory, "empty", b"")
    finally:
        os.umask(old)

    assert read_item(directory, "weird Key/é") == b"\0data" * 100_000
    assert read_item(directory, "empty") == b""
    assert sorted(os.listdir(directory)) == ["=d2VpcmQgS2V5L8Op", "empty"]
    assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(os.path.join(directory, "empty")).st_mode) == 0o600


def test_an_item_is_replaced_whole(tmp_path: Path) -> None:
    """Who has the old one open keeps it."""
    directory = str(tmp_path / "id")
    write_item(directory, "k", [b"old ", b"data"])
    fd = open_item(directory, "k")
    try:
        write_item(directory, "k", b"new", sync=False)

        assert os.read(fd, 100) == b"old data"
        assert read_item(directory, "k") == b"new"
    finally:
        os.close(fd)


def test_a_failed_write_leaves_the_old_item(tmp_path: Path) -> None:
    """And no temporary file."""
    directory = str(tmp_path / "id")
    write_item(directory, "k", b"old")

    def broken() -> list[bytes]:
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError, match="the source failed"):
        write_item(directory, "k", (part for _ in range(2) for part in broken()))

    assert read_item(directory, "k") == b"old"
    assert os.listdir(directory) == ["k"]


def test_unknown_items(tmp_path: Path) -> None:
    """The error names owner and key; nothing is made by asking."""
    directory = str(tmp_path / "theid")

    for missing in ("k", "With Capitals"):
        with pytest.raises(DataItemUnknown) as caught:
            read_item(directory, missing, noun="image")
        assert (caught.value.owner, caught.value.key) == ("theid", missing)
        assert caught.value.go_text == (
            f'locating item named "{missing}" for image with ID "theid": file does not exist'
        )
    assert not os.path.exists(directory)


def test_only_regular_files_are_items(tmp_path: Path) -> None:
    """Neither a link out of the directory nor a pipe nor a directory is read or replaced by a file's content."""
    directory = str(tmp_path)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "fifo")

    for key in ("link", "dir", "fifo"):
        with pytest.raises(SystemFailure):
            read_item(directory, key)
    with pytest.raises(InvalidDataName, match="a directory has that name"):
        write_item(directory, "dir", b"x")
    write_item(directory, "link", b"x")
    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert read_item(directory, "link") == b"x"
