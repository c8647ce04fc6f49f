"""Read a Docker data root without its daemon; nothing here writes to it (docker 1, 17)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.docker.root.containers import DockerContainer
    from cstore.docker.root.dataroot import DockerRoot
    from cstore.docker.root.imagedb import DockerImage, names_meant
    from cstore.docker.root.layerdb import DockerLayer
    from cstore.docker.root.notes import import_notes

__all__ = [
    "DockerContainer",
    "DockerImage",
    "DockerLayer",
    "DockerRoot",
    "import_notes",
    "names_meant",
]


_HOMES = {
    "DockerContainer": "containers",
    "DockerImage": "imagedb",
    "DockerLayer": "layerdb",
    "DockerRoot": "dataroot",
    "import_notes": "notes",
    "names_meant": "imagedb",
}


def __getattr__(name: str) -> object:
    """Import a public name on first access (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.docker.root' has no attribute {name!r}")
    return getattr(__import__(f"cstore.docker.root.{_HOMES[name]}", fromlist=[name]), name)
