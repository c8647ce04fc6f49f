"""The store: operations on layers, images and containers, and the order in which locks are taken.

Owns: what an operation means, its safety rules, and what a crash may leave behind.
Must not know: how a result is shown, or how a driver keeps its trees.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.store import rootless
    from cstore.store.container_creation import NewContainer
    from cstore.store.copying import LayerPath
    from cstore.store.creation import NewLayer, StagedLayer
    from cstore.store.creation_together import PreparedLayer
    from cstore.store.dedup import Sharing
    from cstore.store.garbage import Leftover
    from cstore.store.image_creation import NewImage
    from cstore.store.lookup import CONTAINER_FIRST, MOUNT_FIRST, Item
    from cstore.store.makers import command_of
    from cstore.store.naming import ItemPath, podman_name
    from cstore.store.outlining import LayerOutline, layer_outlines
    from cstore.store.places import ItemKind
    from cstore.store.result_files import result_at
    from cstore.store.rootless import refuse_unseen
    from cstore.store.settings_file import read_settings_text, write_settings_text
    from cstore.store.store import Store, open_store

__all__ = [
    "CONTAINER_FIRST",
    "MOUNT_FIRST",
    "Item",
    "ItemKind",
    "ItemPath",
    "LayerOutline",
    "LayerPath",
    "Leftover",
    "NewContainer",
    "NewImage",
    "NewLayer",
    "PreparedLayer",
    "Sharing",
    "StagedLayer",
    "Store",
    "command_of",
    "layer_outlines",
    "open_store",
    "podman_name",
    "read_settings_text",
    "refuse_unseen",
    "result_at",
    "rootless",
    "write_settings_text",
]

_HOMES = {
    "CONTAINER_FIRST": "lookup",
    "MOUNT_FIRST": "lookup",
    "Item": "lookup",
    "ItemPath": "naming",
    "Leftover": "garbage",
    "NewContainer": "container_creation",
    "NewImage": "image_creation",
    "NewLayer": "creation",
    "PreparedLayer": "creation_together",
    "command_of": "makers",
    "Sharing": "dedup",
    "ItemKind": "places",
    "LayerOutline": "outlining",
    "LayerPath": "copying",
    "StagedLayer": "creation",
    "Store": "store",
    "layer_outlines": "outlining",
    "open_store": "store",
    "podman_name": "naming",
    "read_settings_text": "settings_file",
    "refuse_unseen": "rootless",
    "result_at": "result_files",
    "rootless": "rootless",
    "write_settings_text": "settings_file",
}


def __getattr__(name: str) -> object:
    """Import an exported name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.store' has no attribute {name!r}")
    module = __import__(f"cstore.store.{_HOMES[name]}", fromlist=[name])
    return module if name == "rootless" else getattr(module, name)
