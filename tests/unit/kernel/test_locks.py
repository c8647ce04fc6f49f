"""Locks of open files conflict with the classic locks of the peers, in both directions."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from cstore.kernel import locks
from tests.unit.kernel.other_process import OWN_HOLDER, POSIX_HOLDER, another_process, run_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the lock file is."""
    return str(tmp_path / "some.lock")


@pytest.fixture
def fd(path: str) -> Iterator[int]:
    """The lock file, opened."""
    opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    yield opened
    os.close(opened)


@pytest.mark.parametrize("holder", [POSIX_HOLDER, OWN_HOLDER], ids=["classic", "ours"])
@pytest.mark.parametrize(
    ("theirs", "ours", "granted"),
    [("exclusive", True, False), ("exclusive", False, False), ("shared", True, False), ("shared", False, True)],
)
def test_conflicts(path: str, fd: int, holder: str, theirs: str, ours: bool, granted: bool) -> None:
    """Readers share, writers exclude, whichever kind of lock the other one uses."""
    with another_process(holder, path, theirs):
        assert locks.try_lock(fd, exclusive=ours) is granted


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_peer_waits_for_us(path: str, fd: int, exclusive: bool) -> None:
    """A classic lock is refused while we hold ours."""
    assert locks.try_lock(fd, exclusive=exclusive)

    asked = run_python(
        "import fcntl, os, sys; fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)", path
    )

    assert "BlockingIOError" in asked.stderr


def test_closing_another_descriptor_keeps_the_lock(path: str, fd: int) -> None:
    """The trap of classic locks: opening and closing the file elsewhere in the process must not give ours up."""
    assert locks.try_lock(fd, exclusive=True)
    os.close(os.open(path, os.O_RDONLY))
    other = os.open(path, os.O_RDWR)

    assert not locks.try_lock(other, exclusive=True)
    os.close(other)


def test_unlock_and_wait(path: str, fd: int) -> None:
    """What is given up is free, and waiting for something free returns at once."""
    other = os.open(path, os.O_RDWR)
    locks.wait_lock(fd, exclusive=True)
    locks.unlock(fd)

    assert locks.try_lock(other, exclusive=True)
    os.close(other)


def test_a_descriptor_for_reading_cannot_lock_alone(path: str, fd: int) -> None:
    """The kernel says EBADF: an exclusive lock needs write access."""
    del fd
    reading = os.open(path, os.O_RDONLY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        locks.try_lock(reading, exclusive=True)
    os.close(reading)


def test_who_is_in_the_way(path: str, fd: int) -> None:
    """A classic lock names its process, ours names nobody, and a free file has none."""
    assert locks.conflicting_process(fd, exclusive=True) is None
    with another_process(POSIX_HOLDER, path, "shared") as process:
        assert locks.conflicting_process(fd, exclusive=True) == process.pid
        assert locks.conflicting_process(fd, exclusive=False) is None
    with another_process(OWN_HOLDER, path, "exclusive"):
        assert locks.conflicting_process(fd, exclusive=False) == -1
    assert hasattr(fcntl, "F_OFD_SETLK")
