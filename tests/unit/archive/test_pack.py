"""Packing: a tree becomes the tar that the peer would make of it, or an error, never half of it in silence."""

from __future__ import annotations

import io
import os
import resource
import socket
import stat
import struct
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from cstore.archive.changes import Change, ChangeKind, compare_trees
from cstore.archive.pack import pack_changes, pack_tree
from cstore.archive.streams import FileSink
from cstore.errors import InvalidIDMap, SystemFailure, Unsupported
from cstore.idmap import IDMap, IDRange
from tests.builders import Fact, differences, make_tree, tree_manifest
from tests.unit.archive.deep_tree import deep_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.archive.streams import Sink
    from tests.conftest import Runner

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1, 0, 0, 0)


def packed(pack: Callable[[Sink], None]) -> bytes:
    collected = io.BytesIO()
    pack(collected)
    return collected.getvalue()


def whole(tree: Path | str, id_map: IDMap | None = None) -> bytes:
    return packed(lambda sink: pack_tree(str(tree), sink, id_map or IDMap()))


def entries(tar: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar), encoding="utf-8", errors="surrogateescape") as archive:
        return archive.getmembers()


def names(tar: bytes) -> list[str]:
    return [info.name + "/" * info.isdir() for info in entries(tar)]


def by_name(tar: bytes) -> dict[str, tarfile.TarInfo]:
    return {info.name: info for info in entries(tar)}


# ── order and ends ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_order_of_a_tree(tmp_path: Path) -> None:
    """Depth-first, a directory before its contents, names by their bytes, no entry for the root."""
    make_tree(str(tmp_path / "t"), {"a/c": b"", "a-b": b"", "B": b"", "a/b/x": b"", "\udcff": b"", "é": b"", "a.": b""})
    assert names(whole(tmp_path / "t")) == ["B", "a/", "a/b/", "a/b/x", "a/c", "a-b", "a.", "é", "\udcff"]


def test_order_of_changes(tmp_path: Path) -> None:
    """By the bytes of the whole path; a whiteout stands where its victim would."""
    make_tree(str(tmp_path / "t"), {"a/c": b"", "a-b": b"", "a/z": b""})
    changes = [
        Change(b"/a/z", ChangeKind.ADD), Change(b"/a", ChangeKind.MODIFY), Change(b"/b", ChangeKind.DELETE),
        Change(b"/a/c", ChangeKind.ADD), Change(b"/a-b", ChangeKind.ADD), Change(b"/a/gone", ChangeKind.DELETE),
    ]  # fmt: skip
    based = packed(lambda sink: pack_changes(str(tmp_path / "t"), "/somewhere", changes, sink))
    assert names(based) == ["a/", "a-b", "a/c", "a/.wh.gone", "a/z", ".wh.b"]
    alone = packed(lambda sink: pack_changes(str(tmp_path / "t"), None, changes, sink))
    assert names(alone) == ["a/", "a/c", "a/.wh.gone", "a/z", "a-b", ".wh.b"]


def test_ends(tmp_path: Path) -> None:
    """Two zero blocks end an archive, also an empty one."""
    assert whole(tmp_path) == bytes(1024)
    (tmp_path / "f").write_bytes(b"x" * 513)
    tar = whole(tmp_path)
    assert len(tar) == 512 + 1024 + 1024
    assert tar[1025:] == bytes(511 + 1024)


# ── what an entry says ────────────────────────────────────────────────────────────────────────────────────────────────


def test_fields(tmp_path: Path) -> None:
    """Type, mode, owner, time (rounded down) and contents of a file."""
    file = tmp_path / "file"
    file.write_bytes(b"contents")
    file.chmod(0o751)
    os.utime(file, ns=(0, 1_600_000_000_900_000_000))
    info = by_name(whole(tmp_path))["file"]
    assert (info.type, info.mode, info.mtime, info.size) == (tarfile.REGTYPE, 0o751, 1_600_000_000, 8)
    assert (info.uid, info.gid, info.uname, info.gname) == (os.getuid(), os.getgid(), "", "")


