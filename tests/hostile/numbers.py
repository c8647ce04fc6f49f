"""Header fields that lie: checksums, sizes, owners, times."""

from __future__ import annotations

from tests.builders import END, FIELDS, Entry, base256, flip_byte, make_tar, regular
from tests.hostile.case import Cases

checksums = Cases("checksum")
sizes = Cases("size")
fields = Cases("field")

SOUND = regular("file", b"sound body", uname=b"root", gname=b"root")

checksums.refuse("zero", make_tar(SOUND.but(checksum=b"000000\0 ")))
checksums.refuse("off-by-one", make_tar(SOUND.but(checksum=b"%06o\0 " % (sum(SOUND.header()) + 1))))
checksums.refuse("blank", make_tar(SOUND.but(checksum=b"        ")))
checksums.refuse("nul", make_tar(SOUND.but(checksum=b"\0" * 8)))
checksums.refuse("letters", make_tar(SOUND.but(checksum=b"deadbeef")))
checksums.refuse("decimal-nines", make_tar(SOUND.but(checksum=b"999999\0 ")))
checksums.refuse("negative", make_tar(SOUND.but(checksum=b"-00001\0 ")))
checksums.refuse("python-prefix", make_tar(SOUND.but(checksum=b"0o1234\0 ")))
checksums.refuse("underscore", make_tar(SOUND.but(checksum=b"01_234\0 ")))
checksums.refuse("base-256", make_tar(SOUND.but(checksum=base256(1, 8))))
for field, (offset, _) in FIELDS.items():
    checksums.refuse(f"bit-flip-in-{field}", flip_byte(make_tar(SOUND), offset))
checksums.refuse("second-entry", make_tar(SOUND, regular("two", b"x", checksum=b"000000\0 ")))
checksums.refuse("last-of-hundred", make_tar(*(regular(f"f{n}") for n in range(99)), regular("z", checksum=b"1")))


def signed(entry: Entry) -> bytes:
    """The checksum that old tars on machines with signed characters wrote."""
    block = bytearray(entry.header())
    block[148:156] = b" " * 8
    return b"%06o\0 " % sum(byte - 256 if byte > 127 else byte for byte in block)


HIGH = regular(b"high-\xc3\xa9\xff\xfe", b"x")
checksums.keep("signed-sum", make_tar(HIGH.but(checksum=signed(HIGH))))

# The size field decides what is a header and what is a body.
for label, raw in {
    "negative": base256(-1, 12),
    "most-negative": base256(-(2**94), 12),
    "beyond-64-bits": base256(2**64, 12),
    "beyond-63-bits": base256(2**63, 12),
    "base-256-all-ones": b"\xff" * 12,
    "base-256-top": b"\x80" + b"\xff" * 11,
    "nines": b"99999999999\0",
    "letters": b"0x000000010\0",
    "python-prefix": b"0o000000010\0",
    "underscore": b"0000000_010\0",
    "minus": b"-0000000001\0",
    "plus": b"+0000000001\0",
    "fraction": b"000000001.5\0",
    "digits-after-spaces": b"1 0 0 0 0 0\0",
}.items():
    sizes.refuse(label, make_tar(regular("file", b"ten bytes.", raw={"size": raw})))
sizes.refuse("63-bits-without-body", make_tar(regular("file", b"x", raw={"size": base256(2**63 - 1, 12)})))
sizes.refuse("8-GiB-without-body", make_tar(regular("file", b"x", raw={"size": b"77777777777\0"})))
sizes.refuse("one-block-more", make_tar(regular("file", b"x" * 10, size=2048), end=b""))
sizes.refuse("pax-negative", make_tar(regular("file", b"x", pax={b"size": b"-1"})))
sizes.refuse("pax-beyond-64-bits", make_tar(regular("file", b"x", pax={b"size": b"9" * 30})))
sizes.refuse("pax-huge", make_tar(regular("file", b"x", pax={b"size": b"9223372036854775807"})))
sizes.refuse("pax-text", make_tar(regular("file", b"x", pax={b"size": b"many"})))
sizes.refuse("pax-hex", make_tar(regular("file", b"x", pax={b"size": b"0x10"})))
sizes.refuse("pax-underscore", make_tar(regular("file", b"x", pax={b"size": b"1_0"})))
sizes.refuse("pax-space", make_tar(regular("file", b"x", pax={b"size": b" 1"})))
sizes.refuse("pax-unicode-digit", make_tar(regular("file", b"x", pax={b"size": "\u0661".encode()})))
sizes.keep("blank", make_tar(Entry(b"empty", raw={"size": b" " * 12})))
sizes.keep("no-terminator", make_tar(regular("file", b"x", raw={"size": b"000000000001"})))
sizes.keep("base-256-small", make_tar(regular("file", b"x", raw={"size": base256(1, 12)})))
sizes.refuse("smaller-than-body", make_tar(regular("file", b"x" * 2000, size=100)))
sizes.refuse("pax-smaller-than-header", make_tar(regular("file", b"x" * 10, pax={b"size": b"0"})))
sizes.refuse("hides-a-header", make_tar(regular("outer", SOUND.header(), size=700), end=b""))

