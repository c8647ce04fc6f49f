"""One tree for every driver: what is mounted of any chain of layers is what the image specification says it is."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cstore.archive.apply import ApplyOptions, apply_archive
from cstore.archive.rebuild import rebuild
from cstore.drivers.contract import MountOptions, TreeOptions
from cstore.drivers.registry import DriverPlace, open_driver
from cstore.errors import EntryFailed
from tests.builders import Entry, directory, hardlink, make_tar, node, regular, symlink, tree_manifest
from tests.mounts import detach_all
from tests.property.plain_layers import Refused, Tree, faults
from tests.unit.archive.unpacking.conftest import Collected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.drivers.contract import Driver

pytestmark = pytest.mark.usefixtures("needs_root")

SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DRIVERS = ("overlay", "vfs", "btrfs")
PROGRAM = "program"
"""The overlay driver with a program that mounts."""

NAMES = st.sampled_from(
    ["a", "b", "l", "a/b", "a/c", "b/a", "a/b/c", "a/b/d", "b/a/c", "l/a", "l/b", "a/l", "a/l/b", "b/c/d"]
)
TEXTS = st.sampled_from(["a", "b", "/a/b", "a/b", "..", "../b", "nowhere", "l"])


@pytest.fixture(scope="module")
def places(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """A directory for each driver that runs here."""
    with tempfile.TemporaryDirectory() as base:
        found = {name: os.path.join(base, name) for name in DRIVERS if name != "btrfs"}
        if shutil.which("mkfs.btrfs"):
            found["btrfs"] = tempfile.mkdtemp(dir=request.getfixturevalue("btrfs_disk"))
        if shutil.which("fuse-overlayfs") and os.path.exists("/dev/fuse"):
            found[PROGRAM] = os.path.join(base, PROGRAM)
        for path in found.values():
            os.makedirs(path, exist_ok=True)
        yield found
        for path in found.values():
            detach_all(path)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry, of a few names, so that layers get in each other's way."""
    name, kind = draw(NAMES), draw(st.integers(0, 11))
    said: dict[str, Any] = {"uid": (owner := draw(st.integers(0, 2))), "gid": owner, "mtime": draw(st.integers(1, 9))}
    said["mode"] = draw(st.sampled_from([0o644, 0o700, 0o2755]))
    if draw(st.booleans()):
        said["pax"] = {b"SCHILY.xattr.user.note": draw(st.sampled_from([b"1", b"2"]))}
    if kind < 3:
        return regular(name, draw(st.sampled_from([b"", b"1", b"22"])), **said)
    if kind < 6:
        return directory(draw(st.sampled_from([name, name, name, "./"])), **said)
    if kind == 6:
        return symlink(name, draw(TEXTS), **{**said, "pax": {}})
    if kind == 7:
        return hardlink(name, draw(NAMES), **{**said, "pax": {}})
    if kind == 8:
        return node(name, b"6", **{**said, "pax": {}})
    folder, _, base = name.rpartition("/")
    if kind < 11:
        return regular(os.path.join(folder, f".wh.{base}"))
    return regular(os.path.join(draw(st.sampled_from(["", folder, name])), ".wh..wh..opq"))


Row = list[Entry]
LAYERS = st.lists(st.lists(st.lists(entries(), max_size=6), min_size=1, max_size=2), min_size=2, max_size=3)
"""A layer is made of one archive; a second one may be applied to it afterwards."""


def archives_of(layers: list[list[Row]]) -> Iterator[tuple[str, str | None, Row]]:
    """Each archive with the layer that it is for and what lies below; None if it goes on with that layer."""
    below = ""
    for number, rows in enumerate(layers):
        for place, row in enumerate(rows):
            yield f"layer{number}", None if place else below, row
        below = f"layer{number}"


def apply(driver: Driver, top: str, layer: str, parent: str | None, data: bytes) -> bool:
    """Apply an archive, to a new layer or without `parent` to one that is there; say whether that could be done."""
    source, split = os.path.join(top, "source"), os.path.join(top, "split")
    with open(source, "wb") as file:
        file.write(data)
    again = parent is None
    staged = driver.stage_again(layer, None) if again else driver.stage(parent or None, TreeOptions())
    options = ApplyOptions(
        form=staged.form,
        has_lower=staged.has_lower,
        sync=False,
        lowers=staged.lowers,
        unseen=staged.unseen,
        again=again,
    )
    try:
        with open(source, "rb") as file:
            apply_archive(file.fileno(), staged.tree, split, options)
        if again:
            driver.replace(staged, layer).finish()
        else:
            driver.adopt(staged, layer, parent or None)
        sink = Collected()
        rebuild(split, driver.content_roots(layer), sink, layer)
        assert sink.data == data
    except EntryFailed:
        return False
    finally:
        with suppress(FileNotFoundError):
            os.unlink(split)
        staged.staging.remove()
    return True


