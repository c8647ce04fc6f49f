"""Rebuild lost image records from their data items; recover names from all places that mention them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cstore.check.repair.image_files import ImageFiles
from cstore.check.repair.layer_records import Rebuilt
from cstore.digests import digest_of
from cstore.gojson import object_in
from cstore.records.codec import now
from cstore.records.model import Image
from cstore.records.table import Location
from cstore.store.places import ItemKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cstore.check.repair.survivors import Survivors
    from cstore.records.model import Layer


class ImageRecords:
    """The builder of lost images' records.

    `layers` has all layers, including those with rebuilt records; `names` are given by the user.

    Attributes:
        lost: images whose record cannot be rebuilt, each with the reason.
    """

    def __init__(self, survivors: Survivors, layers: Mapping[str, Layer], names: Mapping[str, Sequence[str]]) -> None:
        self._survivors = survivors
        self._layers = layers
        self._names = names
        self.lost: list[tuple[str, str]] = []

    def rebuild(self) -> list[Rebuilt]:
        """Rebuild the record of each lost image with a config, remains of its record, or a container."""
        found = []
        for image in self._survivors.lost_images:
            files = self._survivors.image_files.get(image) or ImageFiles("", image)
            hint = self._survivors.hint(ItemKind.IMAGES, image)
            if files.config is None and not hint and not self._top_by_containers(image):
                self.lost.append((image, "no config and no container of it remains that names its layers"))
                continue
            found.append(self._record(files, hint))
        taken: set[str] = set()
        kept = []
        for one in found:  # the first of several records with a name keeps it
            names = tuple(name for name in one.record.names if name not in taken)
            taken.update(names)
            kept.append(one.with_(record=one.record.with_(names=names)))
        return kept

    def _record(self, files: ImageFiles, hint: dict[str, Any]) -> Rebuilt:
        data = {key: content for key in files.keys if (content := files.read(key)) is not None}
        top = top_layer(files.diff_ids, self._layers) or str(hint.get("layer", "")) or self._top_by_containers(files.id)
        names = self.names_of(files.id, hint)
        fields = {
            "created": (files.config.created if files.config else "") or now(),
            **(hint or {"names_history": names[::-1], "metadata": "{}", "mapped_layers": self._mapped_layers_of(top)}),
            "digest": files.digest or hint.get("digest", ""),
            "layer": top,
            "data_names": tuple(data),
            "data_sizes": {key: len(content) for key, content in data.items()},
            "data_digests": {key: digest_of(content) for key, content in data.items()},
        }
        evidence = "its manifest and its config" if files.config else "the layers of its containers, and its data items"
        if hint:
            evidence = "the remains of its record, and its data items"
        return Rebuilt(Image(id=files.id, **{**fields, "names": names}), Location.STABLE, evidence)

    def _top_by_containers(self, image: str) -> str:
        """Return the common parent of the layers of all containers of an image; "" if there is none."""
        owns = [container.layer for container in self._survivors.snapshot.containers if container.image == image]
        below = {self._layers[layer].parent for layer in owns if layer in self._layers}
        return below.pop() if len(below) == 1 else ""

    def names_of(self, image: str, hint: Mapping[str, Any]) -> tuple[str, ...]:
        """Return an image's names: given by the user, else from its old record, else from its containers."""
        given = [name for key, names in self._names.items() if key and image.startswith(key) for name in names]
        noted: list[Any] = given or list(hint.get("names", ()))
        snapshot = self._survivors.snapshot
        for container in [] if noted else snapshot.containers:  # Podman and Buildah store it in their metadata
            metadata = object_in(container.metadata)
            if metadata is not None and image in (metadata.get("image-id"), container.image):
                name = metadata.get("image-name")
                if isinstance(name, str) and name and not image.startswith(name):
                    noted.append(name)
        holders = {name: snapshot.images.named(name) for name in noted}
        return tuple(name for name, holder in holders.items() if holder is None or holder.id == image)

    def _mapped_layers_of(self, top: str) -> tuple[str, ...]:
        """Return the unused, unnamed mapped layers of the top layer: same parent and archive, but with an ID map."""
        original = self._layers.get(top)
        if original is None or not original.diff_digest:
            return ()
        facts = (original.parent, original.diff_digest)
        others = self._survivors.snapshot.all_images.values()
        taken = {layer for image, _ in others for layer in (image.layer, *image.mapped_layers)}
        mapped_layers = (layer for layer in self._layers.values() if (layer.parent, layer.diff_digest) == facts)
        nobodys = (
            mapped_layer for mapped_layer in mapped_layers if not mapped_layer.names and mapped_layer.id not in taken
        )
        return tuple(mapped_layer.id for mapped_layer in nobodys if mapped_layer.id != top and mapped_layer.uid_map)


def top_layer(diff_ids: Sequence[str], layers: Mapping[str, Layer]) -> str:
    """Find the top layer of the chain with these DiffIDs (bottom first), whatever its IDs are; "" if there is none."""
    from cstore.oci.chain import layer_ids

    if not diff_ids:
        return ""
    usual = layer_ids(diff_ids)[-1]
    if usual in layers:
        return usual
    below: set[str] = {""}
    for diff_id in diff_ids:
        below = {layer.id for layer in layers.values() if layer.parent in below and layer.diff_digest == diff_id}
    return min(below, key=lambda layer: (not layer or bool(layers[layer].uid_map), layer), default="")  # mapped last
