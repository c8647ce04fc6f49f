"""Locks between processes: who excludes whom, how long one waits, what the token says."""

from __future__ import annotations

import os
import stat
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cstore.errors import LockTimeout, SystemFailure
from cstore.fs.holder import holder_of
from cstore.fs.lock_policy import LockPolicy
from cstore.fs.lockfile import LockFile
from tests.unit.kernel.other_process import OWN_HOLDER, POSIX_HOLDER, another_process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.fs.conftest import TmpfsMaker

AT_ONCE = LockPolicy(timeout=0)


@pytest.fixture
def lock(tmp_path: Path) -> LockFile:
    """A lock file that does not exist yet, in a directory that does not either."""
    return LockFile(str(tmp_path / "store" / "layers" / "layers.lock"))


@pytest.mark.usefixtures("usual_umask")
def test_exclusive_makes_file_and_directories(lock: LockFile) -> None:
    """File 0644, every new directory 0700."""
    with lock.exclusive():
        pass

    folder = os.path.dirname(lock.path)
    assert stat.S_IMODE(os.stat(lock.path).st_mode) == 0o644
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(os.path.dirname(folder)).st_mode) == 0o700
    assert os.path.getsize(lock.path) == 0


def test_reading_never_writes(lock: LockFile) -> None:
    """A shared lock on what does not exist makes nothing, and its token is empty."""
    with lock.shared() as held:
        assert held.token() == b""

    assert not os.path.exists(os.path.dirname(os.path.dirname(lock.path)))


def test_reading_leaves_the_file_as_it_is(lock: LockFile) -> None:
    """No time, size or content changes."""
    with lock.exclusive() as held:
        token = held.mark()
    before = os.stat(lock.path)
    with lock.shared() as held:
        assert held.token() == token
    after = os.stat(lock.path)

    assert (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)


def test_the_token(lock: LockFile) -> None:
    """64 bytes: wall clock, a growing counter, the process, the rest random (store-format 9.2)."""
    before = time.time_ns()
    with lock.exclusive() as held:
        assert held.token() == b""
        first, second = held.mark(), held.mark()
        assert held.token() == second
    clock, count, pid = struct.unpack("<QQI", first[:20])

    assert len(first) == len(second) == 64
    assert os.path.getsize(lock.path) == 64
    assert before <= clock <= time.time_ns()
    assert struct.unpack("<Q", second[8:16])[0] == count + 1
    assert pid == os.getpid()
    assert first[20:] != second[20:]


def test_an_old_token_is_replaced_in_place(lock: LockFile) -> None:
    """Peers before 1.42 wrote 64 hex digits; the file is never cut, whatever it holds."""
    os.makedirs(os.path.dirname(lock.path))
    with open(lock.path, "wb") as file:
        file.write(b"f" * 70)
    inode = os.stat(lock.path).st_ino
    with lock.exclusive() as held:
        assert held.token() == b"f" * 64
        held.mark()

    assert os.path.getsize(lock.path) == 70
    assert os.stat(lock.path).st_ino == inode


def test_readers_share(lock: LockFile) -> None:
    """Two readers at once, in one process."""
    with lock.exclusive():
        pass
    with lock.shared(AT_ONCE), lock.shared(AT_ONCE):
        pass


@pytest.mark.parametrize("holder", [POSIX_HOLDER, OWN_HOLDER], ids=["classic", "ours"])
@pytest.mark.parametrize("timeout", [0, 0.2])
def test_timeout_names_the_holder(lock: LockFile, holder: str, timeout: float) -> None:
    """Another process holds it: the error comes in time and says who."""
    with lock.exclusive():
        pass
    with another_process(holder, lock.path, "exclusive") as process:
        started = time.monotonic()
        with pytest.raises(LockTimeout) as caught, lock.exclusive(LockPolicy(timeout=timeout)):
            pass
        waited = time.monotonic() - started

        assert caught.value.path == lock.path
        assert caught.value.holder.startswith(f"PID {process.pid} (python")
        assert timeout <= waited < timeout + 1


def test_a_reader_waits_for_a_writer_only(lock: LockFile) -> None:
    """A reader's lock keeps writers out and lets readers in."""
    with lock.exclusive():
        pass
    with another_process(POSIX_HOLDER, lock.path, "shared"):
        with lock.shared(AT_ONCE):
            pass
        with pytest.raises(LockTimeout), lock.exclusive(AT_ONCE):
            pass
    with another_process(POSIX_HOLDER, lock.path, "exclusive"), pytest.raises(LockTimeout), lock.shared(AT_ONCE):
        pass


@pytest.mark.parametrize("lock_policy", [LockPolicy(), LockPolicy(timeout=10), LockPolicy(notice=print)])
def test_waiting_ends_when_the_holder_goes(lock: LockFile, lock_policy: LockPolicy) -> None:
    """Whoever waits gets the lock as soon as it is free, with and without a limit."""
    with lock.exclusive():
        pass
    with another_process(POSIX_HOLDER, lock.path, "exclusive") as process:
        assert process.stdin is not None
        threading.Timer(0.2, process.stdin.close).start()
        with lock.exclusive(lock_policy):
            assert process.wait(10) == 0
    with lock.exclusive(AT_ONCE):
        pass


