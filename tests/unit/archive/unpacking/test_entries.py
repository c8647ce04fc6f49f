"""What an entry says is what the file has: kind, contents, mode, owner, times, attributes."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.archive.compression import Compression
from cstore.errors import EntryFailed
from cstore.idmap import IDMap, IDRange
from tests.builders import (
    base256,
    compress,
    differences,
    directory,
    gnu_long,
    hardlink,
    make_tar,
    node,
    pax_header,
    pax_record,
    regular,
    symlink,
    tree_manifest,
    typical_tar,
)

if TYPE_CHECKING:
    from tests.unit.archive.unpacking.conftest import Unpacker

pytestmark = pytest.mark.usefixtures("needs_root")

HALF = 1_600_000_000_500_000_000


# ── the whole ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["tar", "gzip", "bzip2", "xz", "zstd"])
def test_compressed(unpack: Unpacker, kind: str) -> None:
    """However an archive is compressed, the tree is the same, and both digests are told."""
    data = typical_tar()
    plain, packed = unpack(whole=data), unpack(whole=compress(data, kind))

    assert differences(tree_manifest(plain.tree), tree_manifest(packed.tree)) == []
    assert packed.applied.diff_digest == plain.applied.diff_digest
    assert packed.applied.compression.label == ("none" if kind == "tar" else kind)
    assert packed.applied.compressed_size == len(compress(data, kind))
    assert (packed.applied.compressed_digest == packed.applied.diff_digest) == (kind == "tar")


@pytest.mark.parametrize("data", [b"", bytes(512), bytes(1024), bytes(10240)])
def test_empty_archive(unpack: Unpacker, data: bytes) -> None:
    """Nothing at all is an archive of nothing."""
    unpacked = unpack(whole=data)

    assert unpacked.names() == []
    assert unpacked.applied.diff_size == len(data)
    assert unpacked.applied.compression is Compression.NONE
    assert unpacked.applied.entries == 0


def test_after_the_end(unpack: Unpacker) -> None:
    """What stands behind the end of the archive is read, counted and kept, even if it is long."""
    data = make_tar(regular("f", b"1")) + bytes(3_000_000) + b"something"

    assert unpack(whole=data).applied.diff_size == len(data)


@pytest.mark.parametrize("cut", [1, 100, 511])
def test_cut_inside_padding(unpack: Unpacker, cut: int) -> None:
    """An archive that ends inside the padding of its last file has lost nothing, and comes out as short as it was."""
    data = make_tar(directory("d"), regular("d/f", b"1"), end=b"")[:-cut]

    assert unpack(whole=data).read("d/f") == b"1"


def test_sums(unpack: Unpacker) -> None:
    """Owners are gathered before mapping, without those of whiteouts; sizes are summed over all headers."""
    applied = unpack(
        regular("a", b"12345", uid=5, gid=7),
        regular("b", b"1", uid=3, gid=0),
        regular(".wh.c", uid=99, gid=99),
        directory("d", size=1000),
    ).applied

    assert (applied.uids, applied.gids) == ((0, 3, 5), (0, 7))
    assert applied.content_size == 1006
    assert applied.entries == 4


def test_known_digest(unpack: Unpacker) -> None:
    """What the caller knows of the compressed stream is taken as it is."""
    data = compress(typical_tar(), "gzip")
    applied = unpack(whole=data, known_compressed=("sha256:" + "0" * 64, 17)).applied

    assert (applied.compressed_digest, applied.compressed_size) == ("sha256:" + "0" * 64, 17)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1 << 20, (1 << 20) + 1, 5_000_000])
def test_file_sizes(unpack: Unpacker, size: int) -> None:
    """A file of any size arrives whole, be it in one window or in many."""
    body = os.urandom(size)
    unpacked = unpack(regular("before", b"x" * 700), regular("d/file", body), regular("after", b"y"))

    assert unpacked.read("d/file") == body
    assert unpacked.read("after") == b"y"


def test_modes(unpack: Unpacker) -> None:
    """Every permission bit is set, whatever the umask, and bits of other meaning are not."""
    modes = [0, 0o400, 0o644, 0o777, 0o4755, 0o2755, 0o1777, 0o6711, 0o100644]
    old = os.umask(0o077)
    try:
        unpacked = unpack(
            *(regular(f"f{number}", b"content", mode=mode) for number, mode in enumerate(modes)),
            *(directory(f"d{number}", mode=mode, uid=7) for number, mode in enumerate(modes)),
            *(directory(f"e{number}", mode=mode) for number, mode in enumerate(modes)),
            node("fifo", b"6", mode=0o6666),
        )
    finally:
        os.umask(old)

    for kind in "fde":
        found = [stat.S_IMODE(os.stat(unpacked.path(f"{kind}{number}")).st_mode) for number in range(len(modes))]
        assert found == [mode & 0o7777 for mode in modes]
    assert stat.S_IMODE(os.stat(unpacked.path("fifo")).st_mode) == 0o6666


def test_owners(unpack: Unpacker) -> None:
    """Owners are set on everything, the largest possible ones too; set-user-ID survives that."""
    big = 2**32 - 2
    unpacked = unpack(
        regular("f", b"1", uid=1, gid=2, mode=0o4755),
        regular("big", b"1", pax={b"uid": b"%d" % big, b"gid": b"%d" % big}),
        regular("raw", b"1", raw={"uid": base256(3_000_000, 8)}),
        directory("d", uid=3, gid=4, mode=0o2755),
        symlink("l", "nowhere", uid=5, gid=6),
        node("p", b"6", uid=7, gid=8),
        directory("./", uid=9, gid=10),
    )

    def owner(name: str) -> tuple[int, int]:
        found = os.lstat(unpacked.path(name))
        return found.st_uid, found.st_gid

    assert [owner(name) for name in ("f", "d", "l", "p", ".")] == [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10)]
    assert owner("big") == (big, big)
    assert owner("raw") == (3_000_000, 0)
    assert stat.S_IMODE(os.stat(unpacked.path("f")).st_mode) == 0o4755
    assert stat.S_IMODE(os.stat(unpacked.path("d")).st_mode) == 0o2755


@pytest.mark.parametrize("uid", [2**32 - 1, -1, 2**40])
def test_impossible_owner(unpack: Unpacker, uid: int) -> None:
    """An owner that no system has is refused; -1 must not mean "leave it"."""
    with pytest.raises(EntryFailed, match=rf"'d/f'.*owner {uid}:0"):
        unpack(regular("d/f", b"1", pax={b"uid": b"%d" % uid}))


def test_id_map(unpack: Unpacker) -> None:
    """Owners are mapped, also those of directories that the archive does not list; the record has them unmapped."""
    id_map = IDMap((IDRange(0, 100_000, 10),), (IDRange(0, 200_000, 10),))
    unpacked = unpack(regular("implied/f", b"1", uid=3, gid=4), id_map=id_map)

    found = os.stat(unpacked.path("implied/f"))
    implied = os.stat(unpacked.path("implied"))
    assert (found.st_uid, found.st_gid) == (100_003, 200_004)
    assert (implied.st_uid, implied.st_gid) == (100_000, 200_000)
    assert unpacked.applied.uids == (3,)


def test_uncovered_owner(unpack: Unpacker) -> None:
    """An owner outside the ID map is named with its file, and the line that helps is given."""
    with pytest.raises(EntryFailed, match=r"'srv/www'.*70000:33.*UID 70000") as caught:
        unpack(regular("srv/www", b"1", uid=70_000, gid=33), id_map=IDMap((IDRange(0, 100_000, 65_536),), ()))

    assert "USER:100000:70001" in caught.value.hint
    assert "/etc/subuid" in caught.value.hint


def test_times(unpack: Unpacker) -> None:
    """Times are exact to the nanosecond, on links, on directories whose contents came later, and on the root."""
    fine = {b"mtime": b"1600000000.5"}
    unpacked = unpack(
        directory("./", pax=fine),
        directory("d", pax=fine),
        directory("d/e", pax=fine),
        regular("d/e/f", b"1", pax={b"mtime": b"1600000000.123456789123"}),
        symlink("d/e/l", "f", pax=fine),
        node("d/e/p", b"6", pax=fine),
        regular("d/e/read", b"1", pax={b"mtime": b"1600000000", b"atime": b"1700000000.25"}),
    )

    for name in (".", "d", "d/e", "d/e/l", "d/e/p"):
        assert os.lstat(unpacked.path(name)).st_mtime_ns == HALF, name
    assert os.lstat(unpacked.path("d/e/f")).st_mtime_ns == 1_600_000_000_123_456_789
    assert os.lstat(unpacked.path("d/e/read")).st_atime_ns == 1_700_000_000_250_000_000


@pytest.mark.parametrize(("text", "expected"), [(b"-5.5", 0), (b"9223372036.9", 0), (b"9223372035", 9223372035)])
def test_times_out_of_bounds(unpack: Unpacker, text: bytes, expected: int) -> None:
    """Before 1970 and after 2262 files and directories are of 1970, as the peer has it."""
    unpacked = unpack(regular("f", b"1", pax={b"mtime": text}), directory("d", pax={b"mtime": text}))

    assert os.stat(unpacked.path("f")).st_mtime_ns // 10**9 == expected
    assert os.stat(unpacked.path("d")).st_mtime_ns // 10**9 == expected


def test_missing_parents(unpack: Unpacker) -> None:
    """Directories that the archive leaves out are made 0755; listed later, they get what is said of them."""
    unpacked = unpack(regular("a/b/c/f", b"1"), directory("a/b", mode=0o700, uid=4), regular("a/b/g", b"2"))

    assert stat.S_IMODE(os.stat(unpacked.path("a/b/c")).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(unpacked.path("a/b")).st_mode) == 0o700
    assert os.stat(unpacked.path("a/b")).st_uid == 4
    assert unpacked.listed() == [b"a/b/c/f", b"a/b/", b"a/b/g"]


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_of_any_bytes(unpack: Unpacker) -> None:
    """Names are bytes: not UTF-8, with quotes, line ends, backslashes, and what JSON escapes."""
    names = [b"\xff\xfe", b'a"b\\c', b"line\nend\t\x01", "é☃".encode(), b"<&>", b" ", b"d.d/..x/.y", b"...", b"-"]
    unpacked = unpack(*(regular(name, b"x" + name) for name in names))

    for name in names:
        with open(os.path.join(os.fsencode(unpacked.tree), name), "rb") as file:
            assert file.read() == b"x" + name
    assert unpacked.listed() == names


def test_long_names(unpack: Unpacker) -> None:
    """Long names come in three ways, links too."""
    parts = "/".join(["p" * 50] * 5)
    unpacked = unpack(
        regular(parts + "/pax", b"1"),
        gnu_long(parts.encode() + b"/gnu") + regular("cut", b"2").blocks(),
        regular("/name", b"3", prefix=b"q" * 120),
        symlink("link", parts + "/pax"),
        gnu_long(parts.encode() + b"/gnu", b"K") + symlink("klink", "cut").blocks(),
    )

    assert unpacked.read(parts + "/pax") == b"1"
    assert unpacked.read(parts + "/gnu") == b"2"
    assert unpacked.read("q" * 120 + "/name") == b"3"
    assert unpacked.read("link") == b"1"
    assert unpacked.read("klink") == b"2"


@pytest.mark.parametrize(
    ("name", "plain"),
    [("./f", "f"), ("/f", "f"), ("//d//f", "d/f"), ("d/./f", "d/f"), ("a/../f", "f"), ("d/e/../f", "d/f")],
)
def test_unclean_names(unpack: Unpacker, name: str, plain: str) -> None:
    """Names are cleaned, absolute ones begin at the root of the layer, and the archive comes out as it was."""
    assert unpack(regular(name, b"body"), regular("d/z", b"2")).read(plain) == b"body"


def test_global_headers(unpack: Unpacker) -> None:
    """Global PAX headers, even many of one name, change nothing, and come out again."""
    header = pax_header({b"path": b"elsewhere", b"comment": b"x"}, type_=b"g", name=b"pax_global_header")
    unpacked = unpack(header, regular("f", b"1"), header, header, regular("g", b"2"))

    assert unpacked.names() == ["f", "g"]
    assert unpacked.listed() == [b"pax_global_header", b"f", b"g"]


# ── links and nodes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_hard_links(unpack: Unpacker) -> None:
    """Hard links share the file; a link to a symbolic link is one to the link itself; a size on them is ignored."""
    unpacked = unpack(
        regular("d/f", b"1", mode=0o4755, uid=3),
        hardlink("g", "d/f", mode=0o4755, uid=3, size=1),
        hardlink("e/h", "./d//f", mode=0o4755, uid=3),
        symlink("s", "nowhere"),
        hardlink("t", "s"),
        regular("last", b"2"),
    )

    assert os.stat(unpacked.path("d/f")).st_nlink == 3
    assert stat.S_IMODE(os.stat(unpacked.path("g")).st_mode) == 0o4755
    assert os.readlink(unpacked.path("t")) == "nowhere"


def test_hard_link_attributes(unpack: Unpacker) -> None:
    """What a link's entry says counts for the file; a capability that it does not repeat stays."""
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    unpacked = unpack(
        regular("f", b"1", pax={b"SCHILY.xattr.security.capability": capability}),
        hardlink("g", "f", mode=0o600, mtime=5),
    )

    found = os.stat(unpacked.path("f"))
    assert (stat.S_IMODE(found.st_mode), found.st_mtime) == (0o600, 5)
    assert os.getxattr(unpacked.path("g"), "security.capability") == capability


