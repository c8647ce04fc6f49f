"""Links that lead out of the layer, and entries that go through them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.builders import Entry, directory, hardlink, make_tar, node, regular, symlink, whiteout
from tests.hostile.case import Aim, Cases

if TYPE_CHECKING:
    from collections.abc import Callable

through = Cases("through")
hard = Cases("hardlink")
swap = Cases("swap")

# A symbolic link may point anywhere; what goes through it is resolved inside the layer, where it leads nowhere.
# A directory takes its place, and a removal beyond it has nothing to remove.
HARMLESS = ("itself-as-directory", "whiteout", "opaque")
PASSENGERS: dict[str, Callable[[], list[Entry]]] = {
    "file": lambda: [regular("d/victim", b"written through the link")],
    "directory": lambda: [directory("d/new", mode=0o777)],
    "itself-as-directory": lambda: [directory("d/", mode=0o777, uid=4711)],
    "symlink": lambda: [symlink("d/link", "/etc/passwd")],
    "hardlink-into": lambda: [regular("bait", b"x"), hardlink("d/bait", "bait")],
    "fifo": lambda: [node("d/fifo", b"6")],
    "device": lambda: [node("d/null", b"3", (1, 3))],
    "whiteout": lambda: [whiteout("d/victim")],
    "opaque": lambda: [regular("d/.wh..wh..opq")],
    "deep": lambda: [regular("d/folder/inside", b"written through the link")],
    "xattr": lambda: [regular("d/victim", b"x", pax={b"SCHILY.xattr.user.mark": b"1"})],
}
for passenger, entries in PASSENGERS.items():
    for way in ("absolute", "climbing"):
        (through.keep if passenger in HARMLESS else through.refuse)(
            f"{way}-link-{passenger}",
            lambda aim, entries=entries, way=way: make_tar(symlink("d", _target(aim, way)), *entries()),  # type: ignore[misc]
        )

INSIDE = ("root", "dot", "parent", "empty-steps")
for label, target in {
    "root": "/",
    "dot": ".",
    "parent": "..",
    "proc-root": "/proc/self/root",
    "proc-cwd": "/proc/self/cwd",
    "proc-fd": "/proc/self/fd/0",
    "proc-init": "/proc/1/root",
    "dev-shm": "/dev/shm",
    "nowhere": "/no/such/place",
    "itself": "d",
    "empty-steps": "./././../../..",
}.items():
    (through.keep if label in INSIDE else through.refuse)(
        f"link-to-{label}", make_tar(symlink("d", target), regular("d/hostile-mark", b"x"))
    )

through.refuse(
    "chain",
    lambda aim: make_tar(symlink("a", "b"), symlink("b", "d"), symlink("d", aim.canary), regular("a/victim", b"x")),
)
through.refuse("loop", make_tar(symlink("a", "b"), symlink("b", "a"), regular("a/x", b"x")))
through.keep(
    "nested",
    lambda aim: make_tar(
        directory("a"), symlink("a/up", "../../../../.."), regular(b"a/up" + aim.canary + b"/victim", b"x")
    ),
)
through.keep("link-of-the-parent-layer", make_tar(regular("out/victim", b"x")), on_parent=True)
through.keep("directory-over-parent-link", make_tar(directory("out/", mode=0o700)), on_parent=True)
through.keep("whiteout-through-parent-link", make_tar(whiteout("out/victim")), on_parent=True)
through.keep("opaque-through-parent-link", make_tar(regular("out/.wh..wh..opq")), on_parent=True)
through.keep("whiteout-of-parent-link", make_tar(whiteout("out"), regular("out/victim", b"x")), on_parent=True)
through.keep("link-text-of-4095", make_tar(symlink("long", "x" * 4095)))
through.refuse("link-text-of-4096", make_tar(symlink("long", "x" * 4096)))
through.refuse("link-text-of-1-MiB", make_tar(symlink("long", "x" * ((1 << 20) - 20))))
through.refuse("link-without-text", make_tar(symlink("empty", "")))
through.keep(
    "chmod-of-target",
    lambda aim: make_tar(symlink("s", aim.canary + b"/victim", mode=0o000, uid=4711, gid=4711, mtime=1)),
)
through.refuse(
    "xattr-of-target",
    lambda aim: make_tar(symlink("s", aim.canary + b"/victim", pax={b"SCHILY.xattr.user.mark": b"1"})),
)

# A hard link makes the outside file itself part of the layer, if it is let out.
for label, make in {
    "absolute": lambda aim: aim.canary + b"/secret",
    "climbing": lambda aim: aim.climbing + b"/secret",
    "inner-climbing": lambda aim: b"a/../" + aim.climbing + b"/secret",
    "proc": lambda aim: b"/proc/self/root" + aim.canary + b"/secret",
}.items():
    hard.refuse(f"to-{label}", lambda aim, make=make: make_tar(directory("a"), hardlink("h", make(aim))))  # type: ignore[misc]
    hard.refuse(
        f"to-{label}-then-write",
        lambda aim, make=make: make_tar(hardlink("h", make(aim)), regular("h", b"overwritten")),  # type: ignore[misc]
    )
hard.refuse("through-link", lambda aim: make_tar(symlink("d", aim.canary), hardlink("h", "d/secret")))
hard.refuse("through-climbing-link", lambda aim: make_tar(symlink("d", aim.climbing), hardlink("h", "d/secret")))
hard.refuse("through-parent-link", make_tar(hardlink("h", "out/secret")), on_parent=True)
hard.keep("to-link", lambda aim: make_tar(symlink("s", aim.canary + b"/secret"), hardlink("h", "s")))
hard.keep(
    "to-link-then-write",
    lambda aim: make_tar(symlink("s", aim.canary + b"/victim"), hardlink("h", "s"), regular("h", b"not through it")),
)
hard.keep(
    "to-link-with-mode",
    lambda aim: make_tar(symlink("s", aim.canary + b"/victim"), hardlink("h", "s", mode=0o4777, uid=4711, mtime=1)),
)
hard.refuse("to-nothing", make_tar(hardlink("h", "nowhere")))
hard.refuse("to-nothing-named", make_tar(hardlink("h", "")))
hard.refuse("to-directory", make_tar(directory("d"), hardlink("h", "d")))
hard.refuse("to-itself", make_tar(hardlink("h", "h")))
hard.keep("to-itself-existing", make_tar(regular("h", b"x"), hardlink("h", "h")))
hard.refuse("to-later-entry", make_tar(hardlink("h", "later"), regular("later", b"x")))
hard.keep("of-parent-file", make_tar(hardlink("h", "kept/file")), on_parent=True)
hard.keep("with-size", make_tar(regular("a", b"x"), Entry(b"h", type=b"1", linkname=b"a", size=512)))
hard.keep("to-fifo", make_tar(node("f", b"6"), hardlink("h", "f")))
hard.keep("to-device", make_tar(node("n", b"3", (1, 3)), hardlink("h", "n")))
hard.keep("chain", make_tar(regular("a", b"x"), *(hardlink(f"h{n}", f"h{n - 1}" if n else "a") for n in range(50))))

# One name, several lives: each later entry takes the place of the earlier, never writes through it.
LIVES: dict[str, Callable[[Aim], Entry]] = {
    "file": lambda _: regular("name", b"body"),
    "directory": lambda _: directory("name"),
    "symlink": lambda aim: symlink("name", aim.canary),
    "fifo": lambda _: node("name", b"6"),
    "device": lambda _: node("name", b"3", (1, 3)),
}
for first, earlier in LIVES.items():
    for second, later in LIVES.items():
        swap.keep(
            f"{first}-then-{second}",
            lambda aim, earlier=earlier, later=later: make_tar(earlier(aim), later(aim), regular("bystander", b"x")),  # type: ignore[misc]
        )
swap.refuse(
    "directory-link-file",
    lambda aim: make_tar(directory("d"), regular("d/a"), symlink("d", aim.canary), regular("d/victim", b"x")),
)
swap.keep(
    "link-directory-file",
    lambda aim: make_tar(symlink("d", aim.canary), directory("d"), regular("d/victim", b"x")),
)
swap.keep("spelt-differently", make_tar(regular("f", b"1"), regular("./f", b"22"), regular("/f", b"333")))
swap.keep("hundred-times", make_tar(*(regular("f", b"%d" % n) for n in range(100))))
swap.keep("link-to-old-body", make_tar(regular("f", b"1"), hardlink("g", "f"), regular("f", b"22"), hardlink("h", "f")))
swap.keep("full-directory-by-file", make_tar(directory("d"), regular("d/a", b"1"), regular("d", b"2")))
swap.keep("same-directory-name", make_tar(directory("d"), directory("d/"), directory("./d/"), regular("d/f", b"x")))


def _target(aim: Aim, way: str) -> bytes:
    return aim.canary if way == "absolute" else aim.climbing
