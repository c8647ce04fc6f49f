"""What is in an image, a container or a layer, read from the layers' own directories: nothing is mounted or written.

Owns: the file system that a chain of layers makes up, questions about its files, and which layer made them so. Must not
know: how an answer is shown. `open_item` is the one way in.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.contents.comparing import Comparison, Difference
    from cstore.contents.files import Contents, File, open_item
    from cstore.contents.finding import Criteria, find, find_everywhere
    from cstore.contents.reading import digest, pieces

__all__ = [
    "Comparison",
    "Contents",
    "Criteria",
    "Difference",
    "File",
    "digest",
    "find",
    "find_everywhere",
    "open_item",
    "pieces",
]

_HOMES = {
    "Comparison": "comparing",
    "Contents": "files",
    "Criteria": "finding",
    "Difference": "comparing",
    "File": "files",
    "digest": "reading",
    "find": "finding",
    "find_everywhere": "finding",
    "open_item": "files",
    "pieces": "reading",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for (PEP 562)."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.contents' has no attribute {name!r}")
    return getattr(import_module(f"cstore.contents.{_HOMES[name]}"), name)