def test_notice(lock: LockFile) -> None:
    """After a while, and only once, the one who waits is told whom for."""
    told: list[tuple[str, str]] = []
    with lock.exclusive():
        pass
    with another_process(OWN_HOLDER, lock.path, "exclusive") as process:
        lock_policy = LockPolicy(timeout=0.4, notice=lambda *facts: told.append(facts), notice_after=0.1)
        with pytest.raises(LockTimeout), lock.exclusive(lock_policy):
            pass

        assert [(path, holder.split(" (")[0]) for path, holder in told] == [(lock.path, f"PID {process.pid}")]


def test_no_notice_for_a_short_wait(lock: LockFile) -> None:
    """Nobody is told of a wait that ends before the time for telling."""
    told: list[str] = []
    with lock.exclusive():
        pass
    with another_process(OWN_HOLDER, lock.path, "exclusive"):
        lock_policy = LockPolicy(timeout=0.1, notice=lambda path, _: told.append(path), notice_after=0.2)
        with pytest.raises(LockTimeout), lock.exclusive(lock_policy):
            pass

    assert told == []


def test_giving_up_does_not_take_the_lock_later(lock: LockFile) -> None:
    """Who has given up is out of the queue's way: the lock is free for others, and for us, when the holder goes."""
    with lock.exclusive():
        pass
    with another_process(POSIX_HOLDER, lock.path, "exclusive"):
        before = os.listdir("/proc/self/fd"), threading.active_count()
        for _ in range(3):
            with pytest.raises(LockTimeout), lock.exclusive(LockPolicy(timeout=0.02)):
                pass
        assert (os.listdir("/proc/self/fd"), threading.active_count()) == before
    with lock.exclusive(LockPolicy(timeout=5)), pytest.raises(LockTimeout), lock.shared(AT_ONCE):
        pass


def test_threads_exclude_one_another(lock: LockFile) -> None:
    """Two threads of one process never hold it together."""
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        for _ in range(20):
            with lock.exclusive(LockPolicy(timeout=20)):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(most) == 80
    assert max(most) == 1


def test_processes_exclude_one_another(lock: LockFile, tmp_path: Path) -> None:
    """Counting up a file under the lock from four processes loses no count, and every round sees a new token."""
    counter = tmp_path / "count"
    counter.write_text("0")
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            for _ in range(25):
                with lock.exclusive() as held:
                    held.mark()
                    counter.write_text(str(int(counter.read_text()) + 1))
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0

    assert counter.read_text() == "100"


def test_a_store_wiped_meanwhile(lock: LockFile) -> None:
    """We wait for a lock; its file is removed and made anew; we end up with the lock of the new one."""
    with lock.exclusive():
        pass
    with another_process(POSIX_HOLDER, lock.path, "exclusive") as process:
        assert process.stdin is not None

        def wipe() -> None:
            os.unlink(lock.path)
            process.stdin.close()  # type: ignore[union-attr]

        threading.Timer(0.1, wipe).start()
        with lock.exclusive(LockPolicy(timeout=10)) as held:
            held.mark()
            assert os.path.getsize(lock.path) == 64


def test_an_error_inside_releases(lock: LockFile) -> None:
    """The lock goes with the context, however it ends."""
    with pytest.raises(LookupError), lock.exclusive():
        raise LookupError
    with lock.exclusive(AT_ONCE):
        pass


def test_an_interrupt_while_waiting(lock: LockFile) -> None:
    """Ctrl-C reaches the one who waits, with and without a limit."""
    import signal

    with lock.exclusive():
        pass
    for lock_policy in (LockPolicy(), LockPolicy(timeout=30)):
        with another_process(POSIX_HOLDER, lock.path, "exclusive"):
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt), lock.exclusive(lock_policy):
                pass
        with lock.exclusive(LockPolicy(timeout=5)):
            pass


def test_read_only_file_system(tmpfs: TmpfsMaker) -> None:
    """Readers lock and read as usual; a writer is told which file could not be opened."""
    from cstore.kernel.mount import MS_RDONLY, MS_REMOUNT, mount

    folder = tmpfs("store")
    lock = LockFile(os.path.join(folder, "some.lock"))
    with lock.exclusive() as held:
        token = held.mark()
    mount("tmpfs", folder, "tmpfs", MS_REMOUNT | MS_RDONLY)

    with lock.shared() as held:
        assert held.token() == token
    with pytest.raises(SystemFailure, match=r"some\.lock: Read-only file system"), lock.exclusive():
        pass


def test_not_permitted(tmp_path: Path, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """Another user's lock file may be read, and not written."""
    path = tmp_path / "some.lock"
    path.write_bytes(b"t" * 64)
    path.chmod(0o644)

    def act() -> None:
        with LockFile(str(path)).shared(AT_ONCE) as held:
            assert held.token() == b"t" * 64
        with pytest.raises(SystemFailure, match=r"some\.lock: Permission denied"), LockFile(str(path)).exclusive():
            pass

    as_ordinary(act)


def test_holder_of_nothing(lock: LockFile) -> None:
    """A file that is free, or missing, has no holder."""
    assert holder_of(lock.path) == ""
    with lock.exclusive():
        pass
    assert holder_of(lock.path) == ""


def test_holder_is_ourselves(lock: LockFile) -> None:
    """A process that waits for itself is told so, too."""
    with lock.exclusive():
        assert holder_of(lock.path).startswith(f"PID {os.getpid()} ")
        assert holder_of(lock.path, exclusive=False) != ""
    with lock.shared():
        assert holder_of(lock.path).startswith(f"PID {os.getpid()} ")
        assert holder_of(lock.path, exclusive=False) == ""