@pytest.mark.parametrize(("nanoseconds", "seconds"), [(-5_500_000_000, -6), (-1, -1), (0, 0), (10**19, 10**10)])
def test_times(tmp_path: Path, nanoseconds: int, seconds: int) -> None:
    """Times before 1970 are rounded down too, and far ones kept."""
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", ns=(0, nanoseconds))
    if os.stat(tmp_path / "f").st_mtime_ns != nanoseconds:
        pytest.skip("this file system has no such times")
    assert by_name(whole(tmp_path))["f"].mtime == seconds


def test_hard_links(tmp_path: Path) -> None:
    """The first name written has the contents, the others link to it; also symbolic links and fifos."""
    make_tree(str(tmp_path), {"b/first": b"contents", "z": "target"})
    os.link(tmp_path / "b/first", tmp_path / "c")
    os.link(tmp_path / "z", tmp_path / "zz", follow_symlinks=False)
    os.mkfifo(tmp_path / "p")
    os.link(tmp_path / "p", tmp_path / "pp")
    found = by_name(whole(tmp_path))
    assert found["b/first"].size == 8
    links = {name: info.linkname for name, info in found.items() if info.type == tarfile.LNKTYPE}
    assert links == {"c": "b/first", "zz": "z", "pp": "p"}
    assert found["z"].type == tarfile.SYMTYPE


def test_hard_link_to_what_is_not_packed(tmp_path: Path) -> None:
    """A changed name of a file whose other name did not change has the contents itself."""
    make_tree(str(tmp_path / "t"), {"old": b"contents"})
    os.link(tmp_path / "t/old", tmp_path / "t/new")
    tar = packed(lambda sink: pack_changes(str(tmp_path / "t"), "/base", [Change(b"/new", ChangeKind.ADD)], sink))
    assert by_name(tar)["new"].size == 8


def test_same_inode_number_elsewhere(tmp_path: Path, needs_root: None) -> None:
    """Two files of two file systems are not hard links of each other, whatever their inode numbers are."""
    tree = tmp_path / "t"
    for name in ("a", "b"):
        (tree / name).mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "none", str(tree / name)], check=True)
    try:
        for name in ("a", "b"):
            (tree / name / "f").write_text(name)
            os.link(tree / name / "f", tree / name / "g")
        if os.stat(tree / "a/f").st_ino != os.stat(tree / "b/f").st_ino:
            pytest.skip("the two file systems number their files differently")
        found = by_name(whole(tree))
    finally:
        for name in ("a", "b"):
            subprocess.run(["umount", str(tree / name)], check=True)
    assert found["a/g"].linkname == "a/f"
    assert found["b/g"].linkname == "b/f"


def test_devices_and_set_id(tmp_path: Path, needs_root: None) -> None:
    """Devices carry their numbers, files and directories their set-ID and sticky bits; none of them is opened."""
    os.mknod(tmp_path / "c", stat.S_IFCHR | 0o620, os.makedev(5, 300))
    (tmp_path / "c").chmod(0o620)
    os.mknod(tmp_path / "b", stat.S_IFBLK | 0o660, os.makedev(259, 70000))
    (tmp_path / "s").touch()
    (tmp_path / "s").chmod(0o6755)
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o1777)
    found = by_name(whole(tmp_path))
    assert (found["c"].type, found["c"].mode, found["c"].devmajor, found["c"].devminor) == (b"3", 0o620, 5, 300)
    assert (found["b"].type, found["b"].devmajor, found["b"].devminor) == (b"4", 259, 70000)
    assert (found["s"].mode, found["d"].mode) == (0o6755, 0o1777)


