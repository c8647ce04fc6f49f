"""Streams that end too early, are compressed badly, or swell."""

from __future__ import annotations

import gzip
import random
import struct
import zlib

import zstandard

from tests.builders import compress, flip_byte, make_tar, regular, typical_tar
from tests.hostile.case import Aim, Cases

cut = Cases("cut")
compressed = Cases("compressed")
bombs = Cases("bomb")

TAR = typical_tar(files=6, size=2000)
BIG = make_tar(regular("big", random.Random(7).randbytes(300_000)), regular("after", b"x"))

# Inside a header or a body the end is an error; between entries it is what some writers do.
LONE = make_tar(regular("one", b"b" * 1000), regular("two", b"c" * 1000))
for label, at in {
    "in-first-header": 1,
    "in-first-header-late": 511,
    "before-first-body": 512,
    "in-first-body": 700,
    "last-byte-of-first-body": 512 + 999,
    "in-second-header": 1536 + 100,
    "before-second-body": 1536 + 512,
    "in-second-body": 1536 + 512 + 500,
}.items():
    cut.refuse(label, LONE[:at])
cut.refuse("text", b"this is not an archive at all, it only goes on and on\n" * 30)
cut.refuse("three-letters", b"jun")
cut.refuse("in-a-large-body", BIG[:200_000])
cut.keep("after-first-body", LONE[: 512 + 1000])
cut.keep("in-padding-of-first-body", LONE[: 512 + 1010])
cut.keep("after-first-entry", LONE[:1536])
cut.keep("before-the-end-blocks", LONE[:3072])
cut.keep("after-one-end-block", LONE[: 3072 + 512])
cut.refuse("in-first-end-block", LONE[: 3072 + 100])
cut.refuse("in-second-end-block", LONE[: 3072 + 600])
cut.keep("nothing-at-all", b"")
cut.keep("one-zero-block", bytes(512))
cut.keep("many-zero-blocks", bytes(512 * 100))
choice = random.Random(20)
for at in sorted(choice.sample(range(1, len(TAR)), 20)):
    cut.either(f"at-{at}", TAR[:at])

for kind in ("gzip", "bzip2", "xz", "zstd"):
    packed = compress(TAR, kind)
    for share in (5, 25, 50, 75, 95):
        compressed.refuse(f"{kind}-cut-at-{share}-percent", packed[: len(packed) * share // 100])
    compressed.refuse(f"{kind}-last-byte-missing", packed[:-1])
    compressed.refuse(f"{kind}-magic-only", packed[:6])
    compressed.refuse(f"{kind}-flipped-in-the-middle", flip_byte(packed, len(packed) // 2))
    compressed.refuse(f"{kind}-magic-then-noise", packed[:6] + random.Random(3).randbytes(4000))
    compressed.refuse(f"{kind}-of-garbage", compress(b"no archive inside\n" * 100, kind))
    compressed.refuse(f"{kind}-of-itself", compress(packed, kind))
    compressed.refuse(f"{kind}-of-hostile", compress(make_tar(regular("../../canary/victim", b"x")), kind))
    compressed.refuse(f"{kind}-of-a-cut-tar", compress(LONE[:700], kind))
    compressed.keep(f"{kind}-of-nothing", compress(b"", kind), tar=b"")
    compressed.keep(f"{kind}-twice-in-a-row", compress(TAR[:5000], kind) + compress(TAR[5000:], kind), tar=TAR)
    compressed.refuse(f"{kind}-then-noise", packed + b"noise after the end" * 50)

GZIP = gzip.compress(TAR, mtime=0)
compressed.refuse("gzip-wrong-crc", flip_byte(GZIP, len(GZIP) - 8))
compressed.refuse("gzip-wrong-length", flip_byte(GZIP, len(GZIP) - 1))
compressed.refuse("gzip-header-field-without-end", b"\x1f\x8b\x08\x08" + b"\0" * 6 + b"n" * 100_000)
compressed.refuse("gzip-reserved-flags", flip_byte(GZIP, 3))
compressed.refuse("zlib-without-gzip", zlib.compress(TAR))
compressed.refuse("zstd-window-of-4-GiB", b"\x28\xb5\x2f\xfd" + b"\x00\xb0" + b"\x01\x00\x00")
compressed.refuse("zstd-unknown-dictionary", b"\x28\xb5\x2f\xfd\x23" + struct.pack("<I", 77) + b"\x00\x01\x00\x00")
compressed.keep(
    "zstd-skippable-first", b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"skip" + compress(TAR, "zstd"), tar=TAR
)
compressed.keep(
    "zstd-skippable-last", compress(TAR, "zstd") + b"\x50\x2a\x4d\x18" + struct.pack("<I", 4) + b"skip", tar=TAR
)
compressed.refuse("zstd-content-size-lies", zstandard.ZstdCompressor().compress(TAR)[:-20])

# Small on the wire, large on disk or in memory, but not endless: they are kept, and nothing else suffers.
# They are made when their turn comes, not when the tests are collected.


def zeros(_: Aim) -> bytes:
    """One file of nothing."""
    return make_tar(regular("zeros", bytes(48 << 20)))


def tail(_: Aim) -> bytes:
    """A small archive, and much after its end."""
    return LONE + bytes(32 << 20)


def swarm(_: Aim) -> bytes:
    """Many entries without a body."""
    return make_tar(*(regular(f"{number % 50}/{number}") for number in range(5000)))


def members(aim: Aim) -> bytes:
    """The swarm in hundreds of gzip members."""
    data = swarm(aim)
    return b"".join(gzip.compress(data[at : at + 4096], mtime=0) for at in range(0, len(data), 4096))


bombs.keep("gzip-48-MiB", lambda aim: compress(zeros(aim), "gzip"), tar=zeros)
bombs.keep("zstd-48-MiB", lambda aim: compress(zeros(aim), "zstd"), tar=zeros)
bombs.keep("32-MiB-after-the-end", lambda aim: compress(tail(aim), "gzip"), tar=tail)
bombs.keep("five-thousand-empty-files", lambda aim: compress(swarm(aim), "gzip"), tar=swarm)
bombs.keep("six-hundred-gzip-members", members, tar=swarm)
