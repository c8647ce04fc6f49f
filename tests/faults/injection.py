"""One system call of a command fails, or is its last: the kernel asks this process about every call of that name.

strace can do that too, but stops a command at every call of any name, which takes most of the time of a case. A filter
of seccomp stops at one name only, holds for all threads and processes of the command, and tells when they are gone.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import signal
import struct

KILLED = "SIGKILL"
_SECCOMP = {"x86_64": 317, "aarch64": 277}.get(os.uname().machine, -1)
_PIDFD_GETFD = 438
_SET_FILTER, _NEW_LISTENER, _WAIT_KILLABLE = 1, 1 << 3, 1 << 5
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND, CONTINUE = 0xC0502100, 0xC0182101, 1
_QUESTION, ANSWER = struct.Struct("=QIIi60x"), struct.Struct("=QqiI")
LISTENER = 3
"""The descriptor in the command: the first one after its streams, where all others are closed."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def end_with(parent: int) -> None:
    """Let this process be killed when its parent ends, which would leave it waiting for an answer."""
    _libc.prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(99)


def ask_about(number: int) -> None:
    """From now on, have the parent asked about each call of this number, of this process and of all that it starts.

    Raises:
        OSError: the kernel has no such filters, or this user may not set one.
    """
    load, skip_unless, answer = struct.Struct("=HBBI"), 0x15, 0x06
    program = b"".join([
        load.pack(0x20, 0, 0, 0), load.pack(skip_unless, 0, 1, number), load.pack(answer, 0, 0, _ASK),
        load.pack(answer, 0, 0, _ALLOW),
    ])  # fmt: skip
    filters = _Program(len(program) // load.size, program)
    fd = _libc.syscall(_SECCOMP, _SET_FILTER, _NEW_LISTENER | _WAIT_KILLABLE, ctypes.byref(filters))
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    assert fd == LISTENER, fd


class Injection:
    """Lets the nth call of each thread fail with an error or be the last of its process, and all others happen.

    Attributes:
        hits: how many calls were hit.
    """

    def __init__(self, number: int, fault: str) -> None:
        """Count from 1; a fault is an error's name, or KILLED."""
        self._number, self._fault = number, fault
        self._counts: dict[int, int] = {}
        self.hits = 0

    def conduct(self, process: int, timeout: float) -> bool:
        """Send SIGCONT to a process that has called `ask_about`; say whether all that it starts ends in time."""
        of_process = os.pidfd_open(process)
        try:
            listener = _libc.syscall(_PIDFD_GETFD, of_process, LISTENER, 0)
            assert listener >= 0, os.strerror(ctypes.get_errno())
        finally:
            os.close(of_process)
        try:
            os.kill(process, signal.SIGCONT)
            return self._answer_all(listener, timeout)
        finally:
            os.close(listener)

    def _answer_all(self, listener: int, timeout: float) -> bool:
        waiting = select.poll()
        waiting.register(listener, select.POLLIN)
        while events := waiting.poll(timeout * 1000):
            if events[0][1] & select.POLLHUP:
                return True
            question = bytearray(_QUESTION.size)
            try:
                fcntl.ioctl(listener, _RECEIVE, question)
                asked, thread, _, _ = _QUESTION.unpack(question)
                if answer := self._answer(asked, thread):
                    fcntl.ioctl(listener, _SEND, answer)
            except OSError as error:  # it was killed meanwhile
                if error.errno not in {errno.ENOENT, errno.EINTR, errno.ESRCH}:
                    raise
        return False

    def _answer(self, asked: int, thread: int) -> bytes:
        self._counts[thread] = count = self._counts.get(thread, 0) + 1
        if count != self._number:
            return ANSWER.pack(asked, 0, 0, CONTINUE)
        self.hits += 1
        if self._fault == KILLED:
            os.kill(thread, signal.SIGKILL)
            return b""
        return ANSWER.pack(asked, 0, -getattr(errno, self._fault), 0)
