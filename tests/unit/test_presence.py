"""Whether something is at a path: "no" only where nothing can be."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cstore import presence
from cstore.errors import SystemFailure
from cstore.fs import within

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_QUESTIONS: list[Callable[[str], bool]] = [
    presence.can_be_seen, presence.is_there, presence.exists, presence.is_directory, presence.is_file,
    presence.is_link, presence.is_mount_point,
    lambda path: within.is_file(*os.path.split(path)), lambda path: within.is_directory(*os.path.split(path)),
]  # fmt: skip


def test_a_look_that_fails_is_an_error(tmp_path: Path) -> None:
    """Whoever may not look is told so, and not that nothing is there; unless only what can be seen was asked for."""
    folder = tmp_path / "closed"
    (folder / "inside").mkdir(parents=True)
    folder.chmod(0)

    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setresuid(65534, 65534, 65534)
            seen = presence.can_be_seen(str(folder / "inside"))
            os._exit(seen + sum(map(partial(_answers, str(folder / "inside")), _QUESTIONS[1:])))
        finally:
            os._exit(99)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    folder.chmod(0o700)


def _answers(path: str, ask: Callable[[str], bool]) -> bool:
    try:
        ask(path)
    except SystemFailure as error:
        return error.errno != errno.EACCES
    return True


@pytest.mark.parametrize("path", ["none", "none/below", "file/below", "x" * 300, "loop", "dangling/below"])
@pytest.mark.parametrize("ask", _QUESTIONS)
def test_nothing_is_where_nothing_can_be(tmp_path: Path, path: str, ask: Callable[[str], bool]) -> None:
    """A path without a thing, below a file, with too long a name or through links that lead nowhere has nothing."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")

    expected = path == "loop" and ask in {presence.can_be_seen, presence.is_there, presence.is_link}

    assert ask(str(tmp_path / path)) is expected


def test_no_path_has_a_nul() -> None:
    """A text that can be no path leads to nothing."""
    assert not presence.exists("a\0b")


def test_a_mount_point_without_its_program_is_a_directory() -> None:
    """What cannot be looked at because a FUSE program is dead is there, and in the way."""
    dead = OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    assert stat.S_ISDIR(presence.mode_despite(dead, "/merged"))


def test_only_another_file_system_makes_a_mount_point(tmp_path: Path) -> None:
    """/proc begins a file system; a new directory, and a link to /proc, do not."""
    (tmp_path / "link").symlink_to("/proc")

    assert presence.is_mount_point("/proc")
    assert not presence.is_mount_point(str(tmp_path))
    assert not presence.is_mount_point(str(tmp_path / "link"))