def shown(driver: Driver, layer: str, nodes: Any) -> list[str]:
    """How the mounted layer differs from a model."""
    root = driver.mount(layer, MountOptions())
    try:
        facts = tree_manifest(root)
        contents = {}
        for path, fact in facts.items():
            if fact.kind == "-":
                with open(os.path.join(os.fsencode(root), path), "rb") as file:
                    contents[path] = file.read()
        found = list(faults(nodes, facts, contents))
        mtime = os.stat(root).st_mtime_ns
        if nodes[""].mtime not in {None, mtime}:
            found.append(f"the root has the time {mtime} instead of {nodes[''].mtime}")
        return found
    finally:
        driver.unmount(layer)


HARD_LINKS = [
    [[directory("a"), regular("a/b", b"1"), hardlink("a/c", "a/b"), directory("b"), hardlink("b/a", "a/b")]],
    [[hardlink("l", "a/c", mode=0o600, mtime=3), regular("b/a", b"new"), regular("b/.wh.d")]],
]
OPAQUE_ROOT = [
    [[directory("a", mode=0o700), regular("a/b", b"1"), regular("b", b"2"), directory("c")]],
    [[regular(".wh..wh..opq"), regular("a/c", b"3"), directory("c")], [regular("a/b", b"4"), regular("c/.wh.b")]],
]


ONLY_A_ROOT = [[[]], [[directory("./", mtime=8)], [directory("a", mtime=5)]]]
CIRCLE = [[[regular("a")]], [[directory("a/b/d", mtime=1), symlink("a", "a")]]]
"""A directory that is made for what is in it becomes a link to itself."""
REMOVED_IN_A_CIRCLE = [[[directory("b")]], [[symlink("a", "/a/b"), regular("a/.wh.l"), regular("a/l/.wh..wh..opq")]]]
"""A removal where a link of the same layer leads in a circle has nothing to remove."""
IN_A_FILES_PLACE = [[[regular("a/l", b"1")]], [[regular("a"), directory("a")], [regular("a"), regular("a/b")]]]
"""A directory that takes the place of a file, listed or not, hides what the file hid."""
MARKS = [
    [[regular("l/a/.wh..wh..opq"), fifo := node("a/b/d", b"6"), regular("a/b/.wh.d")]],
    [[regular("a/b/.wh.d"), fifo], [regular("a/b/.wh.d")], [regular("a/b/d", b"1")]],
]


def driver_at(name: str, top: str) -> Driver:
    """Open a driver in a directory."""
    program = shutil.which("fuse-overlayfs") if name == PROGRAM else None
    options = (f"overlay.mount_program={program}",) if program else ()
    name = "overlay" if program else name
    graph, run = (os.path.join(top, root, name) for root in ("graph", "run"))
    return open_driver(name, DriverPlace(graph, run, options=options, sync=False))


@SOME
@given(LAYERS)
@example(HARD_LINKS)
@example(OPAQUE_ROOT)
@example(ONLY_A_ROOT)
@example(CIRCLE)
@example(REMOVED_IN_A_CIRCLE)
@example(MARKS)
@example(IN_A_FILES_PLACE)
def test_any_chain(places: dict[str, str], layers: list[list[Row]]) -> None:
    """Whiteouts, opaque marks, links, other kinds in the place of some, directories without an entry: in any order."""
    tree, states, refused = Tree(), {}, set()
    for number, (layer, _, row) in enumerate(archives_of(layers)):
        before = tree.snapshot()
        try:
            tree.apply(row)
        except Refused:
            tree.nodes = before
            refused.add(number)
        states[layer] = tree.snapshot()
    for name, place in places.items():
        if name == PROGRAM and any(map(_is_circle, chain.from_iterable(chain.from_iterable(layers)))):
            continue  # fuse-overlayfs cannot list a directory over a link to itself (ENOMEM)
        top = tempfile.mkdtemp(dir=place)
        driver = driver_at(name, top)
        try:
            for number, (layer, parent, row) in enumerate(archives_of(layers)):
                done = apply(driver, top, layer, parent, make_tar(*row))
                assert (name, number, done) == (name, number, number not in refused)
                if not done and parent is not None:  # an empty layer in its place, and the others go on
                    assert apply(driver, top, layer, parent, make_tar())
            for layer, state in states.items():
                assert (name, layer, shown(driver, layer, state)) == (name, layer, [])
        finally:
            forget(driver, top)


def _is_circle(entry: Entry) -> bool:
    name = entry.name.rstrip(b"/").rpartition(b"/")[2]
    return entry.type == b"2" and entry.linkname.rpartition(b"/")[2] == name


def forget(driver: Driver, top: str) -> None:
    """Remove a driver's layers and all that is left of them."""
    for layer in driver.layers():
        driver.remove(layer).finish()
    driver.shutdown()
    detach_all(top)
    shutil.rmtree(top)
