"""Files without a name, for what must wait: nothing can be left of them, whatever happens."""

from __future__ import annotations

from cstore.contexts import contextmanager
from cstore.errors import SystemFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def nameless(directory: str) -> Iterator[int]:
    """Give a file without a name in a directory, which is made if need be: nothing can be left of it.

    Raises:
        SystemFailure: it cannot be made.
    """
    import tempfile

    from cstore.fs.lockfile import make_directories

    try:
        make_directories(directory)
        file = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115  - what its user raises is not of its making
    except OSError as error:
        raise SystemFailure("make a file in", directory, error) from error
    with file:
        yield file.fileno()
