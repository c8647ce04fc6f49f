"""What would show of the layers beneath a layer of changes, if nothing hid it: only that needs a mark."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Self

from cstore.archive.composefs import opened
from cstore.archive.names import split_name
from cstore.archive.union import Lower, Union

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from cstore.check.expected import ExpectedTree


class Shown:
    """The layers beneath, as far as `tree`, what an archive says of the layer itself, leaves them to be seen.

    `roots` are their directories, nearest first, which are opened when something is asked. Used as a context manager.
    """

    def __init__(self, tree: ExpectedTree, roots: Sequence[str]) -> None:
        self._tree, self._roots = tree, roots
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def _union(self) -> Union:
        trees = self._stack.enter_context(opened([root for root in self._roots if os.path.exists(root)], os.O_PATH))
        return Union([Lower(tree) for tree in trees], files=True)

    def is_seen(self, path: bytes) -> bool:
        """Whether something beneath would show at `path`.

        Raises:
            SystemFailure: a directory cannot be read.
        """
        return not self.is_hidden(path) and self.find(path) is not None

    def find(self, path: bytes) -> os.stat_result | None:
        """What is beneath at `path`, hidden or not; None if nothing is."""
        return self._union.find(path)

    def names(self) -> list[bytes]:
        """What is beneath at the top."""
        return self._union.names(b"")

    def is_hidden(self, path: bytes, *, root: bool = True) -> bool:
        """Whether the layer removes a directory above as a whole, or empties it; `root`: also if that is the root."""
        while path:
            path = split_name(path)[0]
            if path in self._tree.opaque and (path or root):
                return True
            if path and path in self._tree.removed:
                return True
        return False

    def lacking(self, seen: set[bytes]) -> Iterator[bytes]:
        """What the archive removes and would show, because it has no mark: `seen` are all paths of the directory."""
        return (path for path in self._tree.removed - seen if self.is_seen(path))
