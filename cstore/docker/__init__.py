"""Docker's layer store and image store on top of a cstore store, and Docker data roots as sources of images.

This package owns the semantics of Docker's operations (ChainIDs, references, cascading releases, writable layers, image
configs), and reads data roots without their daemon. It must not know about record files, drivers or the command line.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.docker.chains import ChainOutline
    from cstore.docker.engine_files import make_engine_files
    from cstore.docker.imagestore import ImageStore, Step
    from cstore.docker.layer import Freed, ReadOnlyLayer, WritableLayer
    from cstore.docker.layerstore import LayerStore
    from cstore.docker.root import DockerRoot
    from cstore.docker.tagging import full_tag
    from cstore.oci.chain import EMPTY_DIFF_ID
    from cstore.oci.config import HistoryItem, ImageConfig, Platform, RootFS

__all__ = [
    "EMPTY_DIFF_ID",
    "ChainOutline",
    "DockerRoot",
    "Freed",
    "HistoryItem",
    "ImageConfig",
    "ImageStore",
    "LayerStore",
    "Platform",
    "ReadOnlyLayer",
    "RootFS",
    "Step",
    "WritableLayer",
    "full_tag",
    "make_engine_files",
]

_HOMES = {
    "EMPTY_DIFF_ID": "cstore.oci.chain",
    "ChainOutline": "cstore.docker.chains",
    "DockerRoot": "cstore.docker.root",
    "Freed": "cstore.docker.layer",
    "HistoryItem": "cstore.oci.config",
    "ImageConfig": "cstore.oci.config",
    "ImageStore": "cstore.docker.imagestore",
    "LayerStore": "cstore.docker.layerstore",
    "Platform": "cstore.oci.config",
    "ReadOnlyLayer": "cstore.docker.layer",
    "RootFS": "cstore.oci.config",
    "Step": "cstore.docker.imagestore",
    "WritableLayer": "cstore.docker.layer",
    "full_tag": "cstore.docker.tagging",
    "make_engine_files": "cstore.docker.engine_files",
}


def __getattr__(name: str) -> object:
    """Import a public name on first access (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.docker' has no attribute {name!r}")
    return getattr(__import__(_HOMES[name], fromlist=[name]), name)
