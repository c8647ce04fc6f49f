"""The command line: a thin skin over the library.

Owns: words in, text and JSON out, exit codes; this file is the one place where an error becomes any of the three.
Must not know: paths inside a store, locks, formats, drivers.

Exit codes: 0 done · 1 failed, or something was found · 2 usage · 130 interrupted.
"""

from __future__ import annotations

import errno
import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from cstore.cli.reading import Line
    from cstore.cli.session import Session

INTERRUPTED = 130
_TROUBLES = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN,
        errno.ESTALE, errno.ENOLCK, errno.EINTR, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO, errno.EBADF,
    }
)  # fmt: skip
"""Errors of the machine, not of the request."""


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and end the process with its exit code."""
    gc.set_threshold(50_000)  # imports and records make many objects and hardly any garbage
    _occupy_standard_descriptors()
    try:  # be called cstore, not python3: for ps, and for whoever is told who holds a lock
        fd = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"cstore")
        finally:
            os.close(fd)
    except OSError:
        pass
    code = run(sys.argv[1:] if words is None else words)
    # Taking the interpreter down in good order costs as much as a small command, and there is nothing left to do.
    os._exit(_flushed(code))


def _occupy_standard_descriptors() -> None:
    """Where the caller closed a standard stream, put one that fails when it is used.

    Else the next file that is opened, which may be one of the store's, would get its number and take our output.
    """
    for number, wrong_way in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, wrong_way)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  - open until the end
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  - open until the end


def run(words: Sequence[str], make_session: Callable[[Line | None], Session] | None = None) -> int:
    """Run one command line in this process and return its exit code.

    Args:
        words: the command line.
        make_session: makes the session for it, and one for a line that was not understood; as usual, if left out.
    """
    from cstore.cli.reading import read
    from cstore.cli.session import Session

    session = make_session(None) if make_session else Session()
    try:
        line: Line | int | None = read(words)
        if line is None:
            from cstore.cli.clicked import understand

            line = understand(words, as_json=session.json)
        if isinstance(line, int):
            return line  # help was shown, or a mistake
        session = make_session(line) if make_session else Session(line.settings)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  - the last resort of the program
        return _ended(error, session)
    return go_on(session, lambda: _perform(line, session))


def go_on(session: Session, step: Callable[[], None]) -> int:
    """Take a step of a command, its last one so far; what it raises becomes text, and the exit code that it returns."""
    try:
        step()
        session.close()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  - the last resort of the program
        return _ended(error, session)
    return int(session.failed)


def _perform(line: Line, session: Session) -> None:
    if session.raw:
        from cstore.cli.output import streams

        streams.raw = True
    if "progress" in session.settings:
        from cstore.cli.output import progress

        progress.style = session.settings["progress"]
    line.command.function(session, **line.values)


def _ended(error: Exception | KeyboardInterrupt, session: Session) -> int:
    """Report what ended a command, and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        from cstore.cli.output.streams import say

        swept = "staged files are swept by the next change, or by cstore gc"
        say(f"cstore: interrupted; nothing is left half-done ({swept})")
        return INTERRUPTED
    from cstore.errors import CstoreError, SystemFailure, UnknownItem

    if isinstance(error, BrokenPipeError) or (isinstance(error, SystemFailure) and error.errno == errno.EPIPE):
        # The reader of the output has exited: not an error, and there is no one to report it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    error = _as_failure(error)
    if isinstance(error, CstoreError):
        session.complain(error)
        if isinstance(error, UnknownItem):
            session.close()  # it may be in a record file that could not be read, or there is no store at all
        return error.exit_code
    from cstore.cli.output.complaints import internal_error

    internal_error(error, traceback=session.debug)
    return 1


def _as_failure(error: Exception) -> Exception:
    """Turn any system error into a sentence: a failing disk is not a bug."""
    from cstore.errors import SystemFailure

    if isinstance(error, MemoryError):
        error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    if not isinstance(error, OSError) or error.errno not in _TROUBLES:
        return error
    if error.errno == errno.EBADF and error.filename is None:
        return SystemFailure("write", "standard output", error)  # the parent process has closed it
    path = error.filename if isinstance(error.filename, str) else "files"
    return SystemFailure("work with", path, error)


def _flushed(code: int) -> int:
    """Empty the output buffers. A result that could not be written is a failure."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or 1
        except OSError as error:
            code = code or 1
            try:
                os.write(2, f"cstore: cannot write the result: {os.strerror(error.errno or 0)}\n".encode())
            except OSError:  # standard error may be what is broken
                continue
    return code