@pytest.mark.parametrize(("target", "reason"), [("gone", "does not exist"), ("d", "is a directory"), ("f/x", "exist")])
def test_hard_link_to_nothing(unpack: Unpacker, target: str, reason: str) -> None:
    """A hard link to what is not there, or to a directory, is refused by name."""
    with pytest.raises(EntryFailed, match=rf"'h'.*{target} .*{reason}"):
        unpack(directory("d"), regular("f", b"1"), hardlink("h", target))


def test_devices(unpack: Unpacker) -> None:
    """Devices are made with their numbers; the number 0:0 is that of a whiteout, which makes nothing."""
    unpacked = unpack(
        node("null", b"3", (1, 3), mode=0o666, uid=2),
        node("sda", b"4", (8, 300), mode=0o660),
        node("zero", b"3", (0, 0)),
    )

    found = os.stat(unpacked.path("null"))
    assert stat.S_ISCHR(found.st_mode)
    assert (found.st_rdev, found.st_uid, stat.S_IMODE(found.st_mode)) == (os.makedev(1, 3), 2, 0o666)
    assert os.stat(unpacked.path("sda")).st_rdev == os.makedev(8, 300)
    assert unpacked.names() == ["null", "sda"]


def test_devices_in_a_user_namespace(unpack: Unpacker) -> None:
    """Where nobody can make devices they are left out, and a file may have their name."""
    unpacked = unpack(
        node("dev/null", b"3", (1, 3)), node("p", b"6"), regular("dev/null", b"1"), in_user_namespace=True
    )

    assert unpacked.read("dev/null") == b"1"
    assert stat.S_ISFIFO(os.stat(unpacked.path("p")).st_mode)


