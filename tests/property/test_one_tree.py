"""One tree for every driver: what is mounted of any chain of layers is what the image specification says it is."""

from __future__ import annotations

import os
import shutil
import tempfile
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
    from collections.abc import Iterator, Sequence

    from cstore.drivers.contract import Driver

pytestmark = pytest.mark.usefixtures("needs_root")

SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
DRIVERS = ("overlay", "vfs", "btrfs")

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


CHAINS = st.lists(st.lists(entries(), max_size=6), min_size=2, max_size=4)


def stack(driver: Driver, top: str, layers: Sequence[Sequence[Entry]]) -> list[bool]:
    """Apply archives to each other, as far as they can be applied; say which could."""
    parent: str | None = None
    done = []
    for number, row in enumerate(layers):
        applied = apply(driver, top, f"layer{number}", parent, make_tar(*row))
        done.append(applied)
        if applied:
            parent = f"layer{number}"
    return done


def apply(driver: Driver, top: str, layer: str, parent: str | None, data: bytes) -> bool:
    """Make a layer of an archive, which must come out again."""
    source, split = os.path.join(top, "source"), os.path.join(top, f"{layer}.split")
    with open(source, "wb") as file:
        file.write(data)
    staged = driver.stage(parent, TreeOptions())
    options = ApplyOptions(
        form=staged.form, has_lower=staged.has_lower, sync=False, lowers=staged.lowers, unseen=staged.unseen
    )
    try:
        with open(source, "rb") as file:
            apply_archive(file.fileno(), staged.tree, split, options)
        driver.adopt(staged, layer, parent)
    except EntryFailed:
        return False
    finally:
        staged.staging.remove()
    sink = Collected()
    rebuild(split, driver.content_roots(layer), sink, layer)
    assert sink.data == data
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
    [directory("a"), regular("a/b", b"1"), hardlink("a/c", "a/b"), directory("b"), hardlink("b/a", "a/b")],
    [hardlink("l", "a/c", mode=0o600, mtime=3), regular("b/a", b"new"), regular("b/.wh.d")],
]
OPAQUE_ROOT = [
    [directory("a", mode=0o700), regular("a/b", b"1"), regular("b", b"2"), directory("c")],
    [regular(".wh..wh..opq"), regular("a/c", b"3"), directory("c")],
    [regular("a/b", b"4"), regular("c/.wh.b")],
]


@SOME
@given(CHAINS)
@example(HARD_LINKS)
@example(OPAQUE_ROOT)
def test_any_chain(places: dict[str, str], chain: list[list[Entry]]) -> None:
    """Whiteouts, opaque marks, links, other kinds in the place of some, directories without an entry: in any order."""
    tree, wanted, states = Tree(), [], []
    for row in chain:
        before = tree.snapshot()
        try:
            tree.apply(row)
        except Refused:
            tree.nodes = before
            wanted.append(False)
        else:
            wanted.append(True)
        states.append(tree.snapshot())
    for name, place in places.items():
        top = tempfile.mkdtemp(dir=place)
        driver = open_driver(
            name, DriverPlace(os.path.join(top, "graph", name), os.path.join(top, "run", name), sync=False)
        )
        try:
            assert (name, stack(driver, top, chain)) == (name, wanted)
            for number, state in enumerate(states):
                if wanted[number]:
                    assert (name, number, shown(driver, f"layer{number}", state)) == (name, number, [])
        finally:
            forget(driver, top)


def forget(driver: Driver, top: str) -> None:
    """Remove a driver's layers and all that is left of them."""
    for layer in driver.layers():
        driver.remove(layer).finish()
    driver.shutdown()
    detach_all(top)
    shutil.rmtree(top)
