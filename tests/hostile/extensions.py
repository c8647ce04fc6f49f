"""PAX, GNU and sparse headers that lie about themselves or about what follows."""

from __future__ import annotations

from tests.builders import Entry, base256, gnu_long, make_tar, number, pax_header, pax_record, regular
from tests.hostile.case import Cases

pax = Cases("pax")
gnu = Cases("gnu")
sparse = Cases("sparse")

MIB = 1 << 20

for label, body in {
    "length-too-short": b"10 path=longer-than-ten\n",
    "length-too-long": b"99 path=x\n",
    "length-zero": b"0 path=x\n",
    "length-negative": b"-9 path=x\n",
    "length-of-itself": b"2 \n",
    "length-hex": b"0xa path=x\n",
    "length-plus": b"+10 path=x\n",
    "length-underscore": b"1_0 path=x\n",
    "length-missing": b" path=x\n",
    "length-of-thirty-digits": b"9" * 30 + b" path=x\n",
    "length-unicode": "\u0661\u0660 path=x\n".encode(),
    "no-space": b"9path=xy\n",
    "no-equals": b"9 pathxy\n",
    "no-newline": b"9 path=xy",
    "no-key": b"6 =xy\n",
    "nul-in-key": pax_record(b"pa\0th", b"x"),
    "nul-in-linkpath": pax_record(b"linkpath", b"a\0b"),
    "nul-in-uname": pax_record(b"uname", b"a\0b"),
    "second-record-cut": pax_record(b"comment", b"fine") + b"30 path=cut",
    "only-noise": b"\xff" * 600,
}.items():
    pax.refuse(label, make_tar(pax_header(body), regular("f", b"x")))

pax.refuse("over-1-MiB", make_tar(pax_header(pax_record(b"comment", b"c" * (MIB + 1))), regular("f", b"x")))
pax.refuse("claims-8-GiB", make_tar(Entry(b"pax", type=b"x", raw={"size": b"77777777777\0"}), regular("f", b"x")))
pax.refuse("claims-2^63", make_tar(Entry(b"pax", type=b"x", raw={"size": base256(2**63 - 1, 12)}), regular("f", b"x")))
pax.keep("just-under-1-MiB", make_tar(pax_header(pax_record(b"comment", b"c" * (MIB - 30))), regular("f", b"x")))
pax.keep("ten-thousand-records", make_tar(pax_header({b"k%05d" % n: b"v" for n in range(10000)}), regular("f", b"x")))
pax.keep("empty-body", make_tar(pax_header(b""), regular("f", b"x")))
pax.keep("empty-path", make_tar(regular("kept", b"x", pax={b"path": b""})))
TWICE = pax_record(b"path", b"../out") + pax_record(b"path", b"in")
pax.keep("duplicate-keys", make_tar(pax_header(TWICE), regular("f", b"x")))
pax.keep("key-with-slash-and-dots", make_tar(regular("f", b"x", pax={b"../../path": b"x"})))
pax.keep("two-in-a-row", make_tar(pax_header({b"path": b"../out"}), pax_header({b"path": b"in"}), regular("f", b"x")))
pax.keep("global-path", make_tar(pax_header({b"path": b"../../escape"}, type_=b"g"), regular("f", b"x")))
pax.keep("global-size", make_tar(pax_header({b"size": b"99999"}, type_=b"g"), regular("f", b"x")))
pax.keep("nothing-follows", make_tar(pax_header({b"path": b"x"})))
pax.refuse("cut-in-body", pax_header(pax_record(b"comment", b"c" * 2000))[:1500])
pax.refuse("other-error-after-sound-entries", make_tar(regular("a", b"x"), pax_header(b"junk"), regular("f", b"x")))
pax.keep("linkpath-on-a-file", make_tar(regular("f", b"x", pax={b"linkpath": b"/etc/passwd"})))

gnu.refuse("name-over-1-MiB", make_tar(gnu_long(b"n" * (MIB + 1)), regular("f", b"x")))
gnu.refuse("name-claims-8-GiB", make_tar(Entry(b"L", type=b"L", raw={"size": b"77777777777\0"}), regular("f", b"x")))
gnu.refuse("name-cut", gnu_long(b"n" * 4000)[:3000])
gnu.keep("name-then-nothing", make_tar(gnu_long(b"n" * 200)))
gnu.keep("empty-name", make_tar(gnu_long(b""), regular("f", b"x")))
gnu.keep("two-names", make_tar(gnu_long(b"../out"), gnu_long(b"in"), regular("f", b"x")))
gnu.keep("name-and-pax", make_tar(pax_header({b"path": b"../out"}), gnu_long(b"in"), regular("f", b"x")))
gnu.keep("link-on-a-file", make_tar(gnu_long(b"/etc/passwd", b"K"), regular("f", b"x")))
gnu.refuse("link-of-64-KiB", make_tar(gnu_long(b"t" * 65536, b"K"), Entry(b"s", type=b"2")))
gnu.refuse("hardlink-climbing", make_tar(gnu_long(b"../../canary/secret", b"K"), Entry(b"h", type=b"1")))


