"""Builders of tar archives, trees and damage, with control over every byte of a header.

Archives are built by hand, because most of them are such that no library would write them.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import stat
import subprocess
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BLOCK = 512
END = bytes(2 * BLOCK)

FIELDS: Mapping[str, tuple[int, int]] = {
    "name": (0, 100), "mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "size": (124, 12), "mtime": (136, 12),
    "checksum": (148, 8), "type": (156, 1), "linkname": (157, 100), "magic": (257, 6), "version": (263, 2),
    "uname": (265, 32), "gname": (297, 32), "devmajor": (329, 8), "devminor": (337, 8), "prefix": (345, 155),
}  # fmt: skip
"""Offset and width of each field of a ustar header."""


# ── one entry ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Entry:
    """One archive entry, whose header may be wrong.

    Attributes:
        size: the size in the header; None means the body's length.
        pax: records of a preceding `x` header.
        raw: field name or offset → bytes written there last, before the checksum is computed.
        checksum: the text of the checksum field; None means the correct one.
        padding: the bytes after the body up to the block's end; None means zeros.
    """

    name: bytes
    body: bytes = b""
    type: bytes = b"0"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 1_600_000_000
    linkname: bytes = b""
    magic: bytes = b"ustar\x0000"
    uname: bytes = b""
    gname: bytes = b""
    device: tuple[int, int] = (0, 0)
    prefix: bytes = b""
    size: int | None = None
    pax: Mapping[bytes, bytes] = field(default_factory=dict)
    raw: Mapping[str | int, bytes] = field(default_factory=dict)
    checksum: bytes | None = None
    padding: bytes | None = None

    def but(self, **changes: Any) -> Entry:
        """Return the same entry with some attributes changed."""
        return replace(self, **changes)

    def blocks(self) -> bytes:
        """Return all bytes that this entry adds to an archive."""
        before = pax_header(self.pax) if self.pax else b""
        padding = bytes(-len(self.body) % BLOCK) if self.padding is None else self.padding
        return before + self.header() + self.body + padding

    def header(self) -> bytes:
        """Return the 512-byte header alone."""
        block = bytearray(BLOCK)
        size = len(self.body) if self.size is None else self.size
        _put(block, "name", self.name[:100])
        numbers = {"mode": self.mode, "uid": self.uid, "gid": self.gid, "size": size, "mtime": self.mtime}
        for name, value in numbers.items():
            _put(block, name, number(value, FIELDS[name][1]))
        _put(block, "type", self.type)
        _put(block, "linkname", self.linkname[:100])
        block[257 : 257 + len(self.magic)] = self.magic
        _put(block, "uname", self.uname)
        _put(block, "gname", self.gname)
        _put(block, "devmajor", number(self.device[0], 8))
        _put(block, "devminor", number(self.device[1], 8))
        _put(block, "prefix", self.prefix)
        for place, lie in self.raw.items():
            offset = place if isinstance(place, int) else FIELDS[place][0]
            block[offset : offset + len(lie)] = lie
        return sealed(block, self.checksum)


def _put(block: bytearray, name: str, value: bytes) -> None:
    offset, width = FIELDS[name]
    assert len(value) <= width, f"{name} is too long for its field"
    block[offset : offset + len(value)] = value


def sealed(block: bytes | bytearray, checksum: bytes | None = None) -> bytes:
    """Write the checksum, or the given text, into a header block."""
    whole = bytearray(block)
    whole[148:156] = b" " * 8
    whole[148:156] = (b"%06o\0 " % sum(whole)) if checksum is None else checksum.ljust(8, b"\0")[:8]
    return bytes(whole)


def number(value: int, width: int) -> bytes:
    """Write a number as octal text, or in base 256 if it does not fit."""
    text = b"%0*o" % (width - 1, value) if value >= 0 else b""
    return text + b"\0" if text and len(text) < width else base256(value, width)


def base256(value: int, width: int) -> bytes:
    """Write a number in two's complement with the top bit set, as GNU tar does for very large and negative ones."""
    packed = (value & ((1 << (8 * width)) - 1)).to_bytes(width, "big")
    return bytes([packed[0] | 0x80]) + packed[1:]


