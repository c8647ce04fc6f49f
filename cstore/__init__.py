"""Container storage in Python: read and change the store of Podman, Buildah, skopeo and CRI-O, safely beside them.

    >>> from cstore import open_store
    >>> for layer in open_store().layers.list():
    ...     print(layer.id, layer.diff_size)

Names are imported on first use, so that a program loads only what it needs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore import errors
    from cstore.archive.changes import Change, ChangeKind
    from cstore.archive.compression import Compression
    from cstore.config import Overrides, StoreConfig, load_config
    from cstore.errors import CstoreError
    from cstore.fs.lock_policy import LockPolicy
    from cstore.idmap import IDMap, IDRange
    from cstore.library import Quarantine, Store, open_store
    from cstore.records.model import Container, IDMapEntry, Image, Layer
    from cstore.store.container_creation import NewContainer
    from cstore.store.containers import Containers
    from cstore.store.copying import LayerPath
    from cstore.store.creation import NewLayer, StagedLayer
    from cstore.store.image_creation import NewImage
    from cstore.store.images import Images
    from cstore.store.layers import Layers
    from cstore.store.rootless import enter_user_namespace
    from cstore.store.userns import AutoMap

__version__ = "0.2.0"

__all__ = [
    "AutoMap",
    "Change",
    "ChangeKind",
    "Compression",
    "Container",
    "Containers",
    "CstoreError",
    "IDMap",
    "IDMapEntry",
    "IDRange",
    "Image",
    "Images",
    "Layer",
    "LayerPath",
    "Layers",
    "LockPolicy",
    "NewContainer",
    "NewImage",
    "NewLayer",
    "Overrides",
    "Quarantine",
    "StagedLayer",
    "Store",
    "StoreConfig",
    "__version__",
    "enter_user_namespace",
    "errors",
    "load_config",
    "open_store",
]

_HOMES = {
    "AutoMap": "cstore.store.userns",
    "Change": "cstore.archive.changes",
    "ChangeKind": "cstore.archive.changes",
    "Compression": "cstore.archive.compression",
    "Container": "cstore.records.model",
    "Containers": "cstore.store.containers",
    "CstoreError": "cstore.errors",
    "IDMap": "cstore.idmap",
    "IDMapEntry": "cstore.records.model",
    "IDRange": "cstore.idmap",
    "Image": "cstore.records.model",
    "Images": "cstore.store.images",
    "Layer": "cstore.records.model",
    "Layers": "cstore.store.layers",
    "NewContainer": "cstore.store.container_creation",
    "NewImage": "cstore.store.image_creation",
    "NewLayer": "cstore.store.creation",
    "Overrides": "cstore.config",
    "LockPolicy": "cstore.fs.lock_policy",
    "Quarantine": "cstore.library",
    "LayerPath": "cstore.store.copying",
    "StagedLayer": "cstore.store.creation",
    "Store": "cstore.library",
    "StoreConfig": "cstore.config",
    "enter_user_namespace": "cstore.store.rootless",
    "load_config": "cstore.config",
    "open_store": "cstore.library",
}


def __getattr__(name: str) -> object:
    """Import a public name on first access (PEP 562)."""
    if name == "errors":
        return __import__("cstore.errors", fromlist=["CstoreError"])
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'cstore' has no attribute {name!r}")
    value: object = getattr(__import__(home, fromlist=[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return all public names, imported or not."""
    return sorted({*globals(), *__all__})
