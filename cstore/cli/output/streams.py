"""The two standard streams: bytes go out whole, and a stream that fails is an error with a name."""

from __future__ import annotations

import sys

from cstore.cli.output.text import encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def write_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output."""
    write_bytes(b"".join([encoded(line) + b"\n" for line in lines]))


def write_bytes(data: bytes) -> None:
    """Write bytes to standard output.

    Raises:
        BrokenPipeError: nobody reads them any more.
        SystemFailure: they cannot be written for another reason.
    """
    try:
        sys.stdout.buffer.write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        from cstore.errors import SystemFailure

        raise SystemFailure("write", "standard output", error) from error


def say(line: str) -> None:
    """Write one line to standard error. If even that fails, there is nobody left to tell."""
    # The first one only to be flushed: both streams may end in one file, where the order of events matters.
    for stream, data in ((sys.stdout, b""), (sys.stderr, encoded(line) + b"\n")):
        try:
            stream.buffer.write(data)
            stream.flush()
        except OSError:
            continue
