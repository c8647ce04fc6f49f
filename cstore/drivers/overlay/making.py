"""Create the directory of a new layer, with all its parts, in a staging directory (drivers 7.5)."""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors, presence
from cstore.archive.override import ATTRIBUTE, Override, parse
from cstore.drivers.contract import StagedTree
from cstore.drivers.overlay.lower import DEEPEST, Place, new_link_name
from cstore.drivers.overlay.options import NAME
from cstore.fs import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.archive.whiteout import WhiteoutForm
    from cstore.drivers.contract import TreeOptions
    from cstore.fs.staging import StagingDirectory
    from cstore.idmap import IDMap

ROOT_MODE = 0o555
"""The mode of a base layer's root directory until its archive sets another."""
_DIRECTORIES = ("work", "merged")


def make_layer(
    staging: StagingDirectory, parent: Place | None, id_map: IDMap, form: WhiteoutForm, mask: int = -1
) -> StagedTree:
    """Create the directory of a new layer above `parent`. A `mask` of 0 or more is the mode of all files on disk.

    Raises:
        DriverError: the parent cannot have children.
        SystemFailure: no space, or no permission.
    """
    folder = staging.next_name("layer")
    owner = id_map.to_host(0, 0)
    try:
        within.mkdir(folder, 0o700)
        mode = ROOT_MODE
        if parent is not None:
            _write(os.path.join(folder, "lower"), _lower_of(parent))
            mode, owner = _root_of(parent)
        else:
            within.mkdir(os.path.join(folder, "empty"), 0o700)
        _write(os.path.join(folder, "link"), new_link_name())
        for name in _DIRECTORIES:
            within.mkdir(os.path.join(folder, name), 0o700)
        tree = make_root(folder, mode, owner, mask)
        return StagedTree(tree, form, parent is not None, staging, force_mask=mask)
    except OSError as error:
        raise errors.SystemFailure("create a layer in", folder, error) from error


def _root_of(parent: Place) -> tuple[int, tuple[int, int]]:
    """Return the effective mode and owner of a layer's root directory."""
    with within.path_past_links(parent.diff) as diff:
        status = os.stat(diff)
        try:
            meant = parse(os.getxattr(diff, ATTRIBUTE))
        except OSError as error:
            if error.errno not in {errno.ENODATA, errno.ENOTSUP}:
                raise
            meant = None
    if meant is None:
        return stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
    return meant.mode, (meant.uid, meant.gid)


