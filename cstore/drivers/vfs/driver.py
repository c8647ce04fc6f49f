"""The vfs driver: every layer is a whole tree in `HOME/dir/<layer>`.

It works on every file system and needs no privilege. A layer takes the space of all layers below it, except where the
file system shares blocks between copies (reflinks). (drivers 10, store-format 11.1)
"""

from __future__ import annotations

import os

from cstore import errors, presence
from cstore.drivers.whole_trees import TreeHome, TreeMaker, WholeTrees, make_root, no_mount_options
from cstore.fs import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.drivers.contract import Driver, StagedTree, TreeOptions
    from cstore.drivers.registry import DriverPlace
    from cstore.drivers.whole_trees import Owners

NAME = "vfs"


class Directories:
    """Trees that are ordinary directories."""

    def make(self, tree: str, layer_root: tuple[int, int]) -> None:
        """See `TreeMaker.make`."""
        within.mkdir(tree, 0o700)
        make_root(tree, layer_root)

    def copy(self, source: str, tree: str, layer: str, owner: Owners) -> bool:
        """See `TreeMaker.copy`. No lock is held, so check that the source is still the same directory afterwards."""
        from cstore.fs.tree import copy_tree

        before = os.stat(source)
        within.mkdir(tree, 0o700)
        try:
            copy_tree(source, tree, owner=owner)
        except errors.SystemFailure as error:
            if _same_directory(source, before):
                raise
            raise _went_away(layer) from error
        if not _same_directory(source, before):
            raise _went_away(layer)
        return True

    def destroy(self, path: str) -> None:
        """See `TreeMaker.destroy`."""
        from cstore.fs.staging import remove_staged

        remove_staged(path)


class VfsDriver(WholeTrees):
    """Layers as full copies. Read-only layers are created in the separate image store, if there is one."""

    name = NAME

    def __init__(self, place: DriverPlace) -> None:
        maker = Directories()
        super().__init__(
            TreeHome(place.home, "dir", maker),
            place.run_home,
            image_home=TreeHome(place.image_home, "dir", maker) if place.image_home else None,
            foreign=[TreeHome(os.path.join(store, NAME), "dir", maker) for store in read_options(place.options)],
            sync=place.sync,
        )

    def stage(self, parent: str | None, options: TreeOptions) -> StagedTree:
        """See `Driver.stage`."""
        if options.storage_options:
            raise errors.DriverError(
                NAME, "it has no storage options", go_text="--storage-opt is not supported for vfs"
            )
        return super().stage(parent, options)


if TYPE_CHECKING:
    _: tuple[type[Driver], type[TreeMaker]] = (VfsDriver, Directories)


def read_options(options: Sequence[str]) -> list[str]:
    """Return the additional stores in the driver options; refuse options that vfs does not have.

    The store obeys `ignore_chown_errors` for all drivers.
    """
    if not options:
        return []
    from cstore.config.driver_options import additional_image_stores, options_for, parse_flag, parse_sync

    for name, value, key in options_for(NAME, options):
        if name == "mountopt":
            raise no_mount_options(NAME)
        try:
            if name == "sync":
                parse_sync(value)  # cstore syncs every change itself, whatever the value
            elif name == "ignore_chown_errors":
                parse_flag(value)
            elif name != "imagestore":
                raise errors.DriverError(
                    NAME, f"it has no option {key!r}", go_text=f"vfs driver does not support {key} options"
                )
        except ValueError as error:
            raise errors.DriverError(NAME, f"option {name}: {error}") from None
    stores = list(additional_image_stores(options, NAME))
    for store in stores:
        if not presence.is_directory(store):
            raise errors.DriverError(
                NAME,
                f"the additional image store {store} is not a directory",
                hint="mount its disk, correct its path, or remove it from additionalimagestores",
            )
    return stores


def _same_directory(path: str, before: os.stat_result) -> bool:
    try:
        now = os.stat(path)
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino)


def _went_away(layer: str) -> errors.DriverError:
    return errors.DriverError(
        "vfs", f"layer {layer} was removed while it was being copied", hint="try again with another layer"
    )