def test_sockets_are_left_out(tmp_path: Path) -> None:
    """A tar has no sockets."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        (tmp_path / "t").touch()
        assert names(whole(tmp_path)) == ["t"]


def test_attributes(tmp_path: Path, needs_root: None) -> None:
    """Capabilities and users' attributes are kept, on every name of a file; those of this system are not."""
    for name in ("f", "d/x"):
        make_tree(str(tmp_path), {name: b""})
    os.setxattr(tmp_path / "f", "security.capability", CAPABILITY)
    os.setxattr(tmp_path / "f", "user.empty", b"")
    os.setxattr(tmp_path / "f", "user.overlay.opaque", b"y")
    os.setxattr(tmp_path / "f", "trusted.secret", b"t")
    os.setxattr(tmp_path / "d", "user.d", b"\xff\0")
    os.link(tmp_path / "f", tmp_path / "g")
    tar = whole(tmp_path)
    keys = {info.name: sorted(info.pax_headers) for info in entries(tar)}
    expected = ["SCHILY.xattr.security.capability", "SCHILY.xattr.user.empty"]
    assert keys == {"f": expected, "g": expected, "d": ["SCHILY.xattr.user.d"], "d/x": []}
    assert tar.count(b"57 SCHILY.xattr.security.capability=" + CAPABILITY + b"\n") == 2
    assert tar.count(b" SCHILY.xattr.user.d=\xff\0\n") == 1


def test_unspeakable_attribute(tmp_path: Path) -> None:
    """An attribute that a tar cannot hold is an error, not an omission."""
    (tmp_path / "f").touch()
    os.setxattr(tmp_path / "f", "user.a=b", b"")
    with pytest.raises(Unsupported):
        whole(tmp_path)


def test_owners_inside(tmp_path: Path, needs_root: None) -> None:
    """Owners are written as they are in the container; whiteout files of other tools keep theirs."""
    for name, owner in (("f", 100_000), ("g", 100_010), (".wh.f", 0)):
        (tmp_path / name).touch()
        os.chown(tmp_path / name, owner, owner + 1)
    id_map = IDMap((IDRange(0, 100_000, 1000),), (IDRange(5, 100_000, 1000),))
    found = by_name(whole(tmp_path, id_map))
    assert {name: (info.uid, info.gid) for name, info in found.items()} == {
        "f": (0, 6), "g": (10, 16), ".wh.f": (0, 1),
    }  # fmt: skip


def test_owner_outside_the_map(tmp_path: Path, needs_root: None) -> None:
    """An owner that has no number inside fails the archive; the peer would leave the file out."""
    (tmp_path / "f").touch()
    with pytest.raises(InvalidIDMap):
        whole(tmp_path, IDMap((IDRange(0, 100_000, 1000),), ()))


@pytest.mark.parametrize(("now", "seconds"), [(1000.4, 1000), (1000.5, 1001), (1000.0, 1000)])
def test_whiteouts(tmp_path: Path, now: float, seconds: int) -> None:
    """A deletion is an empty file of nobody's, dated now, to the nearest second."""
    gone = [Change(b"/dir/gone", ChangeKind.DELETE), Change(b"/top", ChangeKind.DELETE)]
    tar = packed(lambda sink: pack_changes(str(tmp_path), "/base", gone, sink, now=now))
    for info, name in zip(entries(tar), ("dir/.wh.gone", ".wh.top"), strict=True):
        assert (info.name, info.type, info.mtime) == (name, tarfile.REGTYPE, seconds)
        assert (info.mode, info.uid, info.gid, info.size) == (0, 0, 0, 0)


# ── trouble ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Meddling(io.BytesIO):
    """A sink that does something to the tree when the first bytes arrive."""

    def __init__(self, deed: Callable[[], object]) -> None:
        super().__init__()
        self._deed: Callable[[], object] | None = deed

    def write(self, data: object, /) -> int:
        if self._deed is not None:
            self._deed()
            self._deed = None
        return super().write(data)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [12 << 20, 30 << 20])
