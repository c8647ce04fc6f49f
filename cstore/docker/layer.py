"""The layers of Docker's layer store: read-only ones by ChainID, writable ones by name."""

from __future__ import annotations

from cstore.arguments import checked_methods
from cstore.errors import InvalidOption, LayerNotVerified, NotAnAncestor
from cstore.oci.chain import EMPTY_DIFF_ID
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from cstore.archive.changes import Change
    from cstore.docker.chains import Link
    from cstore.records.model import Layer
    from cstore.store import Store
    from cstore.store.ends import Source, Target


DESCRIPTOR = "descriptor.json"
"""The data item with a layer's descriptor."""


class Freed(Value):
    """A read-only layer that a release deleted. `size` includes all layers below it, before the release."""

    chain_id: str
    diff_id: str
    layer: str
    size: int
    diff_size: int


@checked_methods
class ReadOnlyLayer:
    """A reference to a registered layer, to be released once; or, from `LayerStore.map`, a view of one."""

    def __init__(self, store: Store, line: Sequence[Link]) -> None:
        """Create it from `line`: the layer itself, then its ancestors downward."""
        self._store = store
        self._line = tuple(line)

    @property
    def chain_id(self) -> str:
        """The ChainID, which identifies this layer together with all layers below it."""
        return self._line[0].chain_id

    @property
    def diff_id(self) -> str:
        """The digest of the uncompressed archive that it was registered from."""
        return self._line[0].layer.diff_digest

    @property
    def layer(self) -> str:
        """The ID of the layer in the store."""
        return self._line[0].layer.id

    @property
    def depth(self) -> int:
        """The number of layers in the chain, including this one."""
        return len(self._line)

    @property
    def parent(self) -> ReadOnlyLayer | None:
        """The layer below, without taking a reference."""
        return ReadOnlyLayer(self._store, self._line[1:]) if self._line[1:] else None

    @property
    def is_empty(self) -> bool:
        """Whether it is the layer of an empty archive."""
        return self.diff_id == EMPTY_DIFF_ID

    @property
    def descriptor(self) -> Mapping[str, Any]:
        """The descriptor given at registration, such as media type, size and digest of the blob; empty without one."""
        import json

        if DESCRIPTOR not in self._line[0].layer.data_names:
            return {}
        found = json.loads(self._store.layers.get_data(self.layer, DESCRIPTOR))
        return found if isinstance(found, dict) else {}

    def diff_size(self) -> int:
        """Return the bytes in the files of this layer's archive."""
        return self._store.layers.archive_size(self.layer)

    def size(self) -> int:
        """Return the bytes in the files of all archives of the chain."""
        return sum(self._store.layers.archive_size(link.layer.id) for link in self._line)

    @property
    def chain_ids(self) -> tuple[str, ...]:
        """Its own ChainID, then those of the layers below."""
        return tuple(link.chain_id for link in self._line)

    @property
    def records(self) -> tuple[Layer, ...]:
        """The records of the whole chain, bottom first."""
        return tuple(link.layer for link in reversed(self._line))

    def measured(self) -> list[Freed]:
        """Return what a release of the whole chain would return: this layer and all below it, uppermost first."""
        sizes = [self._store.layers.archive_size(link.layer.id) for link in self._line]
        return [
            Freed(link.chain_id, link.layer.diff_digest, link.layer.id, sum(sizes[place:]), sizes[place])
            for place, link in enumerate(self._line)
        ]

    def metadata(self) -> Mapping[str, str]:
        """Return the driver's directories of the layer, by Docker's names; none with vfs."""
        return self._store.layers.directories(self.layer)

    def write_tar(self, sink: Target) -> None:
        """Write the registered archive, byte for byte.

        Raises:
            ContentDamaged: a file differs from the registered one.
            LayerNotVerified: the archive has another digest. This is detected after all bytes were written.
        """
        from cstore.archive.compression import Compression
        from cstore.archive.streams import HashingSink
        from cstore.store.ends import opened_sink

        with opened_sink(sink) as opened:
            hashed = HashingSink(opened)
            self._store.layers.diff(self.layer, hashed, compression=Compression.NONE)
            if hashed.digest != self.diff_id:
                raise LayerNotVerified(self.layer, self.diff_id)

    def write_tar_from(self, ancestor: str, sink: Target) -> None:
        """Write the changes since the ancestor with that ChainID as a tar, or the whole tree for "".

        The tar is made from the trees, so it is not a registered archive.

        Raises:
            NotAnAncestor: no layer below this one has that ChainID.
        """
        if not ancestor:
            self._store.layers.write_tree(self.layer, sink)
            return
        found = next((link for link in self._line[1:] if link.chain_id == ancestor), None)
        if found is None:
            raise NotAnAncestor(ancestor, self.chain_id)
        self._store.layers.write_changes(self.layer, sink, found.layer.id)


class EmptyLayer:
    """The empty layer, which is in no store; it stands for a commit without changes."""

    chain_id = EMPTY_DIFF_ID
    diff_id = EMPTY_DIFF_ID
    parent = None
    is_empty = True

    @staticmethod
    def size() -> int:
        """Return 0."""
        return 0

    diff_size = size

    @staticmethod
    def metadata() -> Mapping[str, str]:
        """Return no directories."""
        return {}

    @staticmethod
    def write_tar(sink: Target) -> None:
        """Write the empty archive: 1024 zero bytes."""
        from cstore.store.ends import opened_sink

        with opened_sink(sink) as opened:
            opened.write(bytes(1024))

    def write_tar_from(self, ancestor: str, sink: Target) -> None:
        """Write the empty archive.

        Raises:
            InvalidOption: an ancestor is given, but there is none.
        """
        if ancestor:
            raise InvalidOption(
                "the empty layer has no layer below it", go_text="can't get parent tar stream of an empty layer"
            )
        self.write_tar(sink)


@checked_methods
class WritableLayer:
    """A reference to a writable layer, to be released once. `layer` is its ID, Docker's mount ID."""

    def __init__(self, store: Store, name: str, layer: str, parent: ReadOnlyLayer | None) -> None:
        self._store = store
        self.name = name
        self.layer = layer
        self.parent = parent

    def mount(self, label: str = "") -> str:
        """Mount the layer, increasing its mount count; return the mount point."""
        return self._store.mount(self.layer, label=label)

    def unmount(self) -> None:
        """Decrease the mount count, and unmount the layer if it is 0. A surplus call is harmless."""
        self._store.unmount(self.layer)

    def changes(self) -> Sequence[Change]:
        """Return its changes relative to its parent and init layer."""
        return self._store.layers.changes(self.layer)

    def size(self) -> int:
        """Return the bytes of added and modified files."""
        return self._store.layers.diff_size(self.layer)

    def write_tar(self, sink: Target) -> None:
        """Write its changes as a tar."""
        self._store.layers.write_changes(self.layer, sink)

    def apply_diff(self, source: Source, progress: Callable[[int], None] | None = None) -> int:
        """Apply an archive; return the size of its files in bytes."""
        return self._store.layers.apply_diff(self.layer, source, progress)

    def metadata(self) -> Mapping[str, str]:
        """Return the driver's directories of the layer, or the layer's name if the driver has no names for them."""
        return self._store.layers.directories(self.layer) or {"ID": self.name}
