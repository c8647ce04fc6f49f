"""Renaming directories, also such as their owner may not write to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.fs import within
from cstore.fs.rename import exchange_trees, rename_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_an_ordinary_user_renames_a_read_only_directory(
    tmp_path: Path, as_ordinary: Callable[[Callable[[], None]], None]
) -> None:
    """It keeps its mode."""

    def act() -> None:
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree").chmod(0o555)
        (tmp_path / "other").mkdir()
        rename_tree(str(tmp_path / "tree"), str(tmp_path / "other" / "tree"))

    as_ordinary(act)
    assert mode(tmp_path / "other" / "tree") == 0o555


def test_an_ordinary_user_exchanges_read_only_directories(
    tmp_path: Path, as_ordinary: Callable[[Callable[[], None]], None]
) -> None:
    """Each keeps its own mode."""

    def act() -> None:
        (tmp_path / "other" / "two").mkdir(parents=True)
        (tmp_path / "one").mkdir()
        (tmp_path / "one").chmod(0o555)
        (tmp_path / "other" / "two").chmod(0o511)
        exchange_trees(str(tmp_path / "one"), str(tmp_path / "other" / "two"))

    as_ordinary(act)
    assert mode(tmp_path / "one") == 0o511
    assert mode(tmp_path / "other" / "two") == 0o555


def test_what_fails_leaves_modes_alone(tmp_path: Path) -> None:
    """The error is the kernel's."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree").chmod(0o555)
    with pytest.raises(FileNotFoundError):
        rename_tree(str(tmp_path / "tree"), str(tmp_path / "nowhere" / "tree"))
    with pytest.raises(FileNotFoundError):
        exchange_trees(str(tmp_path / "tree"), str(tmp_path / "nothing"))
    assert mode(tmp_path / "tree") == 0o555


def test_what_took_place_is_not_denied_by_the_close_after_it(tmp_path: Path) -> None:
    """The directory that a name was looked up in is of no use any more: an error of closing it tells nothing."""
    (tmp_path / "folder").mkdir()

    with within.parent_of(str(tmp_path), "folder/name") as (folder, name):
        os.mkdir(name, dir_fd=folder)
        os.close(folder)  # so that the next close fails

    assert (tmp_path / "folder/name").is_dir()
