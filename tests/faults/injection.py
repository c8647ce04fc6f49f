"""Making one system call of a command fail, or be its last: the kernel asks this process about each such call.

strace can do this too, but stops a command at every system call, which takes most of the time of a case. A seccomp
filter stops at one call only, applies to all threads and processes of the command, and reports when they have ended.
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
"""The descriptor in the command: the first after its streams, because all others are closed."""

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def end_with(parent: int) -> None:
    """Kill this process when its parent ends; otherwise it would wait for an answer forever."""
    _libc.prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(99)


def ask_about(number: int) -> None:
    """Have the parent asked about each call with this number, by this process and all its descendants.

    Raises:
        OSError: the kernel does not support such filters, or this user may not install one.
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
    """Makes the nth call of each thread fail, or be the last of its process; all other calls proceed.

    Attributes:
        hits: number of calls that were hit.
    """

    def __init__(self, number: int, fault: str) -> None:
        """`number` counts from 1; `fault` is the name of an error, or KILLED."""
        self._number, self._fault = number, fault
        self._counts: dict[int, int] = {}
        self.hits = 0

    def conduct(self, process: int, timeout: float) -> bool:
        """Send SIGCONT to a process that has called `ask_about`; return whether it and its descendants end in time."""
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
            except OSError as error:  # the thread was killed meanwhile
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
