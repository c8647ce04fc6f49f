"""Docker's layer store on a cstore store: layers by ChainID, with references, and releases that cascade.

A release keeps a layer that has references of this object, a layer on top of it, an image, a container, a mount, or a
name, which a user gave it deliberately. References belong to this process; all else is in the records, visible to every
program (docker 3, 15). An object must be used by one thread only.
"""

from __future__ import annotations

import os

from cstore.arguments import checked, checked_methods
from cstore.docker.chains import chain_outlines, index, links
from cstore.docker.layer import DESCRIPTOR, Freed, ReadOnlyLayer
from cstore.docker.writable import WritableLayers
from cstore.errors import (
    ArchiveHostile,
    ArchiveMalformed,
    ChainTooDeep,
    ChainUnknown,
    IDTaken,
    InUse,
    LayerNotRetained,
    LayerUnknown,
    ReadOnlyStore,
)
from cstore.idmap import IDENTITY
from cstore.ids import new_id
from cstore.oci.chain import next_chain, next_layer_id
from cstore.records.layers import follow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from cstore.archive.apply import Applied
    from cstore.docker.chains import ChainOutline, Link
    from cstore.idmap import IDMap
    from cstore.records.model import Layer
    from cstore.store import Leftover, NewLayer, Store
    from cstore.store.ends import Source
    from cstore.store.intents import Intent

MAX_DEPTH = 125
"""The default limit of layers in a chain: Docker's, which leaves room for an init layer and a writable layer."""