def test_types_of_other_tars(unpack: Unpacker) -> None:
    """A contiguous file is a file, GNU's dump directory a directory whatever its body says, a volume label nothing.

    The tar of Solaris has a type of its own for what others call a PAX header.
    """
    unpacked = unpack(
        regular("header", pax_record(b"path", b"sun"), type=b"X"),
        regular("named by its header", b"1"),
        regular("label", b"", type=b"V"),
        regular("c", b"data", type=b"7"),
        regular("d", b"Yx\0\0", type=b"D", mode=0o700),
    )

    assert unpacked.read("sun") == b"1"
    assert unpacked.read("c") == b"data"
    assert stat.S_IMODE(os.stat(unpacked.path("d")).st_mode) == 0o700
    assert not os.path.lexists(unpacked.path("label"))


@pytest.mark.parametrize("type_", [b"M", b"N", b"\xff"])
def test_unknown_types(unpack: Unpacker, type_: bytes) -> None:
    """What is none of the known kinds is refused by name."""
    with pytest.raises(EntryFailed, match=r"'strange'.*is unknown"):
        unpack(regular("strange", b"1", type=type_))


# ── attributes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_xattrs(unpack: Unpacker) -> None:
    """Attributes are set on files, directories, links and nodes; an empty value and any bytes are fine."""
    pax = {
        b"SCHILY.xattr.trusted.a": b"\x00\xff\n",
        b"SCHILY.xattr.trusted.empty": b"",
        b"LIBARCHIVE.xattr.user.x": b"eA",
    }
    unpacked = unpack(
        regular("f", b"1", pax={**pax, b"SCHILY.xattr.user.u=v": b"1"}),
        directory("d", pax=pax),
        symlink("l", "f", pax=pax),
        node("p", b"6", pax=pax),
        directory("./", pax=pax),
    )

    for name in ("f", "d", "l", "p", "."):
        path = unpacked.path(name)
        assert os.getxattr(path, "trusted.a", follow_symlinks=False) == b"\x00\xff\n"
        assert os.getxattr(path, "trusted.empty", follow_symlinks=False) == b""
        assert "user.x" not in os.listxattr(path, follow_symlinks=False)


