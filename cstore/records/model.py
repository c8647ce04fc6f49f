"""The records of a store as immutable objects, and how their fields are called on disk (store-format 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

import msgspec

from cstore.idmap import IDMap, IDRange

if TYPE_CHECKING:
    from collections.abc import Iterable

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time. `created` is written even then."""

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Identifier = Annotated[str, msgspec.Meta(min_length=1)]
Owner = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]

KEYS = {
    "mount_label": "mountlabel",
    "compressed_digest": "compressed-diff-digest",
    "compressed_size": "compressed-size",
    "diff_digest": "diff-digest",
    "toc_digest": "toc-digest",
    "diff_size": "diff-size",
    "uids": "uidset",
    "gids": "gidset",
    "uid_map": "uidmap",
    "gid_map": "gidmap",
    "names_history": "names-history",
    "mapped_layers": "mapped-layers",
    "data_names": "big-data-names",
    "data_sizes": "big-data-sizes",
    "data_digests": "big-data-digests",
}
"""Field → key on disk, where they differ."""


class IDMapEntry(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`size` consecutive IDs: `container_id` inside is `host_id` outside, and so on upward (store-format 3.1)."""

    container_id: Int64 = 0
    host_id: Int64 = 0
    size: Int64 = 0


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What layers, images and containers have in common. The order of a kind's fields is their order on disk."""

    if TYPE_CHECKING:  # each kind declares them itself, for the sake of that order
        id: Identifier
        names: tuple[str, ...] = ()

    def with_(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)


class Layer(Record, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True, rename=KEYS):
    """A layer. Sizes are bytes, 0 if not known; `diff_size` is -1 if only `toc_digest` is known (store-format 4.1)."""

    id: Identifier
    names: tuple[str, ...] = ()
    parent: str = ""
    metadata: str = ""
    mount_label: str = ""
    created: str = ZERO_TIME
    compressed_digest: str = ""
    compressed_size: Int64 = 0
    diff_digest: str = ""
    toc_digest: str = ""
    diff_size: Int64 = 0
    compression: Int64 = 0
    uids: tuple[Owner, ...] = ()
    gids: tuple[Owner, ...] = ()
    flags: dict[str, Any] = msgspec.field(default_factory=dict)
    uid_map: tuple[IDMapEntry, ...] = ()
    gid_map: tuple[IDMapEntry, ...] = ()
    data_names: tuple[str, ...] = ()

    @property
    def incomplete(self) -> bool:
        """Whether it is being made or removed. Only JSON `true` counts (store-format 4.5)."""
        return self.flags.get("incomplete") is True

    @property
    def id_map(self) -> IDMap:
        """How the owners of its contents were mapped."""
        return to_id_map(self.uid_map, self.gid_map)


class Image(Record, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True, rename=KEYS):
    """An image. `layer` is its top layer, `mapped_layers` the ID-mapped twins of that one (store-format 4.2)."""

    id: Identifier
    digest: str = ""
    names: tuple[str, ...] = ()
    names_history: tuple[str, ...] = ()
    layer: str = ""
    mapped_layers: tuple[str, ...] = ()
    metadata: str = ""
    data_names: tuple[str, ...] = ()
    data_sizes: dict[str, Int64] = msgspec.field(default_factory=dict)
    data_digests: dict[str, str] = msgspec.field(default_factory=dict)
    created: str = ZERO_TIME
    flags: dict[str, Any] = msgspec.field(default_factory=dict)


class Container(Record, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True, rename=KEYS):
    """A container: a writable `layer` of its own, usually on top of an `image` (store-format 4.3)."""

    id: Identifier
    names: tuple[str, ...] = ()
    image: str = ""
    layer: str = ""
    metadata: str = ""
    data_names: tuple[str, ...] = ()
    data_sizes: dict[str, Int64] = msgspec.field(default_factory=dict)
    data_digests: dict[str, str] = msgspec.field(default_factory=dict)
    created: str = ZERO_TIME
    uid_map: tuple[IDMapEntry, ...] = ()
    gid_map: tuple[IDMapEntry, ...] = ()
    flags: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def id_map(self) -> IDMap:
        """The ID map that was asked for."""
        return to_id_map(self.uid_map, self.gid_map)


R = TypeVar("R", bound=Record)
"""One kind of record."""


def to_id_map(uids: Iterable[IDMapEntry], gids: Iterable[IDMapEntry]) -> IDMap:
    """Turn recorded entries into an ID map."""
    return IDMap(
        tuple(IDRange(entry.container_id, entry.host_id, entry.size) for entry in uids),
        tuple(IDRange(entry.container_id, entry.host_id, entry.size) for entry in gids),
    )


def to_entries(ranges: Iterable[IDRange]) -> tuple[IDMapEntry, ...]:
    """Turn ID ranges into entries to record."""
    return tuple(IDMapEntry(part.container_id, part.host_id, part.size) for part in ranges)
