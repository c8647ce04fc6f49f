"""Layers that hold what few layers hold: the overlay driver writes them as the peer's does, whiteouts included."""

from __future__ import annotations

import os
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import (
    differences,
    directory,
    gnu_long,
    hardlink,
    make_tar,
    node,
    regular,
    symlink,
    tree_manifest,
    whiteout,
)
from tests.conftest import StoreRoots
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunnerMaker

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
"""cap_net_bind_service, effective and permitted (linux/capability.h, version 2)."""
_UNDEFINED = 0xFFFFFFFF
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 6, _UNDEFINED), (2, 7, 1000), (4, 4, _UNDEFINED), (16, 7, _UNDEFINED), (32, 4, _UNDEFINED))
)
"""user::rw-, user:1000:rwx, group::r--, mask::rwx, other::r-- (acl(5), posix_acl_xattr.h)."""


def xattr(name: str, value: bytes) -> dict[bytes, bytes]:
    """The PAX record of an extended attribute."""
    return {b"SCHILY.xattr." + name.encode(): value}


PLAIN = make_tar(directory("d"), regular("d/old", b"old"), regular("gone", b"gone"), directory("opaque"))
ODD = {
    "names": (
        regular(b"latin-\xe9\xff", b"not UTF-8"),
        regular("new\nline", b"1"),
        regular("tab\tand space ", b"2"),
        regular("back\\slash,comma:colon", b"3"),
        regular('"quoted" $(and) *', b"4"),
        regular("-rf", b"5"),
        regular("\u2603\u0301", b"6"),
        regular("x" * 255, b"7"),
        regular("/".join(["deep" * 20] * 12) + "/file", b"8"),
        gnu_long(b"l/" + b"g" * 150),
        regular("cut", b"9"),
        symlink("dangling", "t" * 1000),
        regular("wh.not", b"10"),
        directory(".hidden"),
        regular("CaSe", b"11"),
        regular("case", b"12"),
    ),
    "devices": (
        node("null", b"3", (1, 3), mode=0o666),
        node("high", b"3", (300, 70000), mode=0o600, uid=1),
        node("loop", b"4", (7, 5), mode=0o660, gid=6),
        node("fifo", b"6", mode=0o622, uid=9, mtime=0),
        hardlink("null-too", "null", mode=0o666),
    ),
    "modes-and-owners": (
        directory("tmp", mode=0o1777),
        directory("setgid", mode=0o2755, gid=50),
        regular("setgid/inside", b"x", gid=7, mode=0o640),
        directory("setgid/below", mode=0o700),
        regular("su", b"x", mode=0o4755),
        regular("sg", b"x", mode=0o2711, gid=42),
        regular("none", b"x", mode=0),
        regular("large", b"x", uid=4_000_000_000, gid=3_000_000_000),
        symlink("owned", "su", uid=77, gid=78),
    ),
    "times": (
        regular("epoch", b"x", mtime=0),
        regular("fraction", b"x", pax={b"mtime": b"1234567890.987654321"}),
        regular("late", b"x", mtime=7_000_000_000),
        directory("dir", mtime=5),
        regular("dir/newer", b"x", mtime=1_700_000_000),
        symlink("link", "epoch", mtime=42),
    ),
    "attributes": (
        regular("cap", b"x", mode=0o755, pax=xattr("security.capability", CAPABILITY)),
        regular("cap-owned", b"x", mode=0o755, uid=5, pax=xattr("security.capability", CAPABILITY)),
        regular("acl", b"x", mode=0o674, pax=xattr("system.posix_acl_access", ACL)),
        # Empty: the peer lets files in there inherit what their entries do not say.
        directory("acl-dir", mode=0o755, pax=xattr("system.posix_acl_default", ACL)),
        regular("user", b"x", pax=xattr("user.name", b"\x00binary\xff")),
        directory("dir", pax=xattr("user.dir", b"yes")),
        regular("trusted", b"x", pax=xattr("trusted.name", b"t")),
    ),
    "whiteouts": (
        whiteout("gone"),
        directory("d"),
        whiteout("d/old"),
        directory("opaque"),
        regular("opaque/.wh..wh..opq"),
        regular("opaque/new", b"n"),
        directory("fresh"),
        regular("fresh/.wh..wh..opq"),
    ),
    "absolute root": (directory("/", mode=0o711, uid=5, gid=6), regular("/f", b"x")),
    "links": (
        regular("one", b"1", mode=0o600),
        hardlink("two", "one", mode=0o600),
        hardlink("three", "two", mode=0o600),
        symlink("way", "d"),
        hardlink("way-too", "way", mode=0o777),
        symlink("absolute", "/one"),
        symlink("up", "../../../one"),
    ),
}


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[StoreRoots]:
    """An overlay store for cstore."""
    yield StoreRoots(str(tmp_path / "graph"), str(tmp_path / "run"), driver="overlay")
    detach_all(str(tmp_path))


