"""Any tree, packed, is the same tree again for whoever unpacks it; any two trees, compared and packed, too."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from cstore.archive.changes import ChangeKind, compare_trees
from cstore.archive.pack import pack_changes, pack_tree
from tests.property.random_trees import TREES, Node, build, facts

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="GNU tar gives owners and times back only to root")


@contextmanager
def directories(count: int) -> Iterator[list[str]]:
    """Empty directories for the time of one example."""
    with tempfile.TemporaryDirectory() as top:
        made = [os.path.join(top, str(number)) for number in range(count)]
        for path in made:
            os.mkdir(path)
        yield made


def unpack(tar: bytes, into: str) -> None:
    command = ["tar", "-x", "-p", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", into]
    subprocess.run(command, input=tar, check=True, capture_output=True)


@given(TREES)
@settings(max_examples=40, deadline=None)
def test_whole_tree(tree: dict[bytes, Node]) -> None:
    """GNU tar unpacks the tree; Python's tarfile finds as many entries, and the same as a diff against nothing."""
    with directories(2) as (original, copy):
        build(original, tree)
        packed = io.BytesIO()
        pack_tree(original, packed)
        unpack(packed.getvalue(), copy)
        assert facts(copy, folder_times=True) == facts(original, folder_times=True)
        with tarfile.open(fileobj=io.BytesIO(packed.getvalue()), errors="surrogateescape") as archive:
            names = [os.fsencode(name) for name in archive.getnames()]
        everything = compare_trees(original, None)
        assert names == [change.path[1:] for change in everything]
        again = io.BytesIO()
        pack_changes(original, None, everything, again)
        assert again.getvalue() == packed.getvalue()


@given(TREES, TREES)
@settings(max_examples=40, deadline=None)
def test_changes_lead_from_one_to_the_other(before: dict[bytes, Node], after: dict[bytes, Node]) -> None:
    """Whiteouts applied to the old tree, then the rest unpacked over it, give the new tree."""
    with directories(2) as (old, new):
        build(old, before)
        build(new, {**before, **after})
        for path in list(before)[::3]:
            remove(os.path.join(os.fsencode(new), path))
        changes = compare_trees(new, old)
        packed = io.BytesIO()
        pack_changes(new, old, changes, packed)
        apply(packed.getvalue(), old)
        # Files of the same size and time with other contents are beyond a comparison that reads none.
        assert strip(facts(old)) == strip(facts(new))


def strip(found: dict[bytes, object]) -> dict[bytes, object]:
    return {path: (*fact[:2], len(fact[2]), *fact[3:]) for path, fact in found.items() if isinstance(fact, tuple)}


def remove(path: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def apply(tar: bytes, tree: str) -> None:
    """Do what a layer's tar says to a whole tree."""
    base = os.fsencode(tree)
    with tarfile.open(fileobj=io.BytesIO(tar), errors="surrogateescape") as archive:
        for info in archive:
            path = os.path.join(base, os.fsencode(info.name))
            folder, name = os.path.split(path)
            if name.startswith(b".wh."):
                remove(os.path.join(folder, name.removeprefix(b".wh.")))
            elif os.path.lexists(path) and not (info.isdir() and os.path.isdir(path) and not os.path.islink(path)):
                remove(path)
    unpack(tar, tree)
    for folder, _, names in os.walk(base):
        for name in names:
            if name.startswith(b".wh."):
                os.unlink(os.path.join(folder, name))


@given(TREES)
@settings(max_examples=30, deadline=None)
def test_no_change(tree: dict[bytes, Node]) -> None:
    """A tree does not differ from itself, nor from its copy; from nothing it differs in everything."""
    with directories(2) as (original, copy):
        build(original, tree)
        subprocess.run(["cp", "-a", original + "/.", copy], check=True)
        assert compare_trees(original, original) == []
        assert compare_trees(copy, original) == []
        assert {change.kind for change in compare_trees(original, None)} <= {ChangeKind.ADD}
        assert len(compare_trees(original, None)) == len(facts(original))
