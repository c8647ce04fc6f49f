"""A staging root that is there only while something is in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.fs.staging import GUARD, StagingRoot, is_held

if TYPE_CHECKING:
    from pathlib import Path


def test_it_goes_with_the_last_thing_in_it(tmp_path: Path) -> None:
    """And comes back with the next."""
    root = StagingRoot(str(tmp_path / "tempdirs"), keep=False)
    one, other = root.reserve(), root.reserve()
    one.remove()
    assert os.path.isdir(root.path)
    other.remove()

    assert os.listdir(tmp_path) == []
    root.reserve().remove()
    assert os.listdir(tmp_path) == []


def test_a_sweep_removes_an_empty_one(tmp_path: Path) -> None:
    """One that a crash, or another program, left behind; but not if something strange is in it."""
    root = StagingRoot(str(tmp_path / "tempdirs"), keep=False)
    os.mkdir(root.path)
    root.sweep()
    assert os.listdir(tmp_path) == []

    os.makedirs(os.path.join(root.path, "strange"))
    root.sweep()
    assert os.listdir(root.path) == ["strange"]


def test_it_goes_with_those_above_it(tmp_path: Path) -> None:
    """As many as were asked for, if nothing else is in them; also if somebody died in the midst of it."""
    root = StagingRoot(str(tmp_path / "ours" / "home"), keep=False, levels=2)
    other = StagingRoot(str(tmp_path / "ours" / "other"), keep=False, levels=2)
    with root.reserve(), other.reserve():
        pass
    assert os.listdir(tmp_path) == []

    staging = root.reserve()
    with other.reserve():
        staging.remove()
        assert os.listdir(tmp_path / "ours") == ["other"]
    os.mkdir(tmp_path / "ours")
    root.sweep()
    assert os.listdir(tmp_path) == []


def test_a_guarded_one_is_locked_while_something_is_in_it(tmp_path: Path) -> None:
    """So whoever removes what nobody holds the lock of leaves it alone."""
    root = StagingRoot(str(tmp_path / "ours"), keep=False, guarded=True)
    guard = str(tmp_path / "ours" / GUARD)
    one, other = root.reserve(), root.reserve()
    one.remove()
    assert is_held(guard, missing=False)
    other.remove()
    assert os.listdir(tmp_path) == []


def test_others_may_remove_it_at_any_moment(tmp_path: Path) -> None:
    """Whoever reserves makes it again as often as it vanishes."""
    root = StagingRoot(str(tmp_path / "tempdirs"), keep=False)
    pid = os.fork()
    if pid == 0:
        for _ in range(2000):
            root.sweep()
        os._exit(0)
    for _ in range(100):
        staging = root.reserve()
        assert os.path.isdir(staging.path)
        staging.remove()
    assert os.waitpid(pid, 0)[1] == 0