def old_sparse(pieces: list[tuple[int, int]], real_size: int, body: bytes, *, more: bytes = b"\0") -> bytes:
    """Write an old GNU sparse file: a map of at most four pieces inside the header."""
    table = b"".join(number(offset, 12) + number(length, 12) for offset, length in pieces)
    raw: dict[str | int, bytes] = {386: table, 482: more, 483: number(real_size, 12)}
    return make_tar(Entry(b"sparse", body, type=b"S", magic=b"ustar  \0", raw=raw))


BODY = b"d" * 512
sparse.keep("old-sound", old_sparse([(0, 512)], 4096, BODY))
sparse.refuse("old-overlapping", old_sparse([(0, 512), (100, 512)], 4096, BODY * 2))
sparse.refuse("old-descending", old_sparse([(2048, 512), (0, 512)], 4096, BODY * 2))
sparse.refuse("old-beyond-the-end", old_sparse([(4000, 512)], 4096, BODY))
sparse.refuse("old-more-data-than-map", old_sparse([(0, 512)], 4096, BODY * 3))
sparse.refuse("old-less-data-than-map", old_sparse([(0, 512), (1024, 2048)], 4096, BODY))
sparse.either("old-8-EiB", old_sparse([(2**62, 512)], 2**63 - 1, BODY))
sparse.refuse("old-negative", old_sparse([(-512, 512)], 4096, BODY))
sparse.refuse("old-map-goes-on-and-ends", old_sparse([(0, 512)], 4096, b"", more=b"\1")[:512])

V01 = {b"GNU.sparse.major": b"0", b"GNU.sparse.minor": b"1"}


def sparse_01(map_: bytes, *, size: bytes = b"4096", body: bytes = BODY, **more: bytes) -> bytes:
    """Write a PAX 0.1 sparse file with any map."""
    count = b"%d" % ((map_.count(b",") + 1) // 2)
    records = {**V01, b"GNU.sparse.map": map_, b"GNU.sparse.size": size, b"GNU.sparse.numblocks": count}
    extra = {key.replace("_", ".").encode(): value for key, value in more.items()}
    return make_tar(regular("sparse", body, pax={**records, **extra}))


def sparse_10(map_: bytes, *, real_size: bytes = b"4096", body: bytes = BODY, name: bytes = b"sparse") -> bytes:
    """Write a PAX 1.0 sparse file: the map stands before the data."""
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.realsize": real_size,
        b"GNU.sparse.name": name,
    }
    return make_tar(regular("GNUSparseFile.0/sparse", map_ + bytes(-len(map_) % 512) + body, pax=records))


sparse.keep("0.1-sound", sparse_01(b"0,512"))
sparse.refuse("0.1-overlapping", sparse_01(b"0,512,100,512", body=BODY * 2))
sparse.refuse("0.1-negative", sparse_01(b"-1,512"))
sparse.refuse("0.1-not-numbers", sparse_01(b"zero,much"))
sparse.refuse("0.1-odd-count", make_tar(regular("s", BODY, pax={**V01, b"GNU.sparse.map": b"0,256,256"})))
sparse.refuse("0.1-count-lies", sparse_01(b"0,512", GNU_sparse_numblocks=b"99999999999"))
sparse.refuse("0.1-overflow", sparse_01(b"9223372036854775807,512"))
sparse.refuse("0.1-beyond-the-end", sparse_01(b"8192,512"))
sparse.refuse("0.1-data-missing", sparse_01(b"0,512,1024,2048"))
sparse.refuse("0.1-data-left-over", sparse_01(b"0,512", body=BODY * 4))
sparse.refuse("0.1-name-climbs", sparse_01(b"0,512", GNU_sparse_name=b"../../canary/victim"))
sparse.keep("1.0-sound", sparse_10(b"1\n0\n512\n"))
sparse.refuse("1.0-name-climbs", sparse_10(b"1\n0\n512\n", name=b"../../canary/victim"))
sparse.refuse("1.0-count-lies", sparse_10(b"2\n0\n512\n"))
sparse.refuse("1.0-count-huge", sparse_10(b"99999999999999\n0\n512\n"))
sparse.refuse("1.0-count-negative", sparse_10(b"-1\n0\n512\n"))
sparse.refuse("1.0-count-missing", sparse_10(b"\n\n\n"))
sparse.refuse("1.0-not-numbers", sparse_10(b"one\nzero\nmany\n"))
sparse.refuse("1.0-no-newline", sparse_10(b"1" * 512, body=b""))
sparse.refuse("1.0-overlapping", sparse_10(b"2\n0\n512\n100\n512\n", body=BODY * 2))
sparse.refuse("1.0-offset-overflow", sparse_10(b"1\n9223372036854775807\n512\n"))
sparse.refuse("1.0-real-size-negative", sparse_10(b"1\n0\n512\n", real_size=b"-4096"))
sparse.refuse("1.0-real-size-smaller", sparse_10(b"1\n0\n512\n", real_size=b"100"))
sparse.either("1.0-8-EiB-of-nothing", sparse_10(b"1\n0\n512\n", real_size=b"9223372036854775807"))
sparse.either("1.0-one-TiB-of-nothing", sparse_10(b"1\n0\n512\n", real_size=b"1099511627776"))
sparse.refuse("1.0-map-over-1-MiB", sparse_10(b"400000\n" + b"0\n0\n" * 400000))
