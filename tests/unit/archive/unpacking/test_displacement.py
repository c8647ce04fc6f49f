"""Archives that say something twice: the tree ends as the last entry wants it, and the archive comes out as it was.

Every call of `unpack` proves the second half, and that no name is in the tar-split twice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.archive.unpacking import displaced
from cstore.errors import EntryFailed
from tests.builders import END, base256, directory, hardlink, make_tree, node, regular, symlink, whiteout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.archive.unpacking.conftest import Unpacker

pytestmark = pytest.mark.usefixtures("needs_root")

LONG = b"long" * 600_000


# ── the same name ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "names", [("f", "f"), ("f", "./f"), ("d/f", "d//f"), ("/f", "f"), ("a/../f", "f"), ("f", "a/../f")]
)
@pytest.mark.parametrize("bodies", [(b"first", b"second"), (b"", b"second"), (b"first", b""), (b"", b""), (LONG, LONG)])
def test_file_twice(unpack: Unpacker, names: tuple[str, str], bodies: tuple[bytes, bytes]) -> None:
    """The second of two files of one name counts."""
    unpacked = unpack(regular(names[0], bodies[0]), regular("between", b"1"), regular(names[1], bodies[1]))

    assert unpacked.read(os.path.normpath(names[1].lstrip("/"))) == bodies[1]


def test_file_many_times(unpack: Unpacker) -> None:
    """Names may come back again and again, as in a log-structured archive."""
    unpacked = unpack(
        *(regular(f"f{n % 3}", b"%d" % n) for n in range(30)), directory("d"), directory("d/"), directory("d")
    )

    assert [unpacked.read(f"f{n}") for n in range(3)] == [b"27", b"28", b"29"]
    assert unpacked.listed() == [b"f0", b"f1", b"f2", b"d/"]


KINDS: dict[str, Any] = {
    "file": regular("x", b"body"),
    "empty": regular("x"),
    "directory": directory("x"),
    "symlink": symlink("x", "elsewhere"),
    "hard link": hardlink("x", "other"),
    "device": node("x", b"3", (1, 3)),
    "fifo": node("x", b"6"),
}


@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("has_lower", [False, True])
def test_any_after_any(unpack: Unpacker, first: str, second: str, has_lower: bool) -> None:
    """Whatever comes second replaces whatever came first; only directories merge."""
    unpacked = unpack(regular("other", b"other"), KINDS[first], KINDS[second], has_lower=has_lower)
    alone = unpack(regular("other", b"other"), KINDS[second])

    assert unpacked.names() == ["other", "x"]
    assert os.lstat(unpacked.path("x")).st_mode == os.lstat(alone.path("x")).st_mode
    assert unpacked.listed() == [b"other", KINDS[second].name] or (first, second) == ("hard link", "hard link")


@pytest.mark.parametrize("has_lower", [False, True])
def test_directory_listed_late(unpack: Unpacker, has_lower: bool) -> None:
    """A directory may be listed after its contents, and again after that."""
    entries = [regular("a/f", b"1"), directory("a"), directory("a/", mode=0o700), directory("./a")]
    unpacked = unpack(*entries, has_lower=has_lower)

    assert unpacked.listed() == [b"a/f", b"./a/"]


@pytest.mark.parametrize("between", [regular("a"), symlink("a", "b"), whiteout("a")])
@pytest.mark.parametrize("has_lower", [False, True])
def test_directory_listed_after_it_was_gone(unpack: Unpacker, between: Any, has_lower: bool) -> None:
    """What was known of a directory that gave way does not hold for the one that takes its place again."""
    unpacked = unpack(regular("a/f"), between, directory("a"), directory("a"), has_lower=has_lower)

    assert unpacked.listed()[-1] == b"a/"


def test_hard_link_to_itself(unpack: Unpacker) -> None:
    """A hard link to its own name changes nothing."""
    unpacked = unpack(regular("f", b"body"), hardlink("f", "f"), hardlink("g", "f"), hardlink("g", "f"))

    assert unpacked.read("f") == b"body"
    assert os.stat(unpacked.path("f")).st_nlink == 2
    assert unpacked.listed() == [b"f", b"g"]


def test_root_twice(unpack: Unpacker) -> None:
    """The root may be listed twice; its times are those it was given last."""
    unpacked = unpack(directory("./", mtime=5), directory("./", mtime=7), regular("f", b"1"), regular("f", b"2"))

    assert os.stat(unpacked.tree).st_mtime == 7
    assert unpacked.listed() == [b"./", b"f"]


# ── directories that become something else ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "second", [regular("d", b"file now"), symlink("d", "e"), node("d", b"6"), hardlink("d", "e/f")]
)
@pytest.mark.parametrize("has_lower", [False, True])
def test_directory_gives_way(unpack: Unpacker, second: Any, has_lower: bool) -> None:
    """A directory with contents gives way to something else, and the contents come out with the archive."""
    unpacked = unpack(
        directory("e"),
        regular("e/f", b"stays"),
        directory("d"),
        regular("d/f", b"1"),
        regular("d/deep/er/f", LONG),
        regular("d/f", b"2"),
        second,
        regular("last", b"3"),
        has_lower=has_lower,
    )

    assert not os.path.isdir(unpacked.path("d")) or os.path.islink(unpacked.path("d"))
    assert unpacked.read("e/f") == b"stays"


def test_host_file_is_not_read(unpack: Unpacker, tmp_path: Path) -> None:
    """A directory that becomes a link to the host does not bring the host's file into the export."""
    make_tree(str(tmp_path / "host"), {"f": b"1234567890"})

    unpack(regular("d/f", b"in the tar"), symlink("d", str(tmp_path / "host")))


