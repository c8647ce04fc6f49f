"""Whiteouts that remove too much, name what no layer holds, or stand in the way of what follows."""

from __future__ import annotations

from tests.builders import Entry, directory, hardlink, make_tar, node, regular, symlink, whiteout
from tests.hostile.case import Cases

whiteouts = Cases("whiteout")

# Names from which the victim's name cannot be told: the root, the parent, nothing.
for label, name in {
    "of-nothing": b".wh.",
    "of-the-directory": b".wh..",
    "of-the-parent": b".wh...",
    "of-nothing-below": b"kept/.wh.",
    "of-the-directory-below": b"kept/.wh..",
    "of-the-parent-below": b"kept/.wh...",
}.items():
    whiteouts.refuse(label, make_tar(regular(name)), on_parent=True)
    whiteouts.refuse(f"{label}-as-directory", make_tar(directory(name)), on_parent=True)

whiteouts.keep("missing-victim", make_tar(whiteout("never-was")), on_parent=True)
whiteouts.keep("missing-victim-without-parent", make_tar(whiteout("never-was")))
whiteouts.keep("missing-directory", make_tar(whiteout("no/such/directory/victim")), on_parent=True)
whiteouts.keep("of-a-tree", make_tar(whiteout("kept")), on_parent=True)
whiteouts.keep("twice", make_tar(whiteout("kept"), whiteout("kept")), on_parent=True)
whiteouts.keep("with-a-body", make_tar(whiteout("kept", body=b"a body nobody asked for")), on_parent=True)
whiteouts.keep("as-directory", make_tar(directory(".wh.kept")), on_parent=True)
whiteouts.keep("as-symlink", make_tar(symlink(".wh.kept", "/etc")), on_parent=True)
whiteouts.keep("as-fifo", make_tar(node(".wh.kept", b"6")), on_parent=True)
whiteouts.keep("as-hardlink-to-nothing", make_tar(hardlink(".wh.kept", "nowhere")), on_parent=True)
whiteouts.either("inside-a-whiteout", make_tar(directory(".wh.kept"), regular(".wh.kept/file", b"x")), on_parent=True)
whiteouts.keep("then-again", make_tar(whiteout("kept"), directory("kept"), regular("kept/new", b"x")), on_parent=True)
whiteouts.keep(
    "after-its-own",
    make_tar(directory("kept"), regular("kept/new", b"x"), whiteout("kept")),
    on_parent=True,
)
whiteouts.keep("of-own-file", make_tar(regular("own", b"x"), whiteout("own")))
whiteouts.refuse("hardlink-to-removed", make_tar(whiteout("kept"), hardlink("h", "kept/file")), on_parent=True)
whiteouts.keep("opaque-root", make_tar(regular(".wh..wh..opq"), regular("only", b"x")), on_parent=True)
whiteouts.keep("opaque-late", make_tar(regular("kept/new", b"x"), regular("kept/.wh..wh..opq")), on_parent=True)
whiteouts.keep("opaque-as-directory", make_tar(directory("kept/.wh..wh..opq")), on_parent=True)
whiteouts.keep("opaque-as-symlink", make_tar(symlink("kept/.wh..wh..opq", "/etc")), on_parent=True)
whiteouts.keep("opaque-of-nothing", make_tar(regular("no/such/.wh..wh..opq")), on_parent=True)
whiteouts.keep("opaque-of-a-file", make_tar(regular("kept/file/.wh..wh..opq")), on_parent=True)
whiteouts.keep("of-a-child-of-a-file", make_tar(whiteout("kept/file/child")), on_parent=True)
for aufs in (".wh..wh.plnk/1.2", ".wh..wh.aufs", ".wh..wh.orph/x", ".wh..wh.", ".wh..wh..opq/x", "d/.wh..wh.plnk/7"):
    whiteouts.keep(f"aufs-{aufs.replace('/', '-')}", make_tar(regular(aufs, b"x")))
whiteouts.refuse("aufs-link-to-nothing", make_tar(hardlink("h", ".wh..wh.plnk/1.2")))
whiteouts.keep("of-a-whiteout", make_tar(regular(".wh..wh.kept")), on_parent=True)
whiteouts.keep("longest", make_tar(Entry(b".wh." + b"n" * 96)), on_parent=True)
whiteouts.keep("longer-than-a-name", make_tar(regular(b".wh." + b"n" * 255)), on_parent=True)
whiteouts.keep("victim-not-unicode", make_tar(regular(b".wh.\xff\xfe")), on_parent=True)
whiteouts.keep("thousand", make_tar(*(whiteout(f"victim{n}") for n in range(1000))), on_parent=True)
