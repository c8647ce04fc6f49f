"""Devices, fifos, entry types nobody knows, and attributes that would change what the layer means."""

from __future__ import annotations

from tests.builders import Entry, base256, directory, hardlink, make_tar, node, pax_record, regular, symlink
from tests.hostile.case import Cases

devices = Cases("device")
types = Cases("type")
xattrs = Cases("xattr")

devices.keep("null", make_tar(node("null", b"3", (1, 3), mode=0o666)))
devices.keep("block", make_tar(node("disk", b"4", (8, 0), mode=0o660)))
devices.keep("null-then-file", make_tar(node("null", b"3", (1, 3)), regular("null", b"not into the device")))
devices.keep("fifo-then-file", make_tar(node("f", b"6"), regular("f", b"must not wait for a reader")))
devices.keep("file-then-fifo", make_tar(regular("f", b"x"), node("f", b"6")))
devices.keep("fifo-with-owner-and-time", make_tar(node("f", b"6", uid=4711, mode=0o4777, mtime=1)))
devices.keep("whiteout-node", make_tar(node("kept", b"3", (0, 0))), on_parent=True)
devices.keep("whiteout-node-with-body-size", make_tar(Entry(b"w", type=b"3", size=1 << 40)))
devices.keep("numbers-over-the-edge", make_tar(node("big", b"3", (4095, 1048575))))
devices.keep("numbers-over-the-field", make_tar(node("big", b"3", (2**21 - 1, 2**21 - 1))))
devices.keep("major-negative", make_tar(node("n", b"3", raw={"devmajor": base256(-1, 8)})))
devices.keep("minor-huge", make_tar(node("n", b"3", raw={"devminor": base256(2**56, 8)})))
devices.refuse("major-not-octal", make_tar(node("n", b"3", raw={"devmajor": b"99999999"})))
devices.keep("size-without-body", make_tar(node("n", b"3", (1, 3), size=4096)))
devices.refuse("inside-itself", make_tar(node("n", b"3", (1, 3)), regular("n/x", b"x")))

for code in b"7SDMNVZ!\xff8A":
    add = types.keep if code in b"7DV" else types.refuse
    add(f"{code:#04x}", make_tar(Entry(b"odd", b"body", type=bytes([code]))))
types.keep("old-directory", make_tar(Entry(b"old/", type=b"\0", magic=b"", mode=0o755)))
types.keep("old-file", make_tar(Entry(b"old", b"body", type=b"\0", magic=b"")))
ESCAPE = pax_record(b"path", b"../escape")
types.keep("global-header", make_tar(Entry(b"global", ESCAPE, type=b"g"), regular("f", b"x")))
types.refuse("directory-with-body", make_tar(Entry(b"d/", b"x" * 600, type=b"5"), regular("f", b"x")))
types.refuse("symlink-with-body", make_tar(Entry(b"s", b"x" * 600, type=b"2", linkname=b"x"), regular("f", b"x")))
types.keep("directory-with-size-only", make_tar(Entry(b"d/", type=b"5", size=1 << 30), regular("f", b"x")))
types.keep("hardlink-with-size-only", make_tar(regular("a", b"x"), Entry(b"h", type=b"1", linkname=b"a", size=1 << 30)))
types.keep("setuid-everything", make_tar(directory("d", mode=0o7777), regular("d/f", b"x", mode=0o7777)))
types.keep("mode-beyond-bits", make_tar(regular("f", b"x", mode=0o1777777)))
types.keep("no-permissions", make_tar(directory("d", mode=0), regular("d/f", b"x", mode=0)))

# Attributes with which overlay and its helpers rule a tree: they stay in the archive and never reach the disk.
RESERVED = (
    b"trusted.overlay.opaque", b"trusted.overlay.redirect", b"trusted.overlay.metacopy", b"trusted.overlay.whiteout",
    b"user.overlay.opaque", b"user.overlay.redirect", b"user.overlay.origin", b"user.containers.override_stat",
    b"user.fuseoverlayfs.opaque", b"user.fuseoverlayfs.override_stat",
)  # fmt: skip
for name in RESERVED:
    pax = {b"SCHILY.xattr." + name: b"y"}
    xattrs.keep(f"{name.decode()}-on-file", make_tar(regular("f", b"x", pax=pax)))
    xattrs.keep(f"{name.decode()}-on-directory", make_tar(directory("kept", pax=pax)), on_parent=True)
xattrs.keep("redirect-out", make_tar(directory("d", pax={b"SCHILY.xattr.trusted.overlay.redirect": b"/../../etc"})))
xattrs.keep("reserved-on-root", make_tar(directory("./", pax={b"SCHILY.xattr.trusted.overlay.opaque": b"y"})))
xattrs.refuse("garbage-capability", make_tar(regular("f", b"x", pax={b"SCHILY.xattr.security.capability": b"junk"})))
xattrs.keep("garbage-acl", make_tar(regular("f", b"x", pax={b"SCHILY.xattr.system.posix_acl_access": b"junk"})))
xattrs.refuse("without-name", make_tar(regular("f", b"x", pax={b"SCHILY.xattr.": b"1"})))
xattrs.keep("without-namespace", make_tar(regular("f", b"x", pax={b"SCHILY.xattr.bare": b"1"})))
xattrs.keep("unknown-namespace", make_tar(regular("f", b"x", pax={b"SCHILY.xattr.martian.word": b"1"})))
xattrs.refuse("name-of-300", make_tar(regular("f", b"x", pax={b"SCHILY.xattr.user." + b"n" * 300: b"1"})))
xattrs.keep("name-with-equals", make_tar(regular("f", b"x", pax={b"SCHILY.xattr.user.a=b": b"1"})))
xattrs.refuse("value-over-64-KiB", make_tar(regular("f", b"x", pax={b"SCHILY.xattr.user.big": b"v" * 65537})))
MANY = {b"SCHILY.xattr.user.%04d" % n: b"" for n in range(3000)}
xattrs.either("three-thousand", make_tar(regular("f", b"x", pax=MANY)))
xattrs.keep("value-with-nul", make_tar(regular("f", b"x", pax={b"SCHILY.xattr.user.nul": b"a\0b"})))
xattrs.refuse("user-on-symlink", make_tar(symlink("s", "x", pax={b"SCHILY.xattr.user.mark": b"1"})))
xattrs.refuse("user-on-fifo", make_tar(node("f", b"6", pax={b"SCHILY.xattr.user.mark": b"1"})))
xattrs.keep("on-hardlink", make_tar(regular("a", b"x"), hardlink("h", "a", pax={b"SCHILY.xattr.user.mark": b"1"})))