def test_back_and_forth(unpack: Unpacker) -> None:
    """A name may change its kind again and again."""
    unpacked = unpack(
        regular("d/f", b"1"), regular("d", b"2"), directory("d"), regular("d/f", b"3"), symlink("d", "e"),
        directory("e"),
        regular("d/f", b"4"), directory("d"), regular("d/f", b"5"),
    )  # fmt: skip

    assert unpacked.read("d/f") == b"5"
    assert unpacked.read("e/f") == b"4"


def test_times_of_what_gave_way(unpack: Unpacker) -> None:
    """The times of a directory are not given to what took its place."""
    unpacked = unpack(
        directory("d", mtime=5), directory("e", mtime=6), symlink("d", "e", mtime=7), regular("e/f", b"1")
    )

    assert os.lstat(unpacked.path("d")).st_mtime == 7
    assert os.stat(unpacked.path("e")).st_mtime == 6


# ── behind links ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_behind_links(unpack: Unpacker) -> None:
    """A file whose name leads through a link is kept in the tar-split, even if it gives way later."""
    unpacked = unpack(
        directory("real"),
        symlink("link", "real"),
        regular("link/a", b"first"),
        regular("real/a", b"second"),
        regular("link/b", LONG),
        regular("link/c", b"c"),
        symlink("real", "nowhere"),
    )

    assert unpacked.names() == ["link", "real"]


def test_one_file_by_two_names(unpack: Unpacker) -> None:
    """Two names for one place are one file in the end."""
    unpacked = unpack(
        directory("real"), symlink("link", "real"), regular("real/a", b"first"), regular("link/a", b"second")
    )

    assert unpacked.read("real/a") == b"second"


# ── bodies without a file ─────────────────────────────────────────────────────────────────────────────────────────────


def test_sizes_without_bodies(unpack: Unpacker) -> None:
    """Links, directories and nodes have no body whatever their size says."""
    unpacked = unpack(
        regular("f", b"1"),
        hardlink("h", "f", size=1000),
        symlink("s", "f", size=2000),
        directory("d", size=3000),
        node("p", b"6", size=4000),
        regular("g", b"2"),
    )

    assert unpacked.names() == ["d", "f", "g", "h", "p", "s"]


def sparse_map(*parts: tuple[int, int]) -> bytes:
    """The text of a PAX sparse 1.0 map, padded."""
    text = f"{len(parts)}\n" + "".join(f"{offset}\n{length}\n" for offset, length in parts)
    return text.encode().ljust(-(-len(text) // 512) * 512, b"\0")


SPARSE = b"A" * 1000 + b"B" * 3
PLACES = ((4096, 1000), (1 << 30, 3))


def test_sparse_files(unpack: Unpacker) -> None:
    """Sparse files in all four formats have their holes, and come out as they went in."""
    name = {b"GNU.sparse.name": b"real"}
    size = b"%d" % ((1 << 30) + 10)
    pairs = ",".join(f"{offset},{length}" for offset, length in PLACES).encode()
    version_1 = {**name, b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.realsize": size}
    version_01 = {b"GNU.sparse.size": size, b"GNU.sparse.numblocks": b"2", b"GNU.sparse.map": pairs}
    old = b"".join(base256(number, 12) for place in PLACES for number in place)

    unpacked = unpack(
        regular("GNUSparseFile.0/real", sparse_map(*PLACES) + SPARSE, pax=version_1),
        regular("v01", SPARSE, pax=version_01),
        regular("old", SPARSE, type=b"S", magic=b"ustar  \0", raw={386: old, 483: base256(int(size), 12)}),
        regular("v01", b"x"),
        regular("after", b"1"),
    )

    for name_ in ("real", "old"):
        found = os.stat(unpacked.path(name_))
        assert found.st_size == int(size)
        assert found.st_blocks * 512 < 100_000
        with open(unpacked.path(name_), "rb") as file:
            assert file.read(4097) == bytes(4096) + b"A"
            file.seek(1 << 30)
            assert file.read() == b"BBB" + bytes(7)
    assert unpacked.read("v01") == b"x"


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_end_of_replacing(unpack: Unpacker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacing without end is refused before it fills the memory."""
    monkeypatch.setattr(displaced, "_MOST", 10)
    with pytest.raises(EntryFailed, match="more than 10 of its entries replace earlier ones"):
        unpack(*(regular("f", b"%d" % n) for n in range(20)), END)
