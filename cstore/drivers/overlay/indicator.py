"""Who writes the layers of a home: `.has-mount-program` tells it to every program (drivers 7.3)."""

from __future__ import annotations

import os
from contextlib import contextmanager

from cstore.errors import SystemFailure
from cstore.fs import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = ".has-mount-program"


def by_program(home: str) -> bool:
    """Whether a mount program has written layers here, so that the kernel might not read them rightly.

    Raises:
        SystemFailure: what is said cannot be read.
    """
    return _said(home) == "true"


def by_kernel(home: str) -> bool:
    """Whether nobody but the kernel has ever written layers here.

    Raises:
        SystemFailure: as above.
    """
    return _said(home) == "false"


def leave_word(home: str, *, program: bool) -> None:
    """Say who writes the layers here from now on. Once a program did, that remains said.

    Raises:
        SystemFailure: it cannot be written.
    """
    word = "true" if program else "false"
    if _said(home) not in {word, "true"}:
        _write(home, word)


@contextmanager
def word_left(home: str, *, program: bool) -> Iterator[None]:
    """Say it before somebody writes, and take it back if nobody comes to do so.

    Raises:
        SystemFailure: it cannot be written.
    """
    before = _said(home)
    leave_word(home, program=program)
    try:
        yield
    except BaseException:
        if not before:
            within.unlink(os.path.join(home, _NAME))
        elif _said(home) != before:
            _write(home, before)
        raise


def _said(home: str) -> str:
    """What was said, "" if nothing."""
    path = os.path.join(home, _NAME)
    try:
        return within.read_small(home, _NAME).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SystemFailure("read", path, error) from error


def _write(home: str, word: str) -> None:
    from cstore.fs.atomic import write_file

    os.makedirs(home, 0o700, exist_ok=True)
    write_file(os.path.join(home, _NAME), word.encode(), sync=False)
