"""Lock files shared with the Go tool, with a token that shows when somebody changed the store.

A lock file is never truncated, replaced or removed. Its first 64 bytes are the *token*: every writer puts a fresh one
there before it changes anything, so an unchanged token means that nothing has changed (store-format 9).

        with LockFile(path).shared(lock_policy) as held:     many readers at a time; creates no missing lock file
        token = held.token()
        with LockFile(path).exclusive(lock_policy) as held:  a single writer
                held.mark()                                      write the token first, then change the store

The lock belongs to the open file. A forked worker inherits it, and the lock stays held until the worker has closed its
copy too, so a worker starts with `cstore.kernel.process.close_all_but`. Taking a lock that this process already holds
waits forever. The store defines the order of several locks.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import time

from cstore import errors, presence
from cstore.contexts import contextmanager, suppress
from cstore.fs import within
from cstore.fs.lock_policy import FOREVER
from cstore.kernel import locks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.fs.lock_policy import LockPolicy

TOKEN_SIZE = 64
_NEVER = float("inf")
_marks = itertools.count(1)


def holder_of(path: str, *, exclusive: bool) -> str:
    """See `holder.holder_of`, imported only when a lock is not free."""
    from cstore.fs import holder

    return holder.holder_of(path, exclusive=exclusive)


class HeldLock:
    """A lock, held as long as its context lasts. `marked` is the token that was written since it is held."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.marked = b""
        self._fd = fd

    def token(self) -> bytes:
        """Return the last writer's token: 64 bytes, or fewer before the first write. Opaque; compare it as a whole.

        Raises:
            SystemFailure: an I/O error.
        """
        if self._fd < 0:
            return b""
        try:
            return os.pread(self._fd, TOKEN_SIZE, 0)
        except OSError as error:
            raise errors.SystemFailure("read", self.path, error) from None

    def mark(self) -> bytes:
        """Write a fresh token, before anything is changed, and return it. Needs the exclusive lock.

        Raises:
            SystemFailure: the token was not written; change nothing.
        """
        # The wall clock in nanoseconds, a counter of this process, its ID; the rest is random.
        parts = (time.time_ns(), 8), (next(_marks), 8), (os.getpid(), 4)
        head = b"".join(number.to_bytes(size, "little") for number, size in parts)
        token = head + os.urandom(TOKEN_SIZE - len(head))
        try:
            os.pwrite(self._fd, token, 0)
        except OSError as error:
            raise errors.SystemFailure("write", self.path, error) from None
        self.marked = token
        return token


class LockFile:
    """One lock file. The object itself holds no lock and may be used many times, also by several threads."""

    def __init__(self, path: str) -> None:
        self.path = path

    @contextmanager
    def shared(self, lock_policy: LockPolicy = FOREVER) -> Iterator[HeldLock]:
        """Hold the lock together with other readers.

        If there is no lock file, nobody has written yet: nothing is locked, and nothing is created, because readers
        never write.

        Raises:
            LockTimeout: a writer held the lock for too long.
            SystemFailure: the file cannot be opened or locked.
        """
        fd = self._acquire(lock_policy, exclusive=False)
        try:
            yield HeldLock(self.path, fd)
        finally:
            if fd >= 0:
                _release(fd)

    @contextmanager
    def exclusive(self, lock_policy: LockPolicy = FOREVER) -> Iterator[HeldLock]:
        """Hold the lock alone. Creates the file (0644) and missing parent directories (0700).

        Raises:
            LockTimeout: another process held the lock for too long.
            SystemFailure: the file cannot be created, opened for writing or locked.
        """
        fd = self._acquire(lock_policy, exclusive=True)
        try:
            yield HeldLock(self.path, fd)
        finally:
            _release(fd)

    def _acquire(self, lock_policy: LockPolicy, *, exclusive: bool) -> int:
        started = time.monotonic()
        while True:
            fd = self._open(exclusive=exclusive)
            if fd < 0:
                return fd
            kept = False
            try:
                try:
                    free = locks.try_lock(fd, exclusive=exclusive)
                except OSError as error:
                    raise errors.SystemFailure("lock", self.path, error) from None
                if not free:
                    _wait(self.path, fd, lock_policy, started, exclusive=exclusive)
                try:
                    kept = locks.is_at(fd, self.path)  # not if the store was wiped meanwhile
                except OSError as error:
                    raise errors.SystemFailure("examine", self.path, error) from None
            finally:
                if not kept:
                    os.close(fd)
            if kept:
                return fd

    def _open(self, *, exclusive: bool) -> int:
        """Open the file, which a writer creates if it is missing; return -1 if it is, to a reader."""
        top, name = os.path.split(self.path)
        flags = os.O_RDWR | os.O_CREAT if exclusive else os.O_RDONLY
        try:
            try:
                return within.open_file(top, name, flags, 0o644)
            except FileNotFoundError:
                if not exclusive:
                    return -1
                make_directories(top, sync=True)
                return within.open_file(top, name, flags, 0o644)
        except OSError as error:
            raise errors.SystemFailure("open for writing" if exclusive else "open", self.path, error) from None