def test_file_changes_its_size(tmp_path: Path, size: int) -> None:
    """A file that shrinks or grows while it is packed ends the archive with an error that names it."""
    big = tmp_path / "big"
    big.touch()
    os.truncate(big, 20 << 20)
    with pytest.raises(SystemFailure, match="big"):
        pack_tree(str(tmp_path), Meddling(lambda: os.truncate(big, size)))


def test_vanished(tmp_path: Path) -> None:
    """What was listed as changed and is no longer there is an error."""
    with pytest.raises(SystemFailure, match="d/gone"):
        packed(lambda sink: pack_changes(str(tmp_path), "/base", [Change(b"/d/gone", ChangeKind.ADD)], sink))


def test_directory_replaced_by_a_link(tmp_path: Path) -> None:
    """A path that leads through a link is not followed out of the tree."""
    make_tree(str(tmp_path), {"outside/secret": b"host", "tree/d": "../outside"})
    with pytest.raises(SystemFailure):
        packed(lambda sink: pack_changes(str(tmp_path / "tree"), "/base", [Change(b"/d/secret", ChangeKind.ADD)], sink))


def test_no_such_tree(tmp_path: Path) -> None:
    """A tree that is not there is an error that names it."""
    with pytest.raises(SystemFailure, match="nowhere"):
        whole(tmp_path / "nowhere")


def test_reading_leaves_no_trace(tmp_path: Path, needs_root: None) -> None:
    """Access times stay as they were."""
    make_tree(str(tmp_path / "t"), {"d/f": b"contents"})
    paths = [tmp_path / "t", tmp_path / "t/d", tmp_path / "t/d/f"]
    for path in reversed(paths):
        os.utime(path, (1000, 2000))
    whole(tmp_path / "t")
    assert [os.stat(path).st_atime for path in paths[1:]] == [1000, 1000]


def test_deep_tree(tmp_path: Path) -> None:
    """A tree deeper than any path can say is packed, with few descriptors."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with deep_tree(str(tmp_path / "deep"), 500) as tree:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 200, limits[1]))
        try:
            tar = whole(tree)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    found = [info.name for info in entries(tar)]
    assert len(found) == 1000
    assert found[499] == "/".join(["directory"] * 500)
    assert found[-1] == "zz"


# ── against others ────────────────────────────────────────────────────────────────────────────────────────────────────


def varied_tree(tree: str) -> str:
    """A tree with everything that a header can say."""
    make_tree(
        tree,
        {
            "etc/passwd": b"root:x:0:0\n", "etc/empty": b"", "bin": "usr/bin", "usr/bin/tool": b"\x7fELF" * 3000,
            "d" * 120 + "/" + "n" * 90 + "/f": b"1", "n" * 101: b"2", "ä/ö": b"3", "\udcff\udcfe": b"4",
            "long": "t" * 150, "umlaut": "zür", "slash": "t" * 98 + "//" + "t" * 9, "x/PaxHeaders.0/y": b"5",
            "deep/" + "/".join(["level"] * 40): b"6", "empty": None, "big": bytes(3_000_000), ".hidden": b"7",
        },
    )  # fmt: skip
    os.link(os.path.join(tree, "usr/bin/tool"), os.path.join(tree, "usr/bin/alias"))
    os.link(os.path.join(tree, "long"), os.path.join(tree, "longer"), follow_symlinks=False)
    os.mkfifo(os.path.join(tree, "fifo"))
    os.setxattr(os.path.join(tree, "etc/passwd"), "user.note", b"n" * 100)
    os.setxattr(os.path.join(tree, "etc"), "user.dir", b"\0\xff")
    for number, name in enumerate(("etc/passwd", "etc/empty", "bin")):
        os.utime(os.path.join(tree, name), ns=(0, (10**18 + number, -5_500_000_000, 0)[number]), follow_symlinks=False)
    if os.geteuid() == 0:
        os.mknod(os.path.join(tree, "null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.setxattr(os.path.join(tree, "usr/bin/tool"), "security.capability", CAPABILITY)
        os.chown(os.path.join(tree, "etc/empty"), 3_000_000, 2_097_152)
        os.chmod(os.path.join(tree, "usr/bin/tool"), 0o4700)
    return tree


def test_gnu_tar_unpacks_the_same_tree(tmp_path: Path, needs_root: None) -> None:
    """GNU tar makes of the archive the tree it was made from."""
    tree = varied_tree(str(tmp_path / "tree"))
    (tmp_path / "copy").mkdir()
    command = ["tar", "-x", "-p", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", str(tmp_path / "copy")]
    subprocess.run(command, input=whole(tree), check=True)
    assert differences(seconds(tree_manifest(tree)), seconds(tree_manifest(str(tmp_path / "copy")))) == []


def seconds(manifest: dict[bytes, Fact]) -> dict[bytes, Fact]:
    """The same with times as a tar has them."""
    return {
        path: Fact(**{**vars(fact), "mtime": None if fact.mtime is None else fact.mtime // 10**9})
        for path, fact in manifest.items()
        if path != b"."
    }


def older_writer(tar: bytes) -> bytes:
    """Take out what older versions of the peer wrote and newer ones do not: type bits in the mode, owners' names."""
    blocks = bytearray(tar)
    place = 0
    while place < len(blocks) and any(blocks[place : place + 512]):
        header = blocks[place : place + 512]
        size = int(header[124:135], 8) if header[156:157] in b"0x" else 0
        if header[156:157] != b"x":
            header[100:108] = b"%07o\0" % (int(header[100:107], 8) & 0o7777)
            header[265:329] = bytes(64)
        header[148:156] = b" " * 8
        blocks[place : place + 512] = header
        place += 512 + size + -size % 512
    return bytes(blocks)


