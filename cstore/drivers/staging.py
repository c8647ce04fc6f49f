"""The directory in which a driver creates and removes trees: next to its home, hidden from all other tools.

    ROOT/                            the graph root, or a separate image store
    ├── cstore-staging/        0700  there only while something is in it; see fs/staging.py
    │   └── HOME/              0700
    └── HOME/                        the driver's home
        ├── tempdirs/                the Go tools' own: neither made nor removed here
        └── staging/                 contents of partial pulls, overlay only: N/{staging.lock,dir}

The Go tools keep their own imports in `tempdirs`, and lose a running one when that directory goes away; old ones cannot
mount when it comes. What lies in it without an owner is cleared, as they do it themselves: older versions of cstore
left things there, too.

A home that is a file system of its own, or a link to one, has no place beside it from which to rename. Things are made
inside then, where no tool looks for layers. Below an overlay home that is in `staging` only: as one more pull at work.
"""

from __future__ import annotations

import errno
import os

from cstore import errors
from cstore.contexts import suppress
from cstore.fs import within
from cstore.fs.lockfile import make_directories
from cstore.fs.rename import reaches
from cstore.fs.staging import GUARD, StagingRoot, is_held, put_aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.fs.staging import StagingDirectory

OWN = "cstore-staging"
"""The name of the directory in a root, and in a home, that holds what only cstore makes and sweeps."""
_LABEL = "security.selinux"


class HomeStaging:
    """The staging places of one home.

    Args:
        home: the driver's home.
        pulls: the name of the directory in it for partial pulls, "" if the driver has none.
        renames: whether trees are renamed into the home; what is renamed otherwise may be made on any file system.
        destroy: see `StagingRoot`.
    """

    def __init__(
        self, home: str, *, pulls: str = "", renames: bool = True, destroy: Callable[[str], None] | None = None
    ) -> None:
        root, name = os.path.split(home)
        self.home = home
        self._root = root
        self._renames = renames
        self._pulls = os.path.join(home, pulls) if pulls else ""
        beneath = root if renames else ""
        self._beside = StagingRoot(
            os.path.join(root, OWN, name), keep=False, destroy=destroy, beneath=beneath, levels=2
        )
        self._inside = StagingRoot(
            os.path.join(home, pulls, OWN), keep=False, destroy=destroy, guarded=bool(pulls), levels=1
        )
        self._others = StagingRoot(os.path.join(home, "tempdirs"), destroy=destroy)

    def reserve(self) -> StagingDirectory:
        """Make a staging directory from which things can be renamed into the home; make the home if need be.

        Raises:
            SystemFailure: no space, or no permission.
        """
        try:
            make_directories(self.home, sync=True)
        except OSError as error:
            raise errors.SystemFailure("make the driver's home", self.home, error) from None
        beside = not self._renames or (self._is_in_its_root() and reaches(self._root, self.home))
        place = self._beside if beside else self._inside
        if self._leads_away(place):
            raise errors.SystemFailure(
                "make a staging directory in", place.path, NotADirectoryError(errno.ENOTDIR, ""),
                hint="it is a symbolic link that no tool created; see where it leads, and remove it",
            )  # fmt: skip
        directory = place.reserve()
        with suppress(OSError):  # its contents need the security label that they would have in the home
            os.setxattr(directory.path, _LABEL, os.getxattr(self.home, _LABEL))
        return directory

    def _is_in_its_root(self) -> bool:
        """Whether the home is where its name says. What a link leads to may become a mount of its own at any moment."""
        name = os.path.basename(self.home)
        return os.path.realpath(self.home) == os.path.join(os.path.realpath(self._root), name)

    def put_aside(self, path: str) -> StagingDirectory | None:
        """Move a tree out of sight, or delete it where it is; see `StagingRoot.put_aside`."""
        return put_aside(path, self.reserve, self._beside.destroy)

    def made(self, directory: StagingDirectory) -> bool:
        """Whether a staging directory is one of this home's."""
        return os.path.dirname(directory.path) in {self._beside.path, self._inside.path}

    def stale(self) -> list[str]:
        """List what has no owner any more. Changes nothing.

        Raises:
            SystemFailure: one of the places cannot be read.
        """
        return [*(path for place in self._places() for path in place.stale()), *self._leaked()]

    def sweep(self) -> list[str]:
        """Remove what has no owner any more, as far as possible; return what is gone.

        Raises:
            SystemFailure: one of the places cannot be read.
        """
        removed = [path for place in self._places() for path in place.sweep().removed]
        for path in self._leaked():
            with suppress(errors.CstoreError):
                if _remove_pull(path):
                    removed.append(path)
        return removed

    def _places(self) -> list[StagingRoot]:
        return [place for place in (self._beside, self._inside, self._others) if not self._leads_away(place)]

    def _leads_away(self, place: StagingRoot) -> bool:
        """Whether a place is behind a symbolic link below root and home: then it belongs to another program."""
        above = os.path.dirname(place.path)
        return os.path.islink(place.path) or (above not in {self._root, self.home} and os.path.islink(above))

    def _leaked(self) -> Iterator[str]:
        """Partial pulls that were given up. One without a lock file was made by a tool that does not lock them."""
        if not self._pulls or os.path.islink(self._pulls):
            return
        try:
            names = sorted(within.listdir(self._pulls))
        except OSError:
            return
        for name in names:
            path = os.path.join(self._pulls, name)
            if name != OWN and not os.path.islink(path) and not is_held(os.path.join(path, GUARD), missing=True):
                yield path


def _remove_pull(path: str) -> bool:
    """Remove a partial pull unless its lock is held; return whether it is gone."""
    from cstore.fs.staging import hold_guard
    from cstore.fs.tree.remove import remove_tree

    lock = hold_guard(path, exclusive=True, create=False)
    if lock < 0:
        return False
    try:
        remove_tree(path, detach_mounts=True)
    finally:
        os.close(lock)
    return True
