"""Read the records of layers and writable layers in a data root (docker 4)."""

from __future__ import annotations

import os
import re

from cstore import presence
from cstore.digests import check_digest
from cstore.docker.root import files
from cstore.errors import DockerRootDamaged, InvalidDigest
from cstore.oci.chain import next_chain
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.docker.root.place import Place

_HEX = re.compile(r"[0-9a-f]{64}")
_MOUNT = re.compile(r"[0-9a-f]{64}(-init)?")


class DockerLayer(Value):
    """A read-only layer. `size` is the recorded size of this layer alone, in bytes; `parent` is a ChainID or ""."""

    chain_id: str
    diff_id: str
    parent: str
    cache_id: str
    size: int
    tar_split: str


class DockerMount(Value):
    """A writable layer: the driver's names for it and its init layer, and the ChainID below, or ""."""

    name: str
    mount_id: str
    init_id: str
    parent: str


class Layers(Value):
    """All usable layers, by ChainID, and the errors of the others."""

    by_chain: Mapping[str, DockerLayer]
    flaws: tuple[DockerRootDamaged, ...]

    def line(self, chain_id: str) -> list[DockerLayer]:
        """Return the layers of a chain, bottom first.

        Raises:
            KeyError: there is no such chain.
        """
        line: list[DockerLayer] = []
        while chain_id:
            line.append(self.by_chain[chain_id])
            chain_id = line[-1].parent
        return line[::-1]


def read_layers(place: Place) -> Layers:
    """Read all layers, except those whose directory does not have the name of their ChainID."""
    folder = os.path.join(place.records, "layerdb", "sha256")
    found: dict[str, DockerLayer] = {}
    flaws: list[DockerRootDamaged] = []
    for name in files.directories(folder):
        if not _HEX.fullmatch(name):
            continue  # being created or removed
        try:
            layer = _read_layer(os.path.join(folder, name), f"sha256:{name}")
        except DockerRootDamaged as flaw:
            flaws.append(flaw)
            continue
        if layer is not None:
            found[layer.chain_id] = layer
    usable = _with_parents(found)
    flaws += [
        DockerRootDamaged(os.path.join(folder, chain[7:]), f"its parent {layer.parent} is missing or damaged")
        for chain, layer in found.items()
        if chain not in usable
    ]
    return Layers(usable, tuple(flaws))


def _read_layer(path: str, chain_id: str) -> DockerLayer | None:
    raw = files.read(os.path.join(path, "diff"))
    if raw is None and not presence.is_directory(path):
        return None  # removed in the meantime
    diff_id = _digest(os.path.join(path, "diff"), (raw or b"").decode(errors="replace").strip())
    parent_path = os.path.join(path, "parent")
    above = files.read_text(parent_path)
    parent = _digest(parent_path, above) if above else ""
    if next_chain(parent, diff_id) != chain_id:
        raise DockerRootDamaged(path, "its name is not the ChainID of its contents")
    cache_id = files.read_text(os.path.join(path, "cache-id"))
    if not _HEX.fullmatch(cache_id):
        raise DockerRootDamaged(os.path.join(path, "cache-id"), "it does not name a tree")
    tar_split, size_path = os.path.join(path, "tar-split.json.gz"), os.path.join(path, "size")
    size = (files.read(size_path) or b"").decode(errors="replace")
    if not size.isascii() or not size.isdecimal():
        raise DockerRootDamaged(size_path, f"{size!r} is not a size")
    return DockerLayer(chain_id, diff_id, parent, cache_id, int(size), tar_split)


def _digest(path: str, text: str) -> str:
    try:
        if text.startswith("sha256:"):
            return check_digest(text)
    except InvalidDigest:
        pass
    raise DockerRootDamaged(path, f"{text!r} is not a digest")


def _with_parents(found: Mapping[str, DockerLayer]) -> dict[str, DockerLayer]:
    """Leave out layers without a complete chain. ChainIDs were verified, so there are no cycles."""
    usable: dict[str, DockerLayer] = {}
    for chain in found:
        way: list[DockerLayer] = []
        current = chain
        while current and current in found and current not in usable:
            way.append(found[current])
            current = found[current].parent
        if not current or current in usable:
            usable.update((layer.chain_id, layer) for layer in reversed(way))
    return usable


def read_mounts(place: Place) -> dict[str, DockerMount]:
    """Read the usable writable layers, by their names, which are container IDs."""
    folder = os.path.join(place.records, "layerdb", "mounts")
    found: dict[str, DockerMount] = {}
    for name in files.directories(folder):
        paths = (os.path.join(folder, name, key) for key in ("mount-id", "init-id", "parent"))
        mount_id, init_id, parent = map(files.read_text, paths)
        if _MOUNT.fullmatch(mount_id) and (not init_id or _MOUNT.fullmatch(init_id)):
            found[name] = DockerMount(name, mount_id, init_id, parent)
    return found


def orphans(place: Place, layers: Layers, mounts: Mapping[str, DockerMount]) -> list[str]:
    """Return paths that belong to no layer: interrupted transactions, partly removed layers, trees without a record."""
    layerdb = os.path.join(place.records, "layerdb")
    removing = [
        os.path.join(layerdb, "sha256", name)
        for name in files.directories(os.path.join(layerdb, "sha256"))
        if name.endswith("-removing")
    ]
    unfinished = [os.path.join(layerdb, "tmp", name) for name in files.directories(os.path.join(layerdb, "tmp"))]
    known = {layer.cache_id for layer in layers.by_chain.values()}
    known |= {name for mount in mounts.values() for name in (mount.mount_id, mount.init_id)}
    trees = [
        os.path.join(place.trees, name)
        for name in files.directories(place.trees)
        if _MOUNT.fullmatch(name) and name not in known
    ]
    return [*removing, *unfinished, *trees]