@pytest.fixture
def theirs(tmp_path: Path) -> StoreRoots:
    """Another one for the peer. `ours` cleans up."""
    return StoreRoots(str(tmp_path / "peer-graph"), str(tmp_path / "peer-run"), driver="overlay")


def check(run_on: RunnerMaker, peer_on: RunnerMaker, ours: StoreRoots, theirs: StoreRoots, archive: bytes) -> None:
    """Import an archive with both tools, and hold the directories against each other."""
    trees = []
    for run, roots in ((run_on(ours), ours), (peer_on(theirs), theirs)):
        run("import-layer", "--id", "plain", stdin=PLAIN).ok()
        run("import-layer", "--id", "odd", "plain", stdin=archive).ok()
        assert run("diff", "--uncompressed", "odd").ok().output == archive
        trees.append(os.path.join(roots.graph, "overlay", "odd", "diff"))
    made = os.stat(os.path.dirname(trees[0])).st_mtime_ns // 10**9 - 100
    seen = []
    for tree in trees:
        facts = tree_manifest(tree)
        # What no entry gives a time has that of the import: whiteouts, and directories on the way to something.
        now = {path for path, fact in facts.items() if fact.mtime is not None and fact.mtime // 10**9 > made}
        untimed = tree_manifest(tree, times=False)
        seen.append({path: untimed[path] if path in now else fact for path, fact in facts.items()})
    assert differences(*seen) == []


@pytest.mark.parametrize("kind", ODD)
def test_odd_layers_are_written_as_the_peer_writes_them(
    kind: str, run_on: RunnerMaker, peer_on: RunnerMaker, ours: StoreRoots, theirs: StoreRoots
) -> None:
    """Every path, type, mode, owner, time, device number, attribute and link; and the same bytes come out."""
    check(run_on, peer_on, ours, theirs, make_tar(*ODD[kind]))


@pytest.mark.parametrize("form", ["0.0", "0.1", "1.0"])
def test_sparse_files(
    form: str, run_on: RunnerMaker, peer_on: RunnerMaker, ours: StoreRoots, theirs: StoreRoots, tmp_path: Path
) -> None:
    """GNU tar's sparse files come out whole for both; ours have holes, and give the archive back."""
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "sparse", "wb") as file:
        for place in (0, 1 << 20, 5 << 20):
            file.seek(place)
            file.write(b"data" * 1000)
        file.truncate(8 << 20)
    options = ["--format=posix", "--sparse", f"--sparse-version={form}", "--pax-option=delete=atime,delete=ctime"]
    tar = subprocess.run(["tar", "-c", *options, "-C", str(source), "sparse"], capture_output=True, check=True).stdout
    trees = []
    for run, roots in ((run_on(ours), ours), (peer_on(theirs), theirs)):
        run("import-layer", "--id", "odd", stdin=tar).ok()
        trees.append(os.path.join(roots.graph, "overlay", "odd", "diff"))

    assert differences(*map(tree_manifest, trees)) == []
    assert run_on(ours)("diff", "--uncompressed", "odd").ok().output == tar
    assert os.stat(os.path.join(trees[0], "sparse")).st_blocks * 512 < 1 << 20