def make_root(folder: str, mode: int, owner: tuple[int, int], mask: int = -1) -> str:
    """Create `diff` in a layer's directory and return its path. The mode is exact, whatever the umask.

    With a mask, the directory has that mode and this process's owner, and an attribute has the real ones.

    Raises:
        OSError: as mkdir(2).
    """
    tree = os.path.join(folder, "diff")
    within.mkdir(tree, 0o700)
    fd = within.open_folder(tree, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if mask >= 0:
            os.setxattr(fd, ATTRIBUTE, Override(*owner, mode, stat.S_IFDIR).text())
        elif os.geteuid() == 0:
            os.fchown(fd, *owner)
        os.fchmod(fd, mode if mask < 0 else mask)
    finally:
        os.close(fd)
    return tree


def copy_layer(staging: StagingDirectory, source: Place, form: WhiteoutForm, mask: int = -1) -> StagedTree:
    """Create a copy of a layer's directory, with the same short link, which can be changed and then replaces it.

    Raises:
        SystemFailure: something cannot be copied.
    """
    from cstore.fs.tree import copy_tree

    folder = staging.next_name("layer")
    trees = ["diff", *(os.path.basename(path) for path in source.rotated())]
    try:
        within.mkdir(folder, 0o700)
        for name in ("link", "lower"):
            text = _read(source, name)
            if text:
                _write(os.path.join(folder, name), text)
        for name in _DIRECTORIES if presence.exists(os.path.join(folder, "lower")) else (*_DIRECTORIES, "empty"):
            within.mkdir(os.path.join(folder, name), 0o700)
        for name in trees:
            within.mkdir(os.path.join(folder, name), 0o700)
            copy_tree(os.path.join(source.path, name), os.path.join(folder, name))
    except OSError as error:
        raise errors.SystemFailure("copy the layer to", folder, error) from error
    has_lower = presence.exists(os.path.join(folder, "lower")) or len(trees) > 1
    return StagedTree(os.path.join(folder, "diff"), form, has_lower, staging, copied=True, force_mask=mask)


def sync_layer(folder: str) -> None:
    """Sync a layer's own files; its contents were synced when it was filled."""
    from cstore.fs.atomic import sync_directory, sync_file

    for name in ("link", "lower"):
        path = os.path.join(folder, name)
        if presence.exists(path):
            sync_file(path)
    if not presence.is_link(os.path.join(folder, "diff")):
        sync_directory(os.path.join(folder, "diff"))
    sync_directory(folder)


def sync_home(home: str) -> None:
    """Sync the directories of layers and short links in a home."""
    from cstore.fs.atomic import sync_directory

    sync_directory(os.path.join(home, "l"))
    sync_directory(home)


def _lower_of(parent: Place) -> str:
    """Return the `lower` file of a child: its parent, followed by the parent's ancestors."""
    link = parent.link
    if not link:
        raise errors.DriverError(
            NAME,
            f"layer {parent.layer} has no short link: {os.path.join(parent.path, 'link')} is missing or damaged",
            hint="run cstore repair, or mount the layer once, which repairs the link",
        )
    names = [link, *parent.lower_names()]
    if len(names) > DEEPEST:
        raise errors.DriverError(
            NAME,
            f"layer {parent.layer} has {len(names) - 1} ancestors; no layer can be made on top of it",
            hint="squash some of the layers into one",
            go_text="max depth exceeded",
        )
    return ":".join(f"l/{name}" for name in names)


def _write(path: str, text: str) -> None:
    fd = within.open_path(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(fd, text.encode())
        os.fchmod(fd, 0o644)
    finally:
        os.close(fd)


def _read(place: Place, name: str) -> str:
    try:
        return within.read_small(place.home, f"{place.layer}/{name}").decode("ascii")
    except FileNotFoundError:
        return ""


# ── refusals ──
#
# Errors for unsupported requests, raised before anything is created (drivers 7.6).


def contents_lost(place: Place) -> errors.DriverError:
    """Return the error for a layer whose `diff` is missing."""
    hint = "its contents are lost; cstore repair --from ARCHIVE restores them"
    if place.foreign:
        hint = "its contents are lost; cstore repair --dry-run names the store and the remedy"
    return errors.DriverError(NAME, f"layer {place.layer} has no directory {place.diff}", hint=hint)


def program_only(place: Place, program: str) -> errors.DriverError:
    """Return the error for a layer that cannot get other owners, because the kernel does not show it as written."""
    return errors.DriverError(
        NAME,
        f"layer {place.layer} has owners and modes in attributes, or a mount program's marks, and no copy of it with "
        "other owners can be made",
        hint=f"use it without an ID map, or set mount_program to {program}, which can show other owners",
    )


def refuse_quotas(asked: Iterable[str]) -> None:
    """Refuse all storage options with these names: they request limits that nothing would enforce.

    Raises:
        DriverError: there is such an option.
    """
    for name in asked:
        raise errors.DriverError(
            NAME,
            f"the storage option {name!r} needs project quotas, which cstore does not set",
            hint="leave it out",
            go_text="--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        )


def check_mask(options: TreeOptions, program: str) -> None:
    """Check that a layer with modes in attributes will be shown with these.

    Raises:
        DriverError: it will not.
    """
    if not options.read_only and not program:
        raise errors.DriverError(
            NAME,
            "force_mask is set, and only a mount program can show the modes of a writable layer",
            hint="set mount_program to fuse-overlayfs, or remove force_mask from the configuration",
            go_text="overlay: force_mask option for writeable layers is only supported with a mount_program",
        )
    if options.parent_map != options.id_map:
        raise errors.DriverError(
            NAME,
            "force_mask is set, and a layer with masked modes must have its parent's owners",
            hint="remove force_mask from the configuration, or use the same ID map as for the parent",
        )