# ── extension headers ─────────────────────────────────────────────────────────────────────────────────────────────────


def pax_record(key: bytes, value: bytes) -> bytes:
    """Write one PAX record with its self-including length."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def pax_header(
    records: Mapping[bytes, bytes] | bytes, *, type_: bytes = b"x", name: bytes = b"PaxHeaders.0/entry"
) -> bytes:
    """Write an extended header from records, or from a body that may be invalid."""
    body = records if isinstance(records, bytes) else b"".join(pax_record(*item) for item in records.items())
    return Entry(name, body, type=type_).blocks()


def gnu_long(text: bytes, type_: bytes = b"L") -> bytes:
    """Write GNU tar's long name (`L`) or long link (`K`) for the entry that follows."""
    return Entry(b"././@LongLink", text + b"\0", type=type_, magic=b"ustar  \0").blocks()


# ── the usual entries ─────────────────────────────────────────────────────────────────────────────────────────────────


def regular(name: bytes | str, body: bytes = b"", **more: Any) -> Entry:
    """Return a file; a name longer than the field gets a PAX record."""
    return _named(name, body=body, **more)


def directory(name: bytes | str, **more: Any) -> Entry:
    """Return a directory, with a slash at the end of its name."""
    raw = _bytes(name)
    return _named(raw if raw.endswith(b"/") else raw + b"/", type=b"5", **{"mode": 0o755, **more})


def symlink(name: bytes | str, target: bytes | str, **more: Any) -> Entry:
    """Return a symbolic link."""
    return _named(name, type=b"2", link=_bytes(target), **{"mode": 0o777, **more})


def hardlink(name: bytes | str, target: bytes | str, **more: Any) -> Entry:
    """Return a hard link to an earlier entry."""
    return _named(name, type=b"1", link=_bytes(target), **more)


def node(name: bytes | str, type_: bytes, device: tuple[int, int] = (0, 0), **more: Any) -> Entry:
    """Return a character device (`3`), block device (`4`) or fifo (`6`)."""
    return _named(name, type=type_, device=device, **more)


def whiteout(name: bytes | str, **more: Any) -> Entry:
    """Return a whiteout of `name`."""
    folder, base = os.path.split(_bytes(name))
    return _named(os.path.join(folder, b".wh." + base), **more)


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else os.fsencode(text)


def _named(name: bytes | str, *, link: bytes = b"", **more: Any) -> Entry:
    raw = _bytes(name)
    pax = dict(more.pop("pax", {}))
    if len(raw) > 100:
        pax[b"path"] = raw
    if len(link) > 100:
        pax[b"linkpath"] = link
    return Entry(raw, linkname=link, pax=pax, **more)


# ── archives ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def make_tar(*entries: Entry | bytes, end: bytes = END) -> bytes:
    """Concatenate entries, or raw bytes, and the end of the archive."""
    return b"".join(entry if isinstance(entry, bytes) else entry.blocks() for entry in entries) + end


def compress(data: bytes, kind: str) -> bytes:
    """Compress with a separate library, without cstore's code: "tar", "gzip", "bzip2", "xz" or "zstd"."""
    if kind == "gzip":
        return gzip.compress(data, 6, mtime=0)
    if kind == "bzip2":
        return bz2.compress(data)
    if kind == "xz":
        return lzma.compress(data)
    if kind == "zstd":
        return zstandard.ZstdCompressor(write_checksum=True).compress(data)
    assert kind == "tar"
    return data


