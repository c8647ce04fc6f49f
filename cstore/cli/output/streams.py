"""The two standard streams: bytes go out whole, and a stream that fails is an error with a name.

What a store holds may be anybody's. A terminal gets none of its control characters but tab and newline, which are
spelled out here, for every command. A pipe gets the bytes.

Variables that are obeyed, the first that applies:

    NO_COLOR        set and not empty: no color
    CLICOLOR_FORCE  set and neither empty nor 0: what a terminal would get, wherever it goes
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
"""Whether the user wants control characters on a terminal as they are (--raw)."""


def encoded(text: str) -> bytes:
    """Encode for a stream. Bytes that never were UTF-8 come out as they came in."""
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, as a JSON file can spell it
        return text.encode(errors="replace")


def escapes(stream: TextIO) -> bool:
    """Whether a stream leads to a terminal, which must not get control characters."""
    return not raw and stream.isatty()


def for_people() -> bool:
    """Whether standard output gets tables and color."""
    return sys.stdout.isatty() or colour_wish() is True


def colour_wish() -> bool | None:
    """The environment's setting for color; None if there is none."""
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
    """Write lines with paths, which may have control characters of their own, as they come; `end` ends each."""
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
    """Make a writer of contents whose control characters are spelled out. It is called with b"" at the end."""
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
        SystemFailure: they cannot be written for another reason.
    """
    try:
        sys.stdout.buffer.write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        from cstore.errors import SystemFailure

        raise SystemFailure("write", "standard output", error) from error


def say(line: str, *, json: bool = False) -> None:
    """Write one line to standard error; `json`: it is a document. If even that fails, there is nobody left to tell."""
    if escapes(sys.stderr):
        from cstore.cli.output.text import visible_json, visible_lines

        line = visible_json(line) if json else visible_lines(line)
    # The first one only to be flushed: both streams may end in one file, where the order of events matters.
    for stream, data in ((sys.stdout, b""), (sys.stderr, encoded(line) + b"\n")):
        try:
            stream.buffer.write(data)
            stream.flush()
        except OSError:
            continue
