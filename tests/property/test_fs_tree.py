"""Laws of trees: a copy equals its source, whatever the tree and however many copy; a removed tree is gone."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.fs.tree import copy_tree, remove_tree, usage
from tests.unit.fs.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = os.geteuid() == 0

NAMES = st.binary(min_size=1, max_size=12).filter(lambda name: name not in {b".", b".."} and not {0, 47} & set(name))
MODES = st.integers(0, 0o7777)
TIMES = st.integers(-(2**31) * 10**9, 2**33 * 10**9)
OWNERS = st.tuples(st.sampled_from([0, 1, 1000]), st.sampled_from([0, 5, 2**31])) if ROOT else st.just((-1, -1))
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["user.a", "user.b", "trusted.t", "security.s"] if ROOT else ["user.a", "user.b"]),
    st.binary(max_size=64),
    max_size=3,
)

EXTENTS = st.lists(st.tuples(st.integers(0, 40), st.binary(min_size=1, max_size=50)), max_size=4)
"""Parts of a file: at which multiple of 4096 they lie, and what they say. What lies between is a hole."""

LEAVES = st.one_of(
    st.tuples(st.just("file"), EXTENTS),
    st.tuples(st.just("link"), st.binary(min_size=1, max_size=30).filter(lambda target: b"\0" not in target)),
    st.tuples(st.just("pipe"), st.none()),
    st.tuples(st.just("again"), st.integers(0, 1000)),
)
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=4),
    lambda below: st.dictionaries(NAMES, st.one_of(LEAVES, st.tuples(st.just("dir"), below)), max_size=4),
    max_leaves=12,
)


def build(folder: bytes, tree: Mapping[bytes, Any], made: list[bytes]) -> None:
    """Make what a tree of the strategy says; "again" is one more name of something made before."""
    for name, (kind, detail) in tree.items():
        path = os.path.join(folder, name)
        if kind == "dir":
            os.mkdir(path)
            build(path, detail, made)
        elif kind == "file" or (kind == "again" and not made):
            with open(path, "wb") as file:
                for block, content in detail if kind == "file" else ():
                    file.seek(block * 4096)
                    file.write(content)
        elif kind == "link":
            os.symlink(detail, path)
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            os.link(made[detail % len(made)], path, follow_symlinks=False)
        if kind in {"file", "link", "pipe"}:
            made.append(path)


def dress(root: bytes, data: st.DataObject) -> None:
    """Give everything owner, mode, attributes and times, the deepest first."""
    for folder, folders, files in os.walk(root, topdown=False):
        for name in [*sorted(files), *sorted(folders)]:
            _dress_one(os.path.join(folder, name), data)
    _dress_one(root, data)


def _dress_one(path: bytes, data: st.DataObject) -> None:
    os.chown(path, *data.draw(OWNERS), follow_symlinks=False)
    if not os.path.islink(path):
        # An ordinary user can copy only what he may read.
        os.chmod(path, data.draw(MODES) | (0 if ROOT else 0o700))
    if os.path.isfile(path) and not os.path.islink(path):
        for name, value in data.draw(ATTRIBUTES).items():
            os.setxattr(path, name, value)
    os.utime(path, ns=(data.draw(TIMES), data.draw(TIMES)), follow_symlinks=False)


@settings(max_examples=30, deadline=None)
@given(tree=TREES, data=st.data(), workers=st.integers(1, 3))
def test_a_copy_equals_its_source(tree: Mapping[bytes, Any], data: st.DataObject, workers: int) -> None:
    """So does a copy of the copy; both measure alike; and both can be removed."""
    base = tempfile.mkdtemp()
    try:
        places = [os.path.join(base, name) for name in ("source", "copy", "copy of copy")]
        for place in places:
            os.mkdir(place)
        build(os.fsencode(places[0]), tree, [])
        dress(os.fsencode(places[0]), data)
        before = snapshot(places[0])

        copy_tree(places[0], places[1], workers=workers)
        copy_tree(places[1], places[2], workers=workers)

        assert snapshot(places[0]) == before
        assert snapshot(places[1]) == before
        assert snapshot(places[2]) == before
        assert usage(places[0]) == usage(places[2])
    finally:
        remove_tree(base)
    assert not os.path.exists(base)
