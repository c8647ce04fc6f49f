"""The records of a store as immutable objects, and the names of their fields on disk (store-format 4)."""

from __future__ import annotations

from cstore.values import Choice, Generic, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from typing import Any, TypeVar

    from cstore.errors import UnknownItem
    from cstore.idmap import IDMap, IDRange

    R = TypeVar("R", bound="Record")
    """A class of records."""
else:
    R = None


__all__ = [
    "ZERO_TIME",
    "Container",
    "Generic",
    "IDMapEntry",
    "Image",
    "Kind",
    "Layer",
    "Location",
    "NameConflict",
    "R",
    "Record",
]

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time. `created` is written even then."""

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
"""Field → key on disk, if they differ."""


def key_of(field: str) -> str:
    """Return the key on disk of a field."""
    return KEYS.get(field, field)


class IDMapEntry(Value):
    """A range of `size` IDs, from `container_id` in the container and `host_id` on the host (store-format 3.1)."""

    container_id: int = 0
    host_id: int = 0
    size: int = 0


class Record(Value, kw_only=True):
    """The base of layers, images and containers. The order of a class's fields is their order on disk."""

    if TYPE_CHECKING:  # each class declares them itself to define that order
        id: str
        names: tuple[str, ...] = ()
        created: str = ZERO_TIME

    @property
    def created_at(self) -> datetime | None:
        """The creation time, to the microsecond; None if none is recorded, or it is invalid."""
        from datetime import datetime

        try:
            moment = datetime.fromisoformat(self.created)
        except ValueError:
            return None
        return None if self.created == ZERO_TIME or moment.tzinfo is None else moment


def known_size(digest: str, size: int) -> int | None:
    """Return the recorded size of an archive in bytes; None if unknown: no digest says that there was one."""
    return size if digest and size >= 0 else None


class Layer(Record, kw_only=True):
    """A layer. Sizes are in bytes, 0 if unknown; `diff_size` is -1 if only `toc_digest` is known (store-format 4.1)."""

    id: str
    names: tuple[str, ...] = ()
    parent: str = ""
    metadata: str = ""
    mount_label: str = ""
    created: str = ZERO_TIME
    compressed_digest: str = ""
    compressed_size: int = 0
    diff_digest: str = ""
    toc_digest: str = ""
    diff_size: int = 0
    compression: int = 0
    uids: tuple[int, ...] = ()
    gids: tuple[int, ...] = ()
    flags: Mapping[str, Any] = {}
    uid_map: tuple[IDMapEntry, ...] = ()
    gid_map: tuple[IDMapEntry, ...] = ()
    data_names: tuple[str, ...] = ()

    @property
    def known_size(self) -> int | None:
        """The bytes of its uncompressed archive; None if unknown: it has no archive, or was pulled partially."""
        return known_size(self.diff_digest, self.diff_size)

    @property
    def known_compressed_size(self) -> int | None:
        """The bytes of its archive as received; None if unknown."""
        return known_size(self.compressed_digest, self.compressed_size)

    @property
    def incomplete(self) -> bool:
        """Whether it is being created or removed. Only JSON `true` counts (store-format 4.5)."""
        return self.flags.get("incomplete") is True

    @property
    def id_map(self) -> IDMap:
        """The ID map of the owners of its files."""
        return to_id_map(self.uid_map, self.gid_map)

    def document(self) -> dict[str, Any]:
        """Return the record as commands print it with --json: with the Go tool's keys, without empty fields."""
        from cstore.records.documents import layer

        return layer(self)


class Image(Record, kw_only=True):
    """An image. `layer` is its top layer, `mapped_layers` its copies with other owners (store-format 4.2)."""

    id: str
    digest: str = ""
    names: tuple[str, ...] = ()
    names_history: tuple[str, ...] = ()
    layer: str = ""
    mapped_layers: tuple[str, ...] = ()
    metadata: str = ""
    data_names: tuple[str, ...] = ()
    data_sizes: Mapping[str, int] = {}
    data_digests: Mapping[str, str] = {}
    created: str = ZERO_TIME
    flags: Mapping[str, Any] = {}

    def document(self) -> dict[str, Any]:
        """Return the record as commands print it with --json: with the Go tool's keys, without empty fields."""
        from cstore.records.documents import image

        return image(self)


