"""The files of an image, container or layer, read from its layers' directories; nothing is mounted or written.

Owns the file system that a chain of layers forms, queries of its files, and their origin in a layer. Must not know
how results are displayed. `open_item` is the only entry point.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.contents.comparing import Comparison, Difference
    from cstore.contents.everywhere import find_everywhere, paths_everywhere
    from cstore.contents.files import Contents, File, FileUnknown, open_item
    from cstore.contents.finding import FORMATS, Criteria, find
    from cstore.contents.reading import digest, pieces
    from cstore.contents.tracing import Event, blame, blame_everywhere
    from cstore.contents.waste import Waste, waste_of, waste_of_store

__all__ = [
    "FORMATS",
    "Comparison",
    "Contents",
    "Criteria",
    "Difference",
    "Event",
    "File",
    "FileUnknown",
    "Waste",
    "blame",
    "blame_everywhere",
    "digest",
    "find",
    "find_everywhere",
    "open_item",
    "paths_everywhere",
    "pieces",
    "waste_of",
    "waste_of_store",
]

_HOMES = {
    "FORMATS": "finding",
    "Comparison": "comparing",
    "Contents": "files",
    "Criteria": "finding",
    "Difference": "comparing",
    "Event": "tracing",
    "File": "files",
    "FileUnknown": "files",
    "Waste": "waste",
    "blame": "tracing",
    "blame_everywhere": "tracing",
    "digest": "reading",
    "find": "finding",
    "find_everywhere": "everywhere",
    "open_item": "files",
    "paths_everywhere": "everywhere",
    "pieces": "reading",
    "waste_of": "waste",
    "waste_of_store": "waste",
}


def __getattr__(name: str) -> object:
    """Import names at first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.contents' has no attribute {name!r}")
    return getattr(__import__(f"cstore.contents.{_HOMES[name]}", fromlist=[name]), name)