def test_capability_survives(unpack: Unpacker) -> None:
    """A capability is set after the owner, who would take it away."""
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    unpacked = unpack(
        regular("ping", b"x" * 2_000_000, uid=5, mode=0o755, pax={b"SCHILY.xattr.security.capability": capability})
    )

    assert os.getxattr(unpacked.path("ping"), "security.capability") == capability


@pytest.mark.parametrize(
    "name",
    ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.origin", "user.fuseoverlayfs.opaque",
     "user.containers.override_stat", "security.selinux"],
)  # fmt: skip
def test_reserved_xattrs(unpack: Unpacker, name: str) -> None:
    """Attributes that steer drivers, or belong to the host, are not set."""
    pax = {b"SCHILY.xattr." + name.encode(): b"y"}
    unpacked = unpack(regular("f", b"1", pax=pax), directory("d", pax=pax), directory("./", pax=pax))

    for path in ("f", "d", "."):
        assert name not in os.listxattr(unpacked.path(path))


def test_unknown_attribute_namespace(unpack: Unpacker) -> None:
    """What no file system has is passed over; what this one refuses is an error with both names."""
    unpack(regular("f", b"1", pax={b"SCHILY.xattr.strange.name": b"1"}))
    with pytest.raises(EntryFailed, match=r"'l'.*attribute user\.x.*not permitted"):
        unpack(symlink("l", "f", pax={b"SCHILY.xattr.user.x": b"1"}))
    unpack(symlink("l", "f", pax={b"SCHILY.xattr.user.x": b"1"}), in_user_namespace=True)


