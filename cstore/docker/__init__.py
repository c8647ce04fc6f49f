"""Docker's layer store and image store as powers of a cstore store, and a Docker data root as a source of images.

Owns: what Docker's operations mean here: ChainIDs as addresses, references, releases that cascade, writable layers,
image configs, and how a data root is read without its daemon. Must not know: record files, drivers, the command line.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.docker.imagestore import ImageStore
    from cstore.docker.layerstore import LayerStore
    from cstore.docker.root import DockerRoot

__all__ = ["DockerRoot", "ImageStore", "LayerStore"]

_HOMES = {"DockerRoot": "root", "ImageStore": "imagestore", "LayerStore": "layerstore"}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.docker' has no attribute {name!r}")
    return getattr(import_module(f"cstore.docker.{_HOMES[name]}"), name)
