"""The command line: a thin layer over the library.

Owns: argument parsing, text and JSON output, exit codes; only this file turns an error into output and an exit code.
Must not know: paths inside a store, locks, formats, drivers.

Exit codes: 0 success · 1 failure or findings · 2 usage error · 3 the store could not be checked · 130 interrupted.
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
"""Error numbers caused by the system, not by the request."""


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run one command line and exit the process with its exit code."""
    gc.set_threshold(50_000)  # imports and records create many objects but little garbage
    _occupy_standard_descriptors()
    try:  # set the process name to cstore, not python3: ps and lock messages show it
        fd = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"cstore")
        finally:
            os.close(fd)
    except OSError:
        pass
    code = run(sys.argv[1:] if words is None else words)
    # A regular interpreter shutdown takes as long as a small command, and no work is left.
    os._exit(_flushed(code))


def _occupy_standard_descriptors() -> None:
    """Replace each standard stream that the caller closed with one that fails on use.

    Otherwise the next open file, possibly a file of the store, would get that descriptor and receive the output.
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
        words: the arguments of the command line.
        make_session: creates the session for a parsed line, and for None before the line is parsed; default: Session.
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
            return line  # the exit code after printing help or a usage error
        session = make_session(line) if make_session else Session(line.settings)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  - the last-resort handler of the program
        return _ended(error, session)
    return go_on(session, lambda: _perform(line, session))


def go_on(session: Session, step: Callable[[], None]) -> int:
    """Run the final step of a command and return the exit code; report any exception that it raises."""
    try:
        step()
        session.close()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  - the last-resort handler of the program
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
    """Report the exception that ended a command, and return the exit code."""
    if isinstance(error, KeyboardInterrupt):
        from cstore.cli.output.streams import say

        swept = "staged files are swept by the next change, or by cstore gc"
        say(f"cstore: interrupted; nothing is left half-done ({swept})")
        return INTERRUPTED
    from cstore.errors import CstoreError, SystemFailure, UnknownItem

    if isinstance(error, BrokenPipeError) or (isinstance(error, SystemFailure) and error.errno == errno.EPIPE):
        # The reader of the pipe has exited, which is not an error, and no process is left to read a report.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    error = _as_failure(error)
    if isinstance(error, CstoreError):
        session.complain(error)
        if isinstance(error, UnknownItem):
            session.close()  # reports unreadable record files and a missing store, either of which may be the cause
        return error.exit_code
    from cstore.cli.output.complaints import internal_error

    internal_error(error, traceback=session.debug)
    return 1


def _as_failure(error: Exception) -> Exception:
    """Convert a system error to a SystemFailure, because a failing disk is not a bug; return other errors unchanged."""
    from cstore.errors import SystemFailure

    if isinstance(error, MemoryError):
        error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    if not isinstance(error, OSError) or error.errno not in _TROUBLES:
        return error
    if error.errno == errno.EBADF and error.filename is None:
        return SystemFailure("write", "standard output", error)  # the parent process closed it
    path = error.filename if isinstance(error.filename, str) else "files"
    return SystemFailure("work with", path, error)


def _flushed(code: int) -> int:
    """Flush the output buffers and return the exit code, which is nonzero if a flush fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = code or 1
        except OSError as error:
            code = code or 1
            try:
                os.write(2, f"cstore: cannot write the result: {os.strerror(error.errno or 0)}\n".encode())
            except OSError:  # standard error itself may be broken
                continue
    return code