# ── the surroundings ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_set_group_id_directory(unpack: Unpacker) -> None:
    """A set-group-ID directory hands nothing down: the archive says whose everything is."""
    unpacked = unpack(
        directory("d", mode=0o2775, gid=50),
        regular("d/f", b"1", mode=0o640),
        directory("d/e", mode=0o755),
        symlink("d/l", "f"),
        node("d/p", b"6"),
        regular("d/implied/g", b"1"),
    )

    for name in ("d/f", "d/e", "d/l", "d/p", "d/implied", "d/implied/g"):
        assert os.lstat(unpacked.path(name)).st_gid == 0, name
    assert stat.S_IMODE(os.stat(unpacked.path("d/e")).st_mode) == 0o755
    assert stat.S_IMODE(os.stat(unpacked.path("d/implied")).st_mode) == 0o755


def test_acls(unpack: Unpacker) -> None:
    """ACLs are set as they are given, and a default ACL is not handed down to what the archive gives none."""
    access = bytes.fromhex("0200000001000600ffffffff02000700e803000004000500ffffffff10000700ffffffff20000400ffffffff")
    unpacked = unpack(
        directory("d", mode=0o775, pax={b"SCHILY.xattr.system.posix_acl_default": access}),
        regular("d/f", b"1", mode=0o644),
        directory("d/e", mode=0o755),
        node("d/p", b"6", mode=0o644),
        regular("d/implied/g", b"1", mode=0o600),
        regular("own", b"1", mode=0o674, pax={b"SCHILY.xattr.system.posix_acl_access": access}),
    )

    assert os.getxattr(unpacked.path("d"), "system.posix_acl_default") == access
    assert os.getxattr(unpacked.path("own"), "system.posix_acl_access") == access
    for name, mode in (("d/f", 0o644), ("d/e", 0o755), ("d/p", 0o644), ("d/implied", 0o755), ("d/implied/g", 0o600)):
        assert os.listxattr(unpacked.path(name)) == [], name
        assert stat.S_IMODE(os.stat(unpacked.path(name)).st_mode) == mode, name
