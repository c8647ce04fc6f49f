"""Writable layers by name, with an optional init layer between them and their parent (docker 3.6).

In the store, a writable layer is a layer with that name and a flag. Podman's containers are different: these layers are
for users of Docker's layer interface.
"""

from __future__ import annotations

from cstore.arguments import checked_methods
from cstore.docker.chains import INIT, ROLE, WRITABLE
from cstore.docker.layer import WritableLayer
from cstore.errors import (
    InvalidOption,
    LayerNotRetained,
    NameTaken,
    WritableLayerTaken,
    WritableLayerUnknown,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cstore.docker.layer import Freed
    from cstore.docker.layerstore import LayerStore
    from cstore.records.model import Layer
    from cstore.store import NewLayer, Store

_SIZE = "size"


@checked_methods
class WritableLayers:
    """Writable layers. References belong to this object; the layers and their mounts are in the records."""

    def __init__(self, layers: LayerStore, store: Store) -> None:
        self._layers = layers
        self._store = store
        self._held: dict[str, set[WritableLayer]] = {}

    def create(
        self,
        name: str,
        parent: str = "",
        *,
        label: str = "",
        init: Callable[[str], object] | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> WritableLayer:
        """Create a writable layer on top of the chain `parent`, or without parent; return a reference.

        Args:
            name: the name of the layer in the store.
            parent: a ChainID, or "".
            label: SELinux label for its mounts.
            init: called with the path of a mounted init layer; its files are visible in the writable layer, but do not
                count in its changes and size. See `engine_files.make_engine_files`.
            storage_options: `size` limits the layer's contents, if driver and disk support that.

        Raises:
            InvalidOption: a storage option other than `size` is given.
            DriverError: the driver does not support the limit.
            WritableLayerTaken: a layer has that name.
            ChainUnknown: no layer has the ChainID `parent`.
        """
        from cstore.ids import new_id
        from cstore.store import NewLayer

        limits = self._limits(storage_options or {})
        below = self._layers.look(parent).layer if parent else ""
        holder = self._named(name)
        if holder is not None:
            raise WritableLayerTaken(name, holder.id)
        layer = new_id(lambda candidate: self._store.layers.find(candidate) is not None)
        asked = NewLayer(
            parent=below,
            id=layer,
            names=(name,),
            mount_label=label,
            storage_options=limits,
            flags={ROLE: WRITABLE},
        )
        request = self._layers.owned(asked)
        if init is None:
            self._make(request, name)
        else:
            self._make_on_init(request, name, init)
        return self.get(name)

    def _limits(self, said: Mapping[str, str]) -> dict[str, str]:
        """Check storage options, and return them with lower-case names."""
        for key in said:
            if key.lower() != _SIZE:
                raise InvalidOption(
                    f"there is no storage option {key!r} for a writable layer",
                    hint="the only one is size",
                    go_text=self._store.context.driver_facts.unknown_limit.format(key),
                )
        return {key.lower(): value for key, value in said.items()}

    def _make(self, request: NewLayer, name: str) -> None:
        try:
            self._store.layers.create(request)
        except NameTaken as error:
            raise WritableLayerTaken(name, error.holder) from None

    def _make_on_init(self, request: NewLayer, name: str, init: Callable[[str], object]) -> None:
        from cstore.fs.atomic import sync_filesystem

        layer = f"{request.id}-init"
        with self._store.begin() as intent:
            intent.note(layers=[layer])
            intent.note(mounted=layer, count=1)
            self._store.layers.create(request.with_(id=layer, names=(), flags={ROLE: INIT}))
            init(mounted := self._store.mount(layer, label=request.mount_label))
            if self._store.context.sync:
                sync_filesystem(mounted)
            self._store.unmount(layer)
            self._make(request.with_(parent=layer), name)

    def get(self, name: str) -> WritableLayer:
        """Return a new reference to the writable layer with that name.

        Raises:
            WritableLayerUnknown: there is no such layer.
        """
        layer = self._get(name)
        between = self._init_below(layer)
        below = layer.parent if between is None else between.parent
        parent = self._layers.at(below) if below else None
        found = WritableLayer(self._store, name, layer.id, parent)
        self._held.setdefault(name, set()).add(found)
        return found

    def mount_id(self, name: str) -> str:
        """Return the ID of the writable layer with that name.

        Raises:
            WritableLayerUnknown: there is no such layer.
        """
        return self._get(name).id

    def names(self) -> Sequence[str]:
        """Return the names of all writable layers."""
        return [name for layer in self._store.layers.list() if _is_writable(layer) for name in layer.names]

    def release(self, reference: WritableLayer) -> list[Freed]:
        """Release a reference; after the last one, delete the layer, its init layer, and unused layers below.

        Returns the deleted read-only layers, uppermost first. It is not an error if the layer no longer exists. If a
        removal fails, the reference is still held, and the call can be repeated.

        Raises:
            LayerNotRetained: this reference is not held, or was released before.
        """
        held = self._held.get(reference.name, set())
        layer = self._named(reference.name)
        if layer is None or layer.id != reference.layer:
            held.discard(reference)
            return []
        if reference not in held:
            raise LayerNotRetained(reference.layer)
        if len(held) > 1:
            held.remove(reference)
            return []
        below = self._init_below(layer)
        with self._store.begin() as intent:  # if the process is killed, the next writer deletes the rest
            if below is not None:
                intent.note_if_room(layers=[below.id])
            if reference.parent is not None and (going := self._layers.going_with(reference.parent)):
                intent.note_if_room(free=going)
            self._remove(layer.id)
            if below is not None:
                self._remove(below.id)
            held.remove(reference)
            return [] if reference.parent is None else self._layers.cascade(reference.parent)

    def _remove(self, layer: str) -> None:
        self._store.unmount(layer, force=True)
        self._store.layers.delete(layer)

    def _init_below(self, layer: Layer) -> Layer | None:
        below = self._store.layers.find(layer.parent) if layer.parent else None
        return below if below is not None and below.flags.get(ROLE) == INIT else None

    def _get(self, name: str) -> Layer:
        layer = self._named(name)
        if layer is None or not _is_writable(layer):
            raise WritableLayerUnknown(name)
        return layer

    def _named(self, name: str) -> Layer | None:
        return next((layer for layer in self._store.layers.list() if name in layer.names), None)


def _is_writable(layer: Layer) -> bool:
    return layer.flags.get(ROLE) == WRITABLE