# Owners and times that no kernel takes, or takes for "leave as it is".
for who in ("uid", "gid"):
    fields.refuse(f"{who}-all-ones", make_tar(regular("f", b"x", **{who: 2**32 - 1})))
    fields.refuse(f"{who}-negative", make_tar(regular("f", b"x", raw={who: base256(-1, 8)})))
    fields.refuse(f"{who}-beyond-32-bits", make_tar(regular("f", b"x", **{who: 2**40})))
    fields.keep(f"{who}-largest", make_tar(regular("f", b"x", **{who: 2**32 - 2})))
    fields.refuse(f"{who}-letters", make_tar(regular("f", b"x", raw={who: b"rootroot"})))
    fields.refuse(f"pax-{who}-beyond-32-bits", make_tar(regular("f", b"x", pax={who.encode(): b"4294967296"})))
    fields.refuse(f"pax-{who}-negative", make_tar(regular("f", b"x", pax={who.encode(): b"-2"})))
    fields.refuse(f"pax-{who}-text", make_tar(regular("f", b"x", pax={who.encode(): b"root"})))
fields.refuse("mode-letters", make_tar(regular("f", b"x", raw={"mode": b"rwxr-xr-"})))
fields.keep("mode-negative", make_tar(regular("f", b"x", raw={"mode": base256(-1, 8)})))
fields.keep("mtime-largest", make_tar(regular("f", b"x", raw={"mtime": base256(2**63 - 1, 12)})))
fields.refuse("mtime-beyond-64-bits", make_tar(regular("f", b"x", raw={"mtime": base256(2**80, 12)})))
fields.keep("mtime-negative", make_tar(regular("f", b"x", raw={"mtime": base256(-5_000_000_000, 12)})))
fields.refuse("mtime-letters", make_tar(regular("f", b"x", raw={"mtime": b"yesterday..."})))
for value in (b"nan", b"inf", b"1e9", b"--1", b"1.2.3", b"0x1", b" 1", b".", b"1,5", b"\xd9\xa1"):
    fields.refuse(f"pax-mtime-{value!r}", make_tar(regular("f", b"x", pax={b"mtime": value})))
fields.keep("pax-mtime-long-fraction", make_tar(regular("f", b"x", pax={b"mtime": b"1." + b"9" * 400})))
fields.keep("pax-mtime-huge", make_tar(regular("f", b"x", pax={b"mtime": b"9" * 18})))
fields.refuse("pax-mtime-beyond-64-bits", make_tar(regular("f", b"x", pax={b"mtime": b"9" * 25})))
fields.keep("no-magic", make_tar(Entry(b"old", b"x", magic=b"")))
fields.keep("wrong-version", make_tar(regular("f", b"x", magic=b"ustar\x0099")))
fields.keep("garbage-in-padding-of-header", make_tar(regular("f", b"x", raw={500: b"twelve bytes"})))
fields.keep("garbage-in-padding-of-body", make_tar(regular("f", b"x", padding=b"\xaa" * 511)))
fields.refuse("one-zero-block-then-more", make_tar(regular("a", b"x"), bytes(512), regular("b", b"y")))
fields.keep("more-after-the-end", make_tar(regular("a", b"x"), END, regular("../../escape", b"x"), b"junk" * 99))
