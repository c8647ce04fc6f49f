"""Forked workers: what comes back, what they may hold, and that none is left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ContentDamaged, LockTimeout, SystemFailure
from cstore.fs.lock_policy import LockPolicy
from cstore.fs.lockfile import LockFile
from cstore.fs.worker import run_workers
from tests.processes import children

if TYPE_CHECKING:
    from pathlib import Path


def test_results_come_back_in_order() -> None:
    """Even if the first takes longest, and the answer is larger than a pipe."""

    def slow() -> str:
        time.sleep(0.05)
        return "slow"

    assert run_workers([slow, lambda: b"x" * 300_000, lambda: None, lambda: [(1, "\udcff")]]) == [
        "slow", b"x" * 300_000, None, [(1, "\udcff")],
    ]  # fmt: skip
    assert run_workers([]) == []
    assert children() == []


def test_an_error_arrives_with_all_its_parts() -> None:
    """It is of the same class, with the same fields, message and hint; the other workers are stopped."""

    def refuse() -> None:
        raise ContentDamaged("a1b2", "etc/passwd", "is shorter")

    started = time.monotonic()
    with pytest.raises(ContentDamaged) as caught:
        run_workers([partial(time.sleep, 30), refuse, partial(time.sleep, 30)])

    original = ContentDamaged("a1b2", "etc/passwd", "is shorter")
    assert str(caught.value) == str(original)
    assert vars(caught.value) == vars(original)
    assert time.monotonic() - started < 10
    assert children() == []


def test_a_bug_keeps_its_traceback() -> None:
    """What is not an error of the family is our own mistake, and is shown as one."""

    def broken() -> None:
        raise LookupError("oops")

    with pytest.raises(RuntimeError, match=r"(?s)worker process failed.*in broken.*LookupError: oops"):
        run_workers([broken])


def test_a_killed_worker_is_noticed() -> None:
    """The kernel may kill one for want of memory; that is an error, not a result."""
    with pytest.raises(SystemFailure, match="killed by signal 9"):
        run_workers([lambda: os.kill(os.getpid(), signal.SIGKILL)])
    with pytest.raises(SystemFailure, match="status 3"):
        run_workers([lambda: os._exit(3)])


def test_workers_hold_no_lock(tmp_path: Path) -> None:
    """The caller gives its lock up while a worker is still at it: the lock is free."""
    lock = LockFile(str(tmp_path / "some.lock"))
    gate_read, gate_write = os.pipe()
    outcome: list[str] = []

    def wait_at_gate() -> None:
        os.read(gate_read, 1)

    def work() -> None:
        run_workers([wait_at_gate], keep={gate_read})
        outcome.append("done")

    with lock.exclusive():
        thread = threading.Thread(target=work)
        thread.start()
        while not children():
            time.sleep(0.01)
        time.sleep(0.1)
    with lock.exclusive(LockPolicy(timeout=0)):
        assert outcome == []
    os.write(gate_write, b"x")
    thread.join()
    assert outcome == ["done"]
    os.close(gate_read)
    os.close(gate_write)


def test_workers_keep_what_they_are_given() -> None:
    """And nothing else but the standard streams and the way back."""
    given = os.open("/", os.O_RDONLY)
    other = os.open("/", os.O_RDONLY)

    def look() -> list[int]:
        return sorted(int(name) for name in os.listdir("/proc/self/fd"))

    [seen] = run_workers([look], keep={given})

    assert given in seen
    assert other not in seen
    assert len(seen) <= 3 + 1 + 1 + 1
    os.close(given)
    os.close(other)


def test_an_interrupt_leaves_nobody_behind() -> None:
    """Ctrl-C in the caller stops the workers, though they ignore it themselves."""
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_workers([partial(time.sleep, 30)] * 2)

    assert children() == []


def test_errors_of_locks_survive_the_pipe() -> None:
    """A field may be a float or empty."""

    def refuse() -> None:
        raise LockTimeout("/some.lock", 1.5)

    with pytest.raises(LockTimeout) as caught:
        run_workers([refuse])

    assert (caught.value.seconds, caught.value.holder) == (1.5, "")