def digest(data: bytes) -> str:
    """Return the digest of bytes as records contain it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def typical_tar(*, size: int = 3000, files: int = 20, seed: int = 1) -> bytes:
    """Return a typical layer: directories, files, links, and every oddity that can be created without root."""
    choice = random.Random(seed)
    entries: list[Entry] = [directory("./"), directory("etc"), directory("usr/"), directory("usr/bin")]
    entries += [regular(f"usr/bin/tool{n}", choice.randbytes(choice.randrange(size)), mode=0o755) for n in range(files)]
    entries += [
        regular("etc/hosts", b"127.0.0.1 localhost\n"),
        regular("etc/empty"),
        symlink("bin", "usr/bin"),
        hardlink("usr/bin/same", "usr/bin/tool0", mode=0o755),
        regular("usr/" + "long" * 40, b"a name that needs a PAX record"),
        regular("etc/na\u00efve \u2603", b"a name that is not ASCII"),
        regular("etc/old", b"before 1970", mtime=0),
    ]
    return make_tar(*entries)


# ── damage ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def flip_byte(data: bytes, offset: int) -> bytes:
    """Return the bytes with one of them changed."""
    changed = bytearray(data)
    changed[offset] ^= 0xFF
    return bytes(changed)


def flip_byte_of(path: str, offset: int | None = None) -> None:
    """Change one byte of a file, by default the middle one."""
    with open(path, "r+b") as file:
        size = file.seek(0, io.SEEK_END)
        position = size // 2 if offset is None else offset
        file.seek(position)
        old = file.read(1)
        file.seek(position)
        file.write(bytes([old[0] ^ 0xFF]))


# ── trees ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def make_tree(root: str, contents: Mapping[str, bytes | str | None]) -> str:
    """Fill a directory: bytes create a file, text a symbolic link, None a directory. Returns the directory."""
    os.makedirs(root, exist_ok=True)
    for name, content in contents.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if content is None:
            os.makedirs(path, exist_ok=True)
        elif isinstance(content, str):
            os.symlink(content, path)
        else:
            with open(path, "wb") as file:
                file.write(content)
    return root


def composefs_layer(folder: str) -> str:
    """Unpack a store of composefs layers that the Go tool created; return the directory of its base layer."""
    here = os.path.dirname(os.path.abspath(__file__))
    archive = os.path.join(here, "data/stores/store-1.63-composefs.tar.xz")
    subprocess.run(["tar", "-xJf", archive, "-C", folder, "--no-same-owner"], check=True)
    layer = os.path.join(folder, "graph/overlay", "7".zfill(64))
    for above, _, names in os.walk(os.path.join(layer, "diff")):
        os.chmod(above, 0o700)
        for name in names:
            os.chmod(os.path.join(above, name), 0o600)  # the archived files have mode 0
    return layer


def many_files(root: str, count: int, *, seed: int = 1, largest: int = 12_000) -> str:
    """Fill a directory with many small files in many directories, as package managers do."""
    choice = random.Random(seed)
    text = choice.randbytes(4096).hex().encode() * 4
    made = 0
    while made < count:
        inside = choice.choices(["lib", "dist", "src", "test"], k=choice.randrange(3))
        package = os.path.join(root, f"package-{made:05}", *inside)
        os.makedirs(package, exist_ok=True)
        for number_ in range(min(count - made, choice.randrange(1, 40))):
            size = min(int(choice.expovariate(1 / 3000)), largest)
            start = choice.randrange(len(text) - size)
            with open(os.path.join(package, f"file{number_}.js"), "wb") as file:
                file.write(text[start : start + size])
            made += 1
    return root


@dataclass(frozen=True)
class Fact:
    """The facts that a tar has about one path; `links` are all paths of its inode. Equal trees have equal facts."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime: int | None
    size: int | None
    content: str
    device: tuple[int, int]
    xattrs: tuple[tuple[str, bytes], ...]
    links: tuple[bytes, ...]


