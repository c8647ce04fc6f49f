"""Choose the extended attributes of entries that are set; a table lists the others, with reasons."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

DROPPED: tuple[tuple[bytes, str], ...] = (
    (b"trusted.overlay.", "they steer the kernel's overlay: a layer could hide or redirect what others made"),
    (b"user.overlay.", "the same in a user namespace"),
    (b"user.fuseoverlayfs.", "the same for fuse-overlayfs"),
    (b"user.containers.override_stat", "it makes a mount program show other owners and modes than the files have"),
    (b"security.selinux", "labels are given by the host when it mounts, never by who made the layer"),
)
"""Prefixes of attributes that are not set, with reasons. The tar-split keeps them, so exports contain them."""

_PREFIXES = tuple(prefix for prefix, _ in DROPPED)


def to_set(xattrs: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the attributes to set, including ACLs and capabilities."""
    return tuple(pair for pair in xattrs if not pair[0].startswith(_PREFIXES))
