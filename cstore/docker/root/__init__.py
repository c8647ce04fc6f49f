"""A Docker data root, read without its daemon and never written to (docker 1, 17)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.docker.root.dataroot import DockerRoot

__all__ = ["DockerRoot"]


def __getattr__(name: str) -> object:
    """Import the class when it is first asked for (PEP 562)."""
    if name != "DockerRoot":
        raise AttributeError(f"module 'cstore.docker.root' has no attribute {name!r}")
    from cstore.docker.root.dataroot import DockerRoot

    return DockerRoot
