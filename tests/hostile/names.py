"""Names that climb, start at the root, are too long, too deep, or not names at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.builders import Entry, directory, gnu_long, hardlink, make_tar, node, pax_header, regular, symlink
from tests.hostile.case import Aim, Cases

if TYPE_CHECKING:
    from collections.abc import Callable

climbing = Cases("climbing")
absolute = Cases("absolute")
odd = Cases("name")
root = Cases("root")

TYPES: dict[str, Callable[[bytes], Entry]] = {
    "file": lambda name: regular(name, b"written by the archive"),
    "directory": lambda name: directory(name, mode=0o777),
    "symlink": lambda name: symlink(name, "/nowhere"),
    "hardlink": lambda name: hardlink(name, "bait"),
    "fifo": lambda name: node(name, b"6"),
    "device": lambda name: node(name, b"3", (1, 3)),
}

for kind, make in TYPES.items():
    for depth in (1, 4, 5, 12):
        climbing.refuse(
            f"{kind}-up-{depth}",
            make_tar(regular("bait", b"bait"), make(b"../" * depth + b"canary/victim")),
        )
    climbing.refuse(f"{kind}-to-canary", lambda aim, make=make: make_tar(regular("bait"), make(aim.climbing + b"/new")))  # type: ignore[misc]
    absolute.keep(
        f"{kind}-at-canary",
        lambda aim, make=make: make_tar(regular("bait"), make(aim.canary + b"/victim")),  # type: ignore[misc]
    )

for label, name in {
    "after-a-step": b"a/../../canary/victim",
    "after-two-steps": b"a/b/../../../canary/victim",
    "after-a-dot": b"./../canary/victim",
    "with-slashes": b".//..//canary//victim",
    "to-the-parent": b"..",
    "to-the-parent-slash": b"../",
    "at-the-end": b"a/../..",
    "absolute": b"/../../canary/victim",
    "absolute-to-parent": b"/..",
}.items():
    climbing.refuse(label, make_tar(regular(name, b"written")))

climbing.refuse("in-pax-path", make_tar(regular("harmless", b"x", pax={b"path": b"../../canary/victim"})))
climbing.refuse("in-gnu-name", make_tar(gnu_long(b"../../canary/victim"), regular("harmless", b"x")))
climbing.refuse("in-prefix", make_tar(regular("victim", b"x", prefix=b"../../canary")))
climbing.refuse("in-prefix-and-name", make_tar(regular("../victim", b"x", prefix=b"a/../../canary")))
climbing.refuse("last-of-many", make_tar(*(regular(f"f{n}", b"x") for n in range(50)), regular("../escape", b"x")))
climbing.refuse("in-whiteout", make_tar(regular("../../canary/.wh.victim")), on_parent=True)
climbing.refuse("in-opaque", make_tar(regular("../../canary/.wh..wh..opq")), on_parent=True)

absolute.keep("in-pax-path", lambda aim: make_tar(regular("harmless", b"x", pax={b"path": aim.canary + b"/victim"})))
absolute.keep("in-gnu-name", lambda aim: make_tar(gnu_long(aim.canary + b"/victim"), regular("harmless", b"x")))
absolute.keep("in-prefix", make_tar(regular("passwd", b"x", prefix=b"/etc")))
absolute.keep("doubled", make_tar(regular("//etc//passwd", b"x")))
absolute.keep("proc", make_tar(regular("/proc/self/root/etc/passwd", b"x")))
absolute.keep("whiteout", lambda aim: make_tar(regular(aim.canary + b"/.wh.victim")), on_parent=True)

# Names that only look like something else, and names that no file system takes.
odd.keep("three-dots", make_tar(regular(".../x", b"x")))
odd.keep("backslashes", make_tar(regular("..\\..\\canary\\victim", b"x")))
odd.keep("space-before-dots", make_tar(regular(" ../x", b"x")))
odd.keep("inner-step-up", make_tar(directory("a"), regular("a/../b", b"x")))
odd.keep("newlines", make_tar(regular("line\nbreak\r\x1b[2J", b"x")))
odd.keep("not-unicode", make_tar(regular(b"\xff\xfe\x80", b"x")))
odd.keep("option-like", make_tar(regular("--checkpoint-action=exec=sh", b"x")))
odd.keep("full-component", make_tar(regular(b"n" * 255, b"x")))
odd.refuse("component-too-long", make_tar(regular(b"n" * 256, b"x")))
odd.refuse("directory-too-long", make_tar(directory(b"n" * 256)))
odd.refuse("symlink-name-too-long", make_tar(symlink(b"n" * 300, "x")))
odd.refuse("64-KiB-component", make_tar(regular(b"n" * 65536, b"x")))
odd.refuse("64-KiB-component-gnu", make_tar(gnu_long(b"n" * 65536), regular("short", b"x")))
odd.keep("64-KiB-of-slashes", make_tar(regular(b"/" * 65535 + b"f", b"x")))
odd.keep("64-KiB-of-dots", make_tar(regular(b"./" * 32767 + b"f", b"x")))
odd.refuse("64-KiB-of-directories", make_tar(regular(b"d/" * 32767 + b"f", b"x")))
odd.either("3-KiB-of-directories", make_tar(regular(b"d/" * 1500 + b"f", b"x")))
odd.refuse("9-KiB-of-full-components", make_tar(regular((b"n" * 255 + b"/") * 36 + b"f", b"x")))
odd.keep(
    "nested-one-by-one", make_tar(*(directory(b"d/" * depth) for depth in range(1, 301)), regular(b"d/" * 300 + b"f"))
)
odd.refuse("empty", make_tar(Entry(b"", b"x")))
odd.keep("empty-directory", make_tar(Entry(b"", type=b"5")))
odd.refuse("empty-symlink", make_tar(Entry(b"", type=b"2", linkname=b"/etc")))
odd.keep("file-with-slash", make_tar(Entry(b"file/", b"x")))
odd.keep("symlink-with-slash", lambda aim: make_tar(Entry(b"link/", type=b"2", linkname=aim.canary)))
odd.refuse("nul-in-pax", make_tar(regular("f", b"x", pax={b"path": b"a\0b"})))
odd.keep("nul-in-gnu", make_tar(gnu_long(b"kept\0/../../cut"), regular("short", b"x")))
odd.refuse("file-as-directory", make_tar(regular("f", b"x"), regular("f/inside", b"y")))
odd.refuse("fifo-as-directory", make_tar(node("f", b"6"), regular("f/inside", b"y")))
odd.refuse("pax-path-over-1-MiB", make_tar(pax_header({b"path": b"p" * (1 << 20)}), regular("f")))

# The root of the layer as anything but a directory.
for label, name in {"dot": b".", "dot-slash": b"./", "slash": b"/", "dot-dot-inside": b"a/.."}.items():
    root.refuse(f"file-{label}", make_tar(directory("a"), Entry(name, b"x")))
    root.refuse(f"symlink-{label}", lambda aim, name=name: _root_link(aim, name))  # type: ignore[misc]
    root.refuse(f"fifo-{label}", make_tar(directory("a"), Entry(name, type=b"6")))
root.refuse("hardlink", make_tar(regular("a", b"x"), Entry(b".", type=b"1", linkname=b"a")))
root.refuse("hardlink-to-root", make_tar(Entry(b"a", type=b"1", linkname=b".")))
root.keep("directory-twice", make_tar(directory("./", mode=0o700), directory("/", mode=0o711)))
root.keep("no-permissions", make_tar(directory("./", mode=0), regular("f", b"x")))
root.keep("absolute-directory", make_tar(directory("/", mode=0o7777, uid=12345), regular("f", b"x")))


def _root_link(aim: Aim, name: bytes) -> bytes:
    return make_tar(directory("a"), Entry(name, type=b"2", linkname=aim.canary), regular("victim", b"x"))