@checked_methods
class LayerStore:
    """Layers by ChainID (`chain`). `writable` has the writable layers, by name.

    Args:
        store: the store.
        max_depth: the largest number of layers in a chain.
        id_map: the ID map of all its layers on disk, even if the driver can shift owners. With a map, layers of other
            maps are ignored, and new layers get random IDs.
    """

    @checked
    def __init__(self, store: Store, *, max_depth: int = MAX_DEPTH, id_map: IDMap | None = None) -> None:
        self._store = store
        self.id_map = id_map or IDENTITY
        self._max_depth = max_depth
        self._held: dict[str, set[ReadOnlyLayer]] = {}
        self.writable = WritableLayers(self, store)

    @property
    def driver_name(self) -> str:
        """The driver of the store."""
        return self._store.driver_name

    def driver_status(self) -> list[tuple[str, str]]:
        """Return facts about the driver: label and value."""
        return self._store.status()

    # ── read-only layers ──

    def register(
        self,
        source: Source,
        parent: str = "",
        progress: Callable[[int], None] | None = None,
        descriptor: Mapping[str, Any] | None = None,
        *,
        intent: Intent | None = None,
    ) -> ReadOnlyLayer:
        """Create a layer from an archive on top of the chain `parent`, or use an existing one; return a reference.

        A new layer gets the ID that skopeo and Podman would give it, so that they find it, too.

        Args:
            source: the archive, plain or compressed: a path, bytes, a descriptor, or a file.
            parent: a ChainID; "" for a bottom layer.
            progress: called with the bytes read so far, if the archive is unpacked.
            descriptor: a JSON object to store with a new layer; see `ReadOnlyLayer.descriptor`.
            intent: the journal of a larger operation: a new layer is noted there, and removed if that is reverted.

        Raises:
            ChainUnknown: no layer has the ChainID `parent`.
            ChainTooDeep: the parent's chain already has the largest number of layers.
            ArchiveError: the archive is not a valid layer; nothing of it is kept.
        """
        from cstore.docker.intake import twice_readable
        from cstore.gojson import encode
        from cstore.store.ends import opened_source

        data = {} if descriptor is None else {DESCRIPTOR: encode(dict(descriptor))}
        below = self._index().get(parent) if parent else None
        if parent and below is None:
            raise ChainUnknown(parent)
        if below is not None and below.depth >= self._max_depth:
            raise ChainTooDeep(parent, self._max_depth)
        directory = self._store.config.graph_root
        with opened_source(source) as opened, twice_readable(opened, directory) as (archive, diff_id):
            chain = next_chain(parent, diff_id)
            if chain not in self._index():
                self._put(archive, below, diff_id, progress, data, intent)
        return self.get(chain)

    def owned(self, request: NewLayer) -> NewLayer:
        """Return a request for a layer with this store's ID map."""
        return request.with_(id_map=self.id_map, owners_on_disk=True) if self.id_map else request

    def _put(
        self,
        source: int,
        below: Link | None,
        diff_id: str,
        progress: Callable[[int], None] | None,
        data: Mapping[str, bytes],
        intent: Intent | None,
    ) -> None:
        from cstore.archive.names import show_name
        from cstore.store import NewLayer

        def accept(applied: Applied) -> Applied:
            if applied.diff_digest != diff_id:
                raise ArchiveMalformed("it changed while it was read")
            if applied.repeated:
                error = ArchiveHostile(show_name(applied.repeated), "it occurs twice")
                error.go_text = "duplicates of file paths not supported"
                raise error
            return applied

        canonical_id = next_layer_id(below.canonical_id if below else "", diff_id)
        if self.id_map:
            canonical_id = new_id(lambda each: self._store.layers.find(each) is not None)
        request = self.owned(NewLayer(parent=below.layer.id if below else "", id=canonical_id, data=data))
        start = os.lseek(source, 0, os.SEEK_CUR)
        if intent is not None and self._store.layers.find(canonical_id) is None:
            intent.note(layers=[canonical_id])
        try:
            self._store.layers.put(request, source, progress, accept)
        except IDTaken:
            if next_chain(below.chain_id if below else "", diff_id) in self._index():
                return  # another process created it in the meantime
            os.lseek(source, start, os.SEEK_SET)
            other = new_id(lambda each: self._store.layers.find(each) is not None)  # another layer has the usual ID
            if intent is not None:
                intent.note(layers=[other])
            self._store.layers.put(request.with_(id=other), source, progress, accept)

    def get(self, chain: str) -> ReadOnlyLayer:
        """Return a new reference to the layer with that ChainID.

        Raises:
            ChainUnknown: there is no such layer.
        """
        found = self.look(chain)
        self._held.setdefault(chain, set()).add(found)
        return found

    def look(self, chain: str) -> ReadOnlyLayer:
        """Return the layer with that ChainID without taking a reference.

        Raises:
            ChainUnknown: there is no such layer.
        """
        found = self.find(chain)
        if found is None:
            raise ChainUnknown(chain)
        return found

    def find(self, chain: str) -> ReadOnlyLayer | None:
        """Return the layer with that ChainID without taking a reference; None if there is none."""
        known = self._links()
        link = index(known.values()).get(chain)
        return None if link is None else _line_of(self._store, link, known)

    def chain_of(self, ref: str) -> str:
        """Resolve `ref` to a ChainID: it may be one, with or without `sha256:`, or a layer's ID or name.

        Raises:
            ChainUnknown: there is no such layer, or it has no ChainID.
        """
        present = self.present()
        for chain in (ref, f"sha256:{ref}"):
            if chain in present:
                return chain
        layer = self._store.layers.find(ref)
        found = self.at(layer.id) if layer is not None else None
        if found is None:
            raise ChainUnknown(ref)
        return found.chain_id

    def map(self) -> Mapping[str, ReadOnlyLayer]:
        """Return all layers by ChainID, without taking references."""
        known = self._links()
        return {chain: _line_of(self._store, link, known) for chain, link in index(known.values()).items()}

    def outlines(self) -> Sequence[ChainOutline]:
        """Return all layers of `map` in short, much faster, and for very many in less memory."""
        from cstore.store import layer_outlines

        layers = layer_outlines(self._store)
        return chain_outlines([each for each in layers if each.id_map == self.id_map] if self.id_map else layers)

    def present(self) -> Mapping[str, str]:
        """Return the IDs of the layers in the store by ChainID."""
        return {chain: link.layer.id for chain, link in self._index().items()}

    def release(self, reference: ReadOnlyLayer) -> list[Freed]:
        """Release a reference; after the last one, delete the layer and those below it, as far as nothing uses them.

        Returns the deleted layers, uppermost first. It is not an error if the layer no longer exists.

        Raises:
            LayerNotRetained: this reference is not held, or was released before.
        """
        held = self._held.get(reference.chain_id, set())
        if reference not in held:
            if reference.chain_id not in self._index():
                return []
            raise LayerNotRetained(reference.layer)
        held.remove(reference)
        return self.release_chain(reference.chain_id)

    def release_and_log(self, reference: ReadOnlyLayer) -> list[Freed]:
        """Release a reference like `release`, and log the deleted layers to the logger `cstore.docker`.

        Raises:
            LayerNotRetained: as `release`.
        """
        from logging import getLogger

        freed = self.release(reference)
        for one in freed:
            getLogger("cstore.docker").info("layer %s deleted: ChainID %s, size %d", one.layer, one.chain_id, one.size)
        return freed

    def release_chain(self, chain: str) -> list[Freed]:
        """Delete a layer and those below it, as far as nothing uses them, like `release`."""
        top = self.find(chain)
        return [] if top is None else self.cascade(top)

    def retains(self, chain: str) -> bool:
        """Return whether this object holds references to the layer with that ChainID."""
        return bool(self._held.get(chain))

    def retains_any_of(self, top: ReadOnlyLayer) -> bool:
        """Return whether this object holds references to a layer or to one below it."""
        return any(self.retains(chain) for chain in top.chain_ids)

    def cascade(self, top: ReadOnlyLayer) -> list[Freed]:
        """Delete a layer and those below it, as far as nothing uses them; return them, uppermost first.

        If this process is killed, the next writer continues.
        """
        with self._store.begin() as intent:
            if going := self.going_with(top):
                intent.note_if_room(free=going)
            freed: list[Freed] = []
            for measured in top.measured():
                layer = self._store.layers.find(measured.layer)
                if layer is None or self.retains(measured.chain_id) or self._is_kept(layer):
                    break
                try:
                    self._store.layers.delete(layer.id)
                except (InUse, LayerUnknown, ReadOnlyStore):
                    break  # a record uses it; or it was deleted in the meantime, with the layers below
                freed.append(measured)
            return freed

    def going_with(self, top: ReadOnlyLayer) -> list[str]:
        """Return the IDs of the layers that `cascade` deletes, uppermost first, unless a record needs them."""
        going: list[str] = []
        for chain, layer in zip(top.chain_ids, reversed(top.records), strict=True):
            if self.retains(chain) or self._is_kept(layer):
                break
            going.append(layer.id)
        return going

    def _is_kept(self, layer: Layer) -> bool:
        if layer.names or self._store.layers.read_only(layer.id) or self._store.layers.mount_point(layer.id):
            return True
        return any(layer.id in image.mapped_layers for image in self._store.images.list())

    def _index(self) -> dict[str, Link]:
        return index(self._links().values())

    def _links(self) -> dict[str, Link]:
        layers = self._store.layers.list()
        return links([layer for layer in layers if layer.id_map == self.id_map] if self.id_map else layers)

    def at(self, layer: str) -> ReadOnlyLayer | None:
        """Return the layer with that ID in the store, without taking a reference; None if it has no ChainID."""
        known = self._links()
        link = known.get(layer)
        return None if link is None else _line_of(self._store, link, known)

    # ── the store as a whole ──

    def clean_up(self) -> Sequence[Leftover]:
        """Remove what interrupted operations left behind; return the leftovers."""
        return self._store.gc()


def _line_of(store: Store, top: Link, known: Mapping[str, Link]) -> ReadOnlyLayer:
    """Return a layer with its actual ancestors, even if other layers have the same ChainIDs."""
    found, _ = follow(lambda each: known[each].layer, top.layer.id)
    return ReadOnlyLayer(store, [known[layer] for layer in found])