def tree_manifest(
    root: str, *, times: bool = True, owners: bool = True, skip: tuple[str, ...] = ()
) -> dict[bytes, Fact]:
    """Describe every path below a directory: type, mode, owner, nanoseconds, contents, links, device, xattrs.

    Args:
        root: the directory; it is included as `b"."`, but without its time, which any temporary file changes.
        times: whether to include modification times.
        owners: whether to include owners.
        skip: names directly in the directory to leave out.
    """
    paths = sorted(_walk(os.fsencode(root), {os.fsencode(name) for name in skip}))
    shared: dict[tuple[int, int], list[bytes]] = {}
    stats = {path: os.lstat(os.path.join(os.fsencode(root), path)) for path in paths}
    for path, found in stats.items():
        if not stat.S_ISDIR(found.st_mode):
            shared.setdefault((found.st_dev, found.st_ino), []).append(path)
    return {path: _fact(os.fsencode(root), path, stats[path], shared, times, owners) for path in paths}


def _walk(root: bytes, skip: set[bytes]) -> Iterable[bytes]:
    yield b"."
    for path in paths_below(root, skip):
        yield path[len(root.rstrip(b"/")) + 1 :]


def paths_below(root: bytes, skip: set[bytes] | None = None) -> Iterable[bytes]:
    """Yield every path in a directory. os.walk recurses for each level, and so fails at a depth of a thousand."""
    pending = [root]
    while pending:
        folder = pending.pop()
        with os.scandir(folder) as found:
            for item in found:
                if folder != root or item.name not in (skip or ()):
                    yield item.path
                    if item.is_dir(follow_symlinks=False):
                        pending.append(item.path)


def _fact(
    root: bytes,
    path: bytes,
    found: os.stat_result,
    shared: Mapping[tuple[int, int], list[bytes]],
    times: bool,
    owners: bool,
) -> Fact:
    full = os.path.join(root, path)
    content = ""
    if stat.S_ISREG(found.st_mode):
        with open(full, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    elif stat.S_ISLNK(found.st_mode):
        content = repr(os.readlink(full))
    is_device = stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)
    return Fact(
        kind=stat.filemode(found.st_mode)[0],
        mode=stat.S_IMODE(found.st_mode),
        owner=(found.st_uid, found.st_gid) if owners else (0, 0),
        mtime=found.st_mtime_ns if times and path != b"." else None,
        size=found.st_size if stat.S_ISREG(found.st_mode) else None,
        content=content,
        device=(os.major(found.st_rdev), os.minor(found.st_rdev)) if is_device else (0, 0),
        xattrs=_xattrs(full),
        links=tuple(shared.get((found.st_dev, found.st_ino), ())),
    )


def _xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    names = sorted(set(os.listxattr(path, follow_symlinks=False)) - {"security.selinux"})
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)


def differences(one: Mapping[bytes, Fact], other: Mapping[bytes, Fact], *, limit: int = 10) -> list[str]:
    """Describe how two manifests differ, in at most `limit` lines; [] if they are equal."""
    found = []
    for path in sorted({*one, *other}):
        left, right = one.get(path), other.get(path)
        if left is None or right is None:
            found.append(f"{path!r} is only in the {'second' if left is None else 'first'}")
        elif left != right:
            pairs = ((name, getattr(left, name), getattr(right, name)) for name in vars(left))
            parts = [f"{name} {mine!r} ≠ {theirs!r}" for name, mine, theirs in pairs if mine != theirs]
            found.append(f"{path!r}: {', '.join(parts)}")
    return found[:limit]


def listing(*roots: str) -> dict[str, str]:
    """Return every path below some directories with its type and size, but not its contents."""
    found = {}
    for root in roots:
        for path in paths_below(os.fsencode(root)):
            about = os.lstat(path)
            size = "" if stat.S_ISDIR(about.st_mode) else f" {about.st_size}"
            found[os.path.relpath(os.fsdecode(path), root)] = stat.filemode(about.st_mode)[0] + size
    return found
