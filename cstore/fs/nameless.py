"""Unnamed temporary files, of which nothing can remain after a crash."""

from __future__ import annotations

from cstore.contexts import contextmanager
from cstore.errors import SystemFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def nameless(directory: str) -> Iterator[int]:
    """Open an unnamed file in a directory, which is created if necessary; yields a descriptor.

    Raises:
        SystemFailure: it cannot be created.
    """
    import tempfile

    from cstore.fs.lockfile import make_directories

    try:
        make_directories(directory)
        file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115  - errors of the caller must not be caught here
    except OSError as error:
        raise SystemFailure("make a file in", directory, error) from error
    with file:
        yield file.fileno()