class Container(Record, kw_only=True):
    """A container: a record with its own writable `layer`, usually on top of an `image` (store-format 4.3)."""

    id: str
    names: tuple[str, ...] = ()
    image: str = ""
    layer: str = ""
    metadata: str = ""
    data_names: tuple[str, ...] = ()
    data_sizes: Mapping[str, int] = {}
    data_digests: Mapping[str, str] = {}
    created: str = ZERO_TIME
    uid_map: tuple[IDMapEntry, ...] = ()
    gid_map: tuple[IDMapEntry, ...] = ()
    flags: Mapping[str, Any] = {}

    @property
    def mount_label(self) -> str:
        """The SELinux label of its mounts; "" if none is recorded."""
        return _text(self.flags.get("MountLabel"))

    @property
    def process_label(self) -> str:
        """The SELinux label of its processes; "" if none is recorded."""
        return _text(self.flags.get("ProcessLabel"))

    @property
    def mount_options(self) -> tuple[str, ...]:
        """Mount options of its layer, in addition to those in the store's configuration."""
        recorded = self.flags.get("MountOpts")
        return tuple(map(str, recorded)) if isinstance(recorded, list) else ()

    @property
    def volatile(self) -> bool:
        """Whether a power cut may destroy its changes."""
        return self.flags.get("Volatile") is True

    @property
    def id_map(self) -> IDMap:
        """The requested ID map."""
        return to_id_map(self.uid_map, self.gid_map)

    def document(self) -> dict[str, Any]:
        """Return the record as commands print it with --json: with the Go tool's keys, without empty fields."""
        from cstore.records.documents import container

        return container(self)


def _text(flag: object) -> str:
    return flag if isinstance(flag, str) else ""


def to_id_map(uids: Iterable[IDMapEntry], gids: Iterable[IDMapEntry]) -> IDMap:
    """Convert recorded entries to an ID map."""
    from cstore.idmap import IDMap, IDRange

    return IDMap(
        tuple(IDRange(entry.container_id, entry.host_id, entry.size) for entry in uids),
        tuple(IDRange(entry.container_id, entry.host_id, entry.size) for entry in gids),
    )


def to_entries(ranges: Iterable[IDRange]) -> tuple[IDMapEntry, ...]:
    """Convert ID ranges to entries for a record."""
    return tuple(IDMapEntry(part.container_id, part.host_id, part.size) for part in ranges)


class Kind(Value, Generic[R]):
    """The properties of one kind of record.

    Attributes:
        noun: "layer", "image" or "container".
        record: the class of its records.
        alias: returns a second ID by which a record is found, if the kind has one.
        renamed: returns the record with new names, if other fields change with them.
        flaw: returns the reason why a record with valid types is unusable, or ""; None if there are none.
        duplicates: list all records with the same ID, and find the last; if false, the first one hides the others.
    """

    noun: str
    record: type[R]
    alias: Callable[[R], str] | None = None
    renamed: Callable[[R, tuple[str, ...]], R] | None = None
    flaw: Callable[[R], str] | None = None
    duplicates: bool = False

    def told_flaw(self) -> Callable[[R], str] | None:
        """Return a function like `flaw` whose reasons also name the record; None if the kind has no `flaw`."""
        if (flaw := self.flaw) is None:
            return None
        return lambda record: f"{self.noun} {record.id}: {reason}" if (reason := flaw(record)) else ""

    def unknown(self, item: str) -> UnknownItem:
        """Return the error for an unknown ID or name."""
        from cstore import errors

        kinds = {"layer": errors.LayerUnknown, "image": errors.ImageUnknown, "container": errors.ContainerUnknown}
        return kinds[self.noun](item)


class NameConflict(Value):
    """A name that two records of a kind have; it refers to the later one, `owner`."""

    name: str
    owner: str
    loser: str


class Location(Choice):
    """The file that holds a record, which never changes (store-format 4.1)."""

    STABLE = "stable"
    IMAGE_STORE = "image store"
    VOLATILE = "volatile"
