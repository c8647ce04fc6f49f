"""Compare how a mount shows a layer's changes with its archive, where programs unpack archives differently.

The Go tools write overlay's whiteouts from the archive alone and ignore the layers below. They do so intentionally, so
it is not damage; but a mount shows some of these layers differently from a driver that stores whole trees.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack, suppress
from itertools import chain, islice
from typing import Self

from cstore import presence
from cstore.archive.composefs import opened
from cstore.archive.names import join_name, show_name, split_name
from cstore.archive.union import OPAQUE, PROGRAMS_MARKERS, Lower, Union
from cstore.archive.whiteout import OPAQUE_VALUE, is_whiteout_device, whiteout_name
from cstore.check.expected import is_within
from cstore.errors import InvalidIDMap
from cstore.values import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from cstore.archive.composefs import Tree
    from cstore.check.compare import Problem
    from cstore.check.expected import ExpectedTree, Tolerance
    from cstore.idmap import IDMap


_NAMED = 3
_MODE = 0o7777


class View:
    """What a mount shows of a layer: its directory `place`, above what is `shown` of the layers below."""

    def __init__(self, tree: ExpectedTree, place: Tree, shown: Shown, id_map: IDMap, tolerance: Tolerance) -> None:
        self._tree, self._place, self._shown = tree, place, shown
        self._id_map, self._tolerance = id_map, tolerance

    def problems(self) -> Iterator[Problem]:
        """Yield one problem if there is any difference.

        Raises:
            SystemFailure: a directory cannot be read.
        """
        found = list(islice(chain(self._not_hidden(), self._broken(), self._changed()), _NAMED + 1))
        if found:
            more = ", and more" if len(found) > _NAMED else ""
            sentence = f"a mount differs from the archive: {'; '.join(found[:_NAMED])}{more}"
            yield "layer-view", "", sentence, {"differs": found[:_NAMED]}, ""

    def _not_hidden(self) -> Iterator[str]:
        """Yield paths that the archive removes but a mount still shows."""
        emptied = b"" in self._tree.opaque and not self._has_marker(b"")
        for path in (*(self._shown.names() if emptied else ()), *sorted(self._tree.replaced)):
            below = self._shown.find(path)
            if below is None or self._shown.is_hidden(path, root=False):
                continue
            own, folder = self._status(path), split_name(path)[0]
            if self._status(join_name(folder, whiteout_name(split_name(path)[1]))) is not None:
                continue  # a mount program's whiteout
            if own is None:
                yield f"{_shown(path)} was removed, but a mount still shows it"
            elif stat.S_ISDIR(own.st_mode) and stat.S_ISDIR(below.st_mode) and not self._is_opaque(path):
                yield f"{_shown(path)} still shows its earlier contents"

    def _broken(self) -> Iterator[str]:
        """Yield whiteouts in directories that no lower layer has: a mount lists them but cannot open them."""
        for path in sorted(self._tree.removed):
            folder = split_name(path)[0]
            own = self._status(path) if folder else None
            if own is None or not is_whiteout_device(own):
                continue
            below = self._shown.find(folder)
            merges = below is not None and stat.S_ISDIR(below.st_mode) and not self._shown.is_hidden(folder)
            if not merges or self._is_opaque(folder):
                yield f"{_shown(path)} is listed as a broken device"

    def _changed(self) -> Iterator[str]:
        """Yield directories without an archive entry that differ from those in lower layers, and a wrong root."""
        if self._tolerance.masked or self._tolerance.owners or self._tolerance.users:
            return
        for path in sorted(self._tree.implied):
            below, own = self._shown.find(path), self._status(path)
            if below is None or own is None or not stat.S_ISDIR(own.st_mode) or not stat.S_ISDIR(below.st_mode):
                continue
            if not self._shown.is_hidden(path) and not is_within(path, self._tree.replaced):
                yield from _unlike(path, own, (stat.S_IMODE(below.st_mode), below.st_uid, below.st_gid))

        if self._tree.root is not None:
            own = self._place.root_status()
            mode, *owner, _ = self._tree.root
            with suppress(InvalidIDMap):
                uid, gid = self._id_map.to_host(*owner)
                # The Go tools set the root to 0555, whatever the archive says, so its write bit is ignored.
                if (mode ^ own.st_mode) & _MODE & ~stat.S_IWUSR or (own.st_uid, own.st_gid) != (uid, gid):
                    yield from _unlike(b"", own, (mode, uid, gid))

    def _status(self, path: bytes) -> os.stat_result | None:
        folder, base = split_name(path)
        try:
            return self._place.status(folder, base)
        except OSError:
            return None

    def _is_opaque(self, path: bytes) -> bool:
        for name in OPAQUE:
            with suppress(OSError):
                if self._place.attribute(path, name) == OPAQUE_VALUE:
                    return True
        return self._has_marker(path)

    def _has_marker(self, folder: bytes) -> bool:
        """Return whether a mount program's marker makes a directory opaque."""
        return any(self._status(join_name(folder, marker)) is not None for marker in PROGRAMS_MARKERS)


def _unlike(path: bytes, own: os.stat_result, wanted: tuple[int, int, int]) -> Iterator[str]:
    found = stat.S_IMODE(own.st_mode), own.st_uid, own.st_gid
    if found != wanted:
        now, was = ("mode {:04o} and owner {}:{}".format(*each) for each in (found, wanted))
        yield f"{_shown(path)} has {now} instead of {was}"


def _shown(path: bytes) -> str:
    return repr("/" + show_name(path))


# ── visible lower files ──
#
# The files of lower layers that nothing hides: only these need a whiteout.


class Shown:
    """The layers below a layer, as far as `tree`, the expected tree of the layer, does not hide them.

    `roots` are their directories, nearest first; they are opened on first use. Use it as a context manager.
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
        trees = self._stack.enter_context(opened([root for root in self._roots if presence.exists(root)], os.O_PATH))
        return Union([Lower(tree) for tree in trees], files=True)

    def is_seen(self, path: bytes) -> bool:
        """Return whether a mount would show a lower file at `path`.

        Raises:
            SystemFailure: a directory cannot be read.
        """
        return not self.is_hidden(path) and self.find(path) is not None

    def find(self, path: bytes) -> os.stat_result | None:
        """Return the status of the lower file at `path`, hidden or not; None if there is none."""
        return self._union.find(path)

    def names(self) -> list[bytes]:
        """Return the names in the root of the lower layers."""
        return self._union.names(b"")

    def is_hidden(self, path: bytes, *, root: bool = True) -> bool:
        """Return whether the layer removes or empties a parent directory of a path; `root`: also check the root."""
        while path:
            path = split_name(path)[0]
            if path in self._tree.opaque and (path or root):
                return True
            if path and path in self._tree.removed:
                return True
        return False

    def lacking(self, seen: set[bytes]) -> Iterator[bytes]:
        """Yield paths that the archive removes but that lack a whiteout; `seen` are all paths in the directory."""
        return (path for path in self._tree.removed - seen if self.is_seen(path))
