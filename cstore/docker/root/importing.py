"""Images from a data root into a store: layers rebuilt and verified, then the record, names last (docker 16, 17)."""

from __future__ import annotations

import os

from cstore.docker.layerstore import LayerStore
from cstore.docker.making import make_image
from cstore.docker.root.names import full_name
from cstore.errors import IDTaken, LayerNotVerified, TopLayerDiffers
from cstore.fs.nameless import nameless
from cstore.oci.chain import next_layer_id
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.archive.apply import Applied
    from cstore.docker.root.dataroot import DockerRoot
    from cstore.docker.root.imagedb import DockerImage
    from cstore.docker.root.layerdb import DockerLayer
    from cstore.records.model import Image, Layer
    from cstore.store import Store
    from cstore.store.intents import Intent


class Imported(Value):
    """What an import did: the image's ID and names in the store, and the IDs of the layers that were not there yet."""

    id: str
    names: tuple[str, ...]
    new_layers: tuple[str, ...]


def import_image(
    root: DockerRoot,
    image: DockerImage,
    store: Store,
    *,
    names: Sequence[str] | None = None,
    podman_names: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Bring one image into a store. It looks like one that skopeo or Podman took from the daemon.

    Layers that the store has already are used as they are. Names move here from other images. Docker's notes on the
    image, and digest references, whose manifests a data root does not hold, are not taken over.

    Args:
        root: where it comes from; nothing is written there.
        image: one of its images.
        store: where it goes.
        names: those of its names that it gets; None for all.
        podman_names: complete short names with `localhost/`, as Podman does, instead of `docker.io/library/`.
        progress: told the bytes of this image's layers that have been read.

    Raises:
        ContentDamaged, TarSplitDamaged, LayerNotVerified: a layer is not what it was; nothing is imported.
        ArchiveError: a layer holds what no layer here may hold.
        TopLayerDiffers: the store has an image of that ID with other layers.
    """
    with store.begin() as intent:
        bringing = _Bringing(root, store, progress, intent)
        full = tuple(full_name(name, podman=podman_names) for name in (image.names if names is None else names))
        line = bringing.bring(root.line(image.config.rootfs.chain_id))
        _record(store, image, line, intent)
        intent.note(of=image.id, names=list(full[::-1]))
        intent.note(complete=True)
        for name in full:
            store.add_names(image.id, [name])  # one by one, as others do: the last one comes first
    return Imported(image.id, full, tuple(bringing.new))


def import_notes(image: DockerImage, store: Store) -> None:
    """Record of an imported image what Docker noted of it: its parent, if that is in the store; when it was tagged.

    Raises:
        ImageUnknown: the image is not there.
    """
    from cstore.docker.facts import Facts

    facts = Facts(store)
    if image.parent and store.images.find(image.parent) is not None:
        facts.set_parent(image.id, image.parent)
    if image.last_updated:
        facts.set_last_updated(image.id, image.last_updated)
    if image.built_locally:
        facts.set_built_locally(image.id)


def _record(store: Store, image: DockerImage, line: Sequence[Layer], intent: Intent) -> None:
    top = line[-1].id if line else ""
    known = _known(store, image.id)
    if known is None:
        intent.note(image=image.id)
        try:
            make_image(store, image.config, line)
        except IDTaken:  # somebody else was faster
            known = _known(store, image.id)
    if known is not None and known.layer != top:
        raise TopLayerDiffers(image.id, known.layer)


def _known(store: Store, image: str) -> Image | None:
    return next((one for one in store.images.list() if one.id == image), None)


class _Bringing:
    """The layers of one image on their way. `new` are the IDs of those that were made."""

    def __init__(self, root: DockerRoot, store: Store, progress: Callable[[int], None] | None, intent: Intent) -> None:
        self._root = root
        self._store = store
        self._layers = LayerStore(store)
        self._progress = progress
        self._intent = intent
        self._before = 0
        self.new: list[str] = []

    def bring(self, line: Sequence[DockerLayer]) -> Sequence[Layer]:
        """Bring a chain, bottom first; return its records."""
        below, canonical_id = "", ""
        present = self._layers.present()
        for layer in line:
            canonical_id = next_layer_id(canonical_id, layer.diff_id)
            if layer.chain_id in present:
                below = present[layer.chain_id]
                self._intent.note(uses=below)
            else:
                below = self._make(layer, below, canonical_id)
        return self._layers.look(line[-1].chain_id).records if line else ()

    def _make(self, layer: DockerLayer, parent: str, canonical_id: str) -> str:
        from cstore.archive.streams import FileSink
        from cstore.store import NewLayer

        def accept(applied: Applied) -> Applied:
            if applied.diff_digest != layer.diff_id:
                raise LayerNotVerified(layer.chain_id, layer.diff_id)
            return applied

        with nameless(self._store.config.graph_root) as copy:  # verified whole before the first byte is unpacked
            self._root.write_layer(layer.chain_id, FileSink(copy, "the copy of a layer"))
            os.lseek(copy, 0, os.SEEK_SET)
            request = NewLayer(id=canonical_id, parent=parent)
            self._intent.note(layers=[canonical_id])
            try:
                made = self._store.layers.put(request, copy, self._advance, accept)
            except IDTaken:
                found = self._layers.find(layer.chain_id)
                if found is None:
                    raise  # another layer has the ID
                return found.layer  # somebody else was faster
        self._before += made.diff_size
        self.new.append(made.id)
        return made.id

    def _advance(self, done: int) -> None:
        if self._progress is not None:
            self._progress(self._before + done)