def _wait(path: str, fd: int, lock_policy: LockPolicy, started: float, *, exclusive: bool) -> None:
    """Return when the lock of an open file is held; `started` is the monotonic time from which the timeout counts."""
    timeout, notice = lock_policy.timeout, lock_policy.notice
    if timeout is None and notice is None:
        try:
            locks.wait_lock(fd, exclusive=exclusive)
        except OSError as error:
            raise errors.SystemFailure("lock", path, error) from None
        return
    if timeout is not None and timeout <= 0:
        raise errors.LockTimeout(path, 0, holder_of(path, exclusive=exclusive))
    # A child process waits in the kernel's queue, as the Go tools do, while we watch the clock. Polling would lose
    # every race against processes in the queue, and a waiting thread could not be cancelled. The child shares our open
    # file, so the lock that it takes is ours.
    try:
        waiter = _Waiter(fd, exclusive=exclusive)
    except OSError as error:
        raise errors.SystemFailure("wait for", path, error) from None
    try:
        deadline = _NEVER if timeout is None else started + timeout
        notice_at = started + lock_policy.notice_after if notice else _NEVER
        if notice_at < deadline and not waiter.is_done_by(notice_at) and notice:
            notice(path, holder_of(path, exclusive=exclusive))
        if not waiter.is_done_by(deadline):
            raise errors.LockTimeout(path, timeout or 0, holder_of(path, exclusive=exclusive))
    finally:
        code = waiter.end()
    if code:
        raise errors.SystemFailure("lock", path, OSError(code, os.strerror(code)))


class _Waiter:
    """A process that waits for a lock. Always call `end`."""

    def __init__(self, fd: int, *, exclusive: bool) -> None:
        from cstore.kernel.process import spawn

        def wait_in_queue() -> int:
            try:
                locks.wait_lock(fd, exclusive=exclusive)
            except OSError as error:
                return error.errno or errno.EIO
            return 0

        self._ended, living = os.pipe()  # EOF on this pipe means that the process has ended
        try:
            self._pid = spawn(wait_in_queue, {fd, living})
        except BaseException:
            os.close(self._ended)
            raise
        finally:
            os.close(living)

    def is_done_by(self, moment: float) -> bool:
        """Wait for the process until `moment` on the monotonic clock; return whether it has ended."""
        import select

        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        rest = None if moment == _NEVER else max(0.0, moment - time.monotonic()) * 1000
        return bool(poll.poll(rest))

    def end(self) -> int:
        """Stop the process if it still waits. Return 0 if it has the lock or was stopped, else its error number."""
        import signal

        done = self.is_done_by(time.monotonic())
        if not done:
            os.kill(self._pid, signal.SIGKILL)
        status = os.waitpid(self._pid, 0)[1]
        os.close(self._ended)
        code = os.waitstatus_to_exitcode(status)
        return 0 if not done else errno.EINTR if code < 0 else code


def _release(fd: int) -> None:
    """Release a lock and close its file, ignoring errors.

    The explicit release matters if another process has a copy of the descriptor.
    """
    with suppress(OSError):
        locks.unlock(fd)
    with suppress(OSError):
        os.close(fd)


def make_directories(path: str, *, sync: bool = False) -> None:
    """Create `path` and its missing parents, each with mode 0700; `os.makedirs` applies a mode only to the last.

    With `sync`, the names of the new directories are durable.

    Raises:
        OSError: as mkdir(2).
        SystemFailure: a directory cannot be synced.
    """
    if not path or presence.is_directory(path):
        return
    make_directories(os.path.dirname(path), sync=sync)
    while not _made(path):
        pass  # another process removed the empty parent meanwhile
    if sync:
        from cstore.fs.atomic import sync_directory

        sync_directory(os.path.dirname(path) or ".")


def make_directory(path: str, *, sync: bool = True) -> None:
    """Do the same, with a `SystemFailure` that names the directory.

    Raises:
        SystemFailure: it cannot be created, or synced.
    """
    try:
        make_directories(path, sync=sync)
    except OSError as error:
        raise errors.SystemFailure("create", path, error) from None


def _made(path: str) -> bool:
    """Create a directory; return whether it exists. Raises if something else has that name."""
    try:
        within.mkdir(path, 0o700)
    except FileExistsError:
        try:
            if stat.S_ISDIR(os.stat(path).st_mode):
                return True
        except FileNotFoundError:
            if not presence.is_link(path):
                return False
        raise
    return True
