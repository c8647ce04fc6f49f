"""Layers as Docker's layer store hands them out: read-only ones by ChainID, writable ones by name."""

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
"""The data item of a layer that holds its descriptor."""


class Freed(Value):
    """A read-only layer that a release deleted. `size` counts all below it too, as it was before."""

    chain_id: str
    diff_id: str
    layer: str
    size: int
    diff_size: int


@checked_methods
class ReadOnlyLayer:
    """A reference to a registered layer, to be released once; or, from `LayerStore.map`, a look at one."""

    def __init__(self, store: Store, line: Sequence[Link]) -> None:
        """`line`: the layer itself, then its ancestors downward."""
        self._store = store
        self._line = tuple(line)

    @property
    def chain_id(self) -> str:
        """The ChainID of this layer and its ancestors."""
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
        """How many layers the chain has, this one included."""
        return len(self._line)

    @property
    def parent(self) -> ReadOnlyLayer | None:
        """The layer below. No reference is taken."""
        return ReadOnlyLayer(self._store, self._line[1:]) if self._line[1:] else None

    @property
    def is_empty(self) -> bool:
        """Whether it is of the archive that holds nothing."""
        return self.diff_id == EMPTY_DIFF_ID

    @property
    def descriptor(self) -> Mapping[str, Any]:
        """The description given when it was registered: media type, size and digest of its blob; empty if none."""
        import json

        if DESCRIPTOR not in self._line[0].layer.data_names:
            return {}
        found = json.loads(self._store.layers.get_data(self.layer, DESCRIPTOR))
        return found if isinstance(found, dict) else {}

    def diff_size(self) -> int:
        """Bytes in the files of this layer's archive."""
        return self._store.layers.archive_size(self.layer)

    def size(self) -> int:
        """Bytes in the files of the archives of the whole chain."""
        return sum(self._store.layers.archive_size(link.layer.id) for link in self._line)

    @property
    def chain_ids(self) -> tuple[str, ...]:
        """Its own ChainID, then those below."""
        return tuple(link.chain_id for link in self._line)

    @property
    def records(self) -> tuple[Layer, ...]:
        """The records of the whole chain, bottom first."""
        return tuple(link.layer for link in reversed(self._line))

    def measured(self) -> list[Freed]:
        """The layers that a release of the whole chain would return: this layer and its ancestors, uppermost first."""
        sizes = [self._store.layers.archive_size(link.layer.id) for link in self._line]
        return [
            Freed(link.chain_id, link.layer.diff_digest, link.layer.id, sum(sizes[place:]), sizes[place])
            for place, link in enumerate(self._line)
        ]

    def metadata(self) -> Mapping[str, str]:
        """The directories that the driver keeps it in, by Docker's names; none with vfs."""
        return self._store.layers.directories(self.layer)

    def write_tar(self, sink: Target) -> None:
        """Write the archive that was registered, byte for byte.

        Raises:
            ContentDamaged: a file has changed since it was registered.
            LayerNotVerified: the digest differs, which is known only at the end, after all bytes were written.
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
        """Write as a tar what changed since the ancestor of that ChainID, or with "" the whole tree.

        It is made from the trees, so it is not any registered archive.

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
    """The empty layer, which is in no store and stands for a commit without changes."""

    chain_id = EMPTY_DIFF_ID
    diff_id = EMPTY_DIFF_ID
    parent = None
    is_empty = True

    @staticmethod
    def size() -> int:
        """No bytes."""
        return 0

    diff_size = size

    @staticmethod
    def metadata() -> Mapping[str, str]:
        """No directories."""
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
            InvalidOption: an ancestor is named; there is none.
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
        """Mount it once more and return where."""
        return self._store.mount(self.layer, label=label)

    def unmount(self) -> None:
        """Take one mount back. One too many is harmless."""
        self._store.unmount(self.layer)

    def changes(self) -> Sequence[Change]:
        """Its changes against its parent and init layer."""
        return self._store.layers.changes(self.layer)

    def size(self) -> int:
        """Bytes that it adds or modifies."""
        return self._store.layers.diff_size(self.layer)

    def write_tar(self, sink: Target) -> None:
        """Write what it changes as a tar."""
        self._store.layers.write_changes(self.layer, sink)

    def apply_diff(self, source: Source, progress: Callable[[int], None] | None = None) -> int:
        """Apply an archive; return the size of the files in it, in bytes."""
        return self._store.layers.apply_diff(self.layer, source, progress)

    def metadata(self) -> Mapping[str, str]:
        """The directories that the driver keeps it in; with a driver that has no names for them, the layer's name."""
        return self._store.layers.directories(self.layer) or {"ID": self.name}
