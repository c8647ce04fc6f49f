"""What cannot be had of a layer, said before anything is made (drivers 7.6)."""

from __future__ import annotations

from cstore.drivers.overlay.options import NAME
from cstore.errors import DriverError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.drivers.contract import TreeOptions
    from cstore.drivers.overlay.lower import Place


def contents_lost(place: Place) -> DriverError:
    """The error for a layer whose `diff` is missing."""
    hint = "its contents are lost; cstore repair --from ARCHIVE restores them"
    if place.foreign:
        hint = "its contents are lost; cstore repair --dry-run says in which store, and what helps"
    return DriverError(NAME, f"layer {place.layer} has no directory {place.diff}", hint=hint)


def program_only(place: Place, program: str) -> DriverError:
    """The error for a layer that cannot get other owners, as the kernel does not show it as it was written."""
    return DriverError(
        NAME,
        f"layer {place.layer} has owners and modes in attributes, or a mount program's marks, and no copy of it with "
        "other owners can be made",
        hint=f"use it without an ID map, or set mount_program to {program}, which can show other owners",
    )


def refuse_quotas(asked: Iterable[str]) -> None:
    """Refuse storage options of these names, whichever there are: they promise limits that nobody would keep.

    Raises:
        DriverError: there is one.
    """
    for name in asked:
        raise DriverError(
            NAME,
            f"the storage option {name!r} needs project quotas, which cstore does not set",
            hint="leave it out",
            go_text="--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        )


def check_mask(options: TreeOptions, program: str) -> None:
    """Make sure that a layer whose modes are in attributes will be shown with them.

    Raises:
        DriverError: it would not.
    """
    if not options.read_only and not program:
        raise DriverError(
            NAME,
            "force_mask is set, and only a mount program can show the modes of a writable layer",
            hint="set mount_program to fuse-overlayfs, or remove force_mask from the configuration",
            go_text="overlay: force_mask option for writeable layers is only supported with a mount_program",
        )
    if options.parent_map != options.id_map:
        raise DriverError(
            NAME,
            "force_mask is set, and a layer with masked modes must have its parent's owners",
            hint="remove force_mask from the configuration, or use the same ID map as for the parent",
        )
