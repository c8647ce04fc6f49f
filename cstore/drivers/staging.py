"""Stage and remove a driver's trees beside its home, where no other tool looks.

    ROOT/                            the graph root, or a separate image store
    ├── cstore-staging/        0700  exists only while it has contents; see fs/staging.py
    │   └── HOME/              0700
    └── HOME/                        the driver's home
        ├── tempdirs/                the Go tools' own: neither created nor removed here
        └── staging/                 contents of partial pulls, overlay only: N/{staging.lock,dir}

The Go tools keep their own imports in `tempdirs`, and lose a running one if that directory is removed; old versions
cannot mount if it exists. Its contents without an owner are swept, as the Go tools do, because older versions of cstore
left files there, too.

A home that is a file system of its own, or a link to one, has no place beside it for renames. Staging is inside such a
home, where no tool looks for layers. In an overlay home, that is `staging`, where it looks like another partial pull.
"""

from __future__ import annotations

import errno
import os

from cstore import errors, presence
from cstore.contexts import suppress
from cstore.fs import within
from cstore.fs.lockfile import make_directories
from cstore.fs.rename import reaches
from cstore.fs.staging import GUARD, StagingRoot, hold_guard, is_held, put_aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.fs.staging import StagingDirectory

OWN = "cstore-staging"
"""The directory in a root or home for files that only cstore creates and sweeps."""
_LABEL = "security.selinux"


class HomeStaging:
    """The staging places of one home.

    Args:
        home: the driver's home.
        pulls: the name of its directory for partial pulls; "" if the driver has none.
        renames: whether trees are renamed into the home; otherwise, staging may be on any file system.
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
        """Create a staging directory from which files can be renamed into the home; create the home if necessary.

        Raises:
            SystemFailure: no space, or no permission.
        """
        try:
            make_directories(self.home, sync=True)
        except OSError as error:
            raise errors.SystemFailure("create the driver's home", self.home, error) from None
        place = self._beside
        if self._renames:
            # A home that is a link has no place beside it: its target may become a separate mount at any moment.
            in_root = os.path.join(os.path.realpath(self._root), os.path.basename(self.home))
            if os.path.realpath(self.home) != in_root or not reaches(self._root, self.home):
                place = self._inside
        if self._leads_away(place):
            raise errors.SystemFailure(
                "create a staging directory in", place.path, NotADirectoryError(errno.ENOTDIR, ""),
                hint="it is a symbolic link that no tool created; see where it leads, and remove it",
            )  # fmt: skip
        directory = place.reserve()
        with suppress(OSError):  # new files must get the same security label as in the home
            os.setxattr(directory.path, _LABEL, os.getxattr(self.home, _LABEL))
        return directory

    def put_aside(self, path: str) -> StagingDirectory | None:
        """Move a tree into staging, or delete it in place; see `StagingRoot.put_aside`."""
        return put_aside(path, self.reserve, self._beside.destroy)

    def made(self, directory: StagingDirectory) -> bool:
        """Return whether a staging directory belongs to this home."""
        return os.path.dirname(directory.path) in {self._beside.path, self._inside.path}

    def stale(self) -> list[str]:
        """Return everything without a living owner. Changes nothing.

        Raises:
            SystemFailure: a staging place cannot be read.
        """
        return [*(path for place in self._places() for path in place.stale()), *self._leaked()]

    def sweep(self) -> list[str]:
        """Remove everything without a living owner, as far as possible; return the removed paths.

        Raises:
            SystemFailure: a staging place cannot be read.
        """
        removed = [path for place in self._places() for path in place.sweep().removed]
        for path in self._leaked():
            from cstore.fs.tree.remove import remove_tree

            with suppress(errors.CstoreError):
                lock = hold_guard(path, exclusive=True, create=False)
                if lock < 0:
                    continue
                try:
                    remove_tree(path, detach_mounts=True)
                finally:
                    os.close(lock)
                removed.append(path)
        return removed

    def _places(self) -> list[StagingRoot]:
        return [place for place in (self._beside, self._inside, self._others) if not self._leads_away(place)]

    def _leads_away(self, place: StagingRoot) -> bool:
        """Return whether a symbolic link below root and home leads to a place, so that its contents are foreign."""
        above = os.path.dirname(place.path)
        return presence.is_link(place.path) or (above not in {self._root, self.home} and presence.is_link(above))

    def _leaked(self) -> Iterator[str]:
        """Yield abandoned partial pulls. One without a lock file is from a tool that does not lock them."""
        if not self._pulls or presence.is_link(self._pulls):
            return
        try:
            names = sorted(within.listdir(self._pulls))
        except OSError:
            return
        for name in names:
            path = os.path.join(self._pulls, name)
            if name != OWN and not presence.is_link(path) and not is_held(os.path.join(path, GUARD), missing=True):
                yield path