@pytest.mark.peer
@pytest.mark.slow
def test_the_peers_diff_of_a_tree(tmp_path: Path, peer: Runner) -> None:
    """The same bytes as the Go tool's diff of a layer without parent."""
    layer = peer("create-layer").ok().lines[0]
    tree = peer("mount", layer).ok().lines[0]
    varied_tree(tree)
    theirs = peer("diff", "-u", layer).ok().output
    assert older_writer(whole(tree)) == older_writer(theirs)
    assert tmp_path


@pytest.mark.peer
@pytest.mark.slow
def test_the_peers_diff_of_changes(peer: Runner) -> None:
    """The same bytes as the Go tool's diff of a layer against its parent, but for the time of the whiteouts."""
    parent = peer("create-layer").ok().lines[0]
    old = varied_tree(peer("mount", parent).ok().lines[0])
    child = peer("create-layer", parent).ok().lines[0]
    new = peer("mount", child).ok().lines[0]
    make_tree(new, {"etc/new": b"1", "etc-x": b"2", "usr/bin/other": b"3", "empty/sub/f": b"4"})
    os.unlink(os.path.join(new, "big"))
    os.unlink(os.path.join(new, "ä/ö"))
    os.chmod(os.path.join(new, "x/PaxHeaders.0/y"), 0o600)
    os.setxattr(os.path.join(new, ".hidden"), "user.new", b"x")
    os.utime(os.path.join(new, "etc"), (5, 5))
    theirs = peer("diff", "-u", child).ok().output
    now = next(info.mtime for info in entries(theirs) if ".wh." in info.name)
    changes = compare_trees(new, old)
    ours = packed(lambda sink: pack_changes(new, old, changes, sink, now=float(now)))
    assert older_writer(ours) == older_writer(theirs)


def test_writes_to_a_pipe(tmp_path: Path) -> None:
    """The archive can go through a pipe into a program that reads at its own pace."""
    tree = varied_tree(str(tmp_path / "tree"))
    with subprocess.Popen(["tar", "-t"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        pack_tree(tree, FileSink(process.stdin.fileno()))
        process.stdin.close()
        listed = process.stdout.read().count(b"\n")
    assert process.returncode == 0
    assert listed == len(entries(whole(tree)))
