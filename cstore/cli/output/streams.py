"""Standard output and standard error: writes are complete, and a failed write raises a named error.

The contents of a store are untrusted. On a terminal, this module escapes all of their control characters except tab and
newline, for every command. A pipe receives the bytes unchanged.

These environment variables control color; the first one that applies takes effect:

    NO_COLOR        set and not empty: no color
    CLICOLOR_FORCE  set and neither empty nor 0: the output for a terminal, whatever the destination
    CLICOLOR        0: no color
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TextIO

_BATCH = 500
raw = False
"""Whether to write control characters to a terminal unescaped (--raw)."""


def encoded(text: str) -> bytes:
    """Encode text for a stream. Surrogate escapes become the original bytes, which were not UTF-8."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, which a JSON file can contain
        return text.encode(errors="replace")


def escapes(stream: TextIO) -> bool:
    """Return whether to escape control characters on a stream: it is a terminal, and --raw was not given."""
    return not raw and stream.isatty()


def for_people() -> bool:
    """Return whether to print tables and color on standard output."""
    return sys.stdout.isatty() or colour_wish() is True


def colour_wish() -> bool | None:
    """Return the color setting of the environment; None if it has none."""
    from cstore.config import read_environment

    variables = read_environment().variables
    if variables.get("NO_COLOR"):
        return False
    if variables.get("CLICOLOR_FORCE", "0") not in {"", "0"}:
        return True
    return False if variables.get("CLICOLOR") == "0" else None


def write_lines(lines: Iterable[str]) -> None:
    """Write lines to standard output."""
    if escapes(sys.stdout):
        from cstore.cli.output.text import visible_lines

        lines = map(visible_lines, lines)
    every = [*lines, ""]
    try:
        data = "\n".join(every).encode()
    except UnicodeEncodeError:
        data = b"\n".join(map(encoded, every))
    _write(data)


def write_paths(lines: Iterable[str], *, end: bytes = b"\n") -> None:
    """Write lines that contain paths, as the iterator yields them; `end` terminates each line.

    On a terminal, all control characters except tab are escaped, including newlines in paths.
    """
    from itertools import islice

    if escapes(sys.stdout):
        from cstore.cli.output.text import visible

        lines = ("\t".join(map(visible, line.split("\t"))) for line in lines)
    rest = iter(lines)
    while batch := list(islice(rest, _BATCH)):
        _write(b"".join([encoded(line) + end for line in batch]))


def write_json(data: bytes) -> None:
    """Write JSON text to standard output."""
    if escapes(sys.stdout):
        from cstore.cli.output.text import visible_json

        data = encoded(visible_json(data.decode()))
    _write(data)


def escaping(write: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """Return a function that writes file contents with control characters escaped; call it with b"" at the end."""
    from codecs import getincrementaldecoder

    from cstore.cli.output.text import visible_lines

    decoder = getincrementaldecoder("utf-8")("surrogateescape")

    def write_escaped(data: bytes) -> None:
        write(encoded(visible_lines(decoder.decode(data, final=not data))))

    return write_escaped


def _write(data: bytes) -> None:
    """Write bytes to standard output.

    Raises:
        BrokenPipeError: the reader has exited.
        SystemFailure: the write failed for another reason.
    """
    try:
        sys.stdout.buffer.write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        from cstore.errors import SystemFailure

        raise SystemFailure("write", "standard output", error) from error


def say(line: str, *, json: bool = False) -> None:
    """Write one line to standard error; `json` marks a JSON document.

    Write errors are ignored, because there is no stream left to report them on.
    """
    if escapes(sys.stderr):
        from cstore.cli.output.text import visible_json, visible_lines

        line = visible_json(line) if json else visible_lines(line)
    # Standard output is only flushed: both streams may lead to one file, in which the order of events matters.
    for stream, data in ((sys.stdout, b""), (sys.stderr, encoded(line) + b"\n")):
        try:
            stream.buffer.write(data)
            stream.flush()
        except OSError:
            continue
