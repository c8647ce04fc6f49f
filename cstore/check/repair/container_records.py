"""Rebuild lost container records from the engine's files in their directories, and from their layers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from cstore.check.repair.image_files import keys_in
from cstore.check.repair.layer_records import Rebuilt
from cstore.digests import digest_of
from cstore.errors import CstoreError
from cstore.records import bigdata
from cstore.records.model import Container
from cstore.records.table import Location
from cstore.store.places import ItemKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.check.repair.survivors import Survivors
    from cstore.records.model import Layer

_NO_LABELS = {"MountLabel": "", "ProcessLabel": ""}
_NAME_KEYS = ("container-name", "container", "name")
"""The keys of the container's name in Buildah's settings."""


def layers_of_lost(survivors: Survivors) -> dict[str, str]:
    """Return the lost containers by the ID of their layer, as far as the layer can be determined.

    The engine's files name the mount point of the layer. If they do not, and there is exactly one unused writable layer
    and one container without a layer, these belong together.
    """
    candidates = writable_layers(survivors)
    found: dict[str, str] = {}
    for container in survivors.lost_containers:
        hint = survivors.hint(ItemKind.CONTAINERS, container).get("layer")
        named = [hint] if hint else [layer for layer in survivors.ids_in_files_of(container) if layer in candidates]
        if named and named[0] not in found:
            found[named[0]] = container
    left = [layer for layer in candidates if layer not in found]
    waiting = [container for container in survivors.lost_containers if container not in found.values()]
    if len(left) == len(waiting) == 1:
        found[left[0]] = waiting[0]
    return found


def writable_layers(survivors: Survivors) -> list[str]:
    """Return the layers that may be a container's own: not imported, not used, and without children."""
    snapshot = survivors.snapshot
    used = {layer.parent for layer in snapshot.layers} | set(survivors.expected_layers)
    used |= {top for image in snapshot.images for top in (image.layer, *image.mapped_layers)}
    used |= {container.layer for container in snapshot.containers} | snapshot.needed_elsewhere
    used |= {parent for layer in survivors.lost_layers if (parent := survivors.driver_repair.parent_of(layer))}
    recorded = [layer.id for layer in snapshot.layers if not layer.diff_digest and not layer.names]
    free = (layer for layer in (*recorded, *survivors.lost_layers) if layer not in used)
    return [layer for layer in free if not survivors.has_tar_split(layer)]


class ContainerRecords:
    """The builder of lost containers' records. `layers` has all layers, including rebuilt ones.

    Attributes:
        lost: containers whose record cannot be rebuilt, each with the reason.
    """

    def __init__(self, survivors: Survivors, owners: Mapping[str, str], layers: Mapping[str, Layer]) -> None:
        self._survivors = survivors
        self._layer_of = {container: layer for layer, container in owners.items()}
        self._layers = layers
        self.lost: list[tuple[str, str]] = []

    def rebuild(self, images: Mapping[str, str]) -> list[Rebuilt]:
        """Rebuild the record of each lost container whose layer is known; `images` has image IDs by top layer."""
        found = []
        for container in self._survivors.lost_containers:
            layer = self._layers.get(self._layer_of.get(container, ""))
            if layer is None:
                self.lost.append((container, "its own layer cannot be identified"))
                continue
            hint = self._survivors.hint(ItemKind.CONTAINERS, container)
            directory = self._survivors.container_directories.get(container, "")
            data = {}
            for key in keys_in(directory, "container"):
                with suppress(CstoreError):
                    data[key] = bigdata.read_item(directory, key, noun="container")
            fields = {
                "names": self._names(container),
                "image": images.get(layer.parent, ""),
                "created": layer.created,
                "flags": {**_NO_LABELS, "MountLabel": layer.mount_label},
                "uid_map": layer.uid_map,
                "gid_map": layer.gid_map,
                **hint,
                "layer": layer.id,
                "data_names": tuple(data),
                "data_sizes": {key: len(content) for key, content in data.items()},
                "data_digests": {key: digest_of(content) for key, content in data.items()},
            }
            evidence = "the remains of its record" if hint else "its directory, and the layer that its files name"
            found.append(Rebuilt(Container(id=container, **fields), Location.STABLE, evidence))
        return found

    def _names(self, container: str) -> tuple[str, ...]:
        """Return the container's name from the settings of an engine that knows the container by its ID."""
        for settings in self._survivors.settings_of(container):
            if container in settings.values():
                name = next((settings[key] for key in _NAME_KEYS if isinstance(settings.get(key), str)), "")
                if name and name != container and self._survivors.snapshot.containers.named(name) is None:
                    return (name,)
        return ()
