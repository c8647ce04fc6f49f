"""Context managers that close what they opened."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from cstore import errors
from cstore.contexts import contextmanager
from cstore.fs import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self


@contextmanager
def opened(path: str, flags: int) -> Iterator[int]:
    """Open a path, close-on-exec; yields a descriptor.

    Raises:
        SystemFailure: it cannot be opened.
    """
    try:
        fd = within.open_path(path, flags)
    except OSError as error:
        raise errors.SystemFailure("open", path, error) from error
    except ValueError:
        raise errors.InvalidOption(f"{path!r} is not a path: it contains a zero byte") from None
    try:
        yield fd
    finally:
        os.close(fd)


class Closing(ABC):
    """An object with a `close` method, which leaving its context calls."""

    @abstractmethod
    def close(self) -> None:
        """Close everything that is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()
