"""What tests of this room share: file systems of their own, and pieces run as an ordinary user."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING, Protocol

import pytest

from cstore.kernel.libc import call
from cstore.kernel.mount import MNT_DETACH, mount, unmount
from tests.loops import loop_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ORDINARY = 12345
PR_SET_DUMPABLE = 4


class TmpfsMaker(Protocol):
    """Mounts a file system in memory."""

    def __call__(self, name: str, options: str = "") -> str:
        """Mount it on a new directory of that name, and return the path."""


@pytest.fixture
def tmpfs(tmp_path: Path, needs_root: None) -> Iterator[TmpfsMaker]:
    """Make file systems in memory that go with the test."""
    del needs_root
    points: list[str] = []

    def make(name: str, options: str = "") -> str:
        point = tmp_path / name
        point.mkdir()
        mount("tmpfs", str(point), "tmpfs", data=options)
        points.append(str(point))
        return str(point)

    yield make
    for point in reversed(points):
        unmount(point, MNT_DETACH)


@pytest.fixture
def as_ordinary(tmp_path: Path, needs_root: None) -> Callable[[Callable[[], None]], None]:
    """Run a function as an ordinary user, who owns the test's directory; a failure there fails the test."""
    del needs_root
    _give_away(str(tmp_path))

    def run(act: Callable[[], None]) -> None:
        call("getpid")  # loads what that user may not be able to read
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.setgroups([])
                os.setresgid(ORDINARY, ORDINARY, ORDINARY)
                os.setresuid(ORDINARY, ORDINARY, ORDINARY)
                call("prctl", PR_SET_DUMPABLE, 1)  # as if it had always been theirs: they may use their own /proc
                act()
                code = 0
            except BaseException:  # noqa: BLE001  - it must not unwind into the parent's frames
                traceback.print_exc()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    return run


def _give_away(path: str) -> None:
    """Let the ordinary user reach `path`, and own it."""
    os.chown(path, ORDINARY, ORDINARY)
    while path != "/":
        path = os.path.dirname(path)
        os.chmod(path, os.stat(path).st_mode | 0o011)  # noqa: S103  - search only, on the way to the test's directory


@pytest.fixture
def ext4(tmp_path: Path, needs_root: None) -> Iterator[str]:
    """A small ext4 of the test's own, with access lists and file flags, mounted."""
    del needs_root
    with loop_disk(tmp_path, "ext4") as folder:
        yield folder


@pytest.fixture
def reflinks(tmp_path: Path, needs_root: None) -> Iterator[str]:
    """A file system that shares blocks between files."""
    del needs_root
    with loop_disk(tmp_path, "xfs") as folder:
        yield folder
