"""Images in and out: archives and layouts as Docker, Podman, skopeo and umoci write and read them.

Owns: what is in such an archive, what is believed of it, and the bytes of those that cstore writes.
Must not know: how the store keeps records and trees, how a layer is unpacked, or how a result is shown.

    bytes ─► members, by name ─► docker_archive, v1_archive, oci_layout: image plans ─► loading ─► store
    store ─► saving ─► docker_writer, oci_writer ─► packing (a tar, or a directory) ─► bytes
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.transfer.importing import ImportRequest, import_image
    from cstore.transfer.loading import LoadedImage, LoadRequest, LoadResult, load
    from cstore.transfer.opening import is_plain
    from cstore.transfer.saving import (
        COMPRESSIONS,
        DOCKER_ARCHIVE,
        OCI_DIRECTORY,
        SaveRequest,
        check_save,
        save,
        save_directory,
        size_of_save,
    )

__all__ = [
    "COMPRESSIONS",
    "DOCKER_ARCHIVE",
    "OCI_DIRECTORY",
    "ImportRequest",
    "LoadRequest",
    "LoadResult",
    "LoadedImage",
    "SaveRequest",
    "check_save",
    "import_image",
    "is_plain",
    "load",
    "save",
    "save_directory",
    "size_of_save",
]

_HOMES = {
    "COMPRESSIONS": "saving",
    "DOCKER_ARCHIVE": "saving",
    "OCI_DIRECTORY": "saving",
    "ImportRequest": "importing",
    "LoadRequest": "loading",
    "LoadResult": "loading",
    "LoadedImage": "loading",
    "SaveRequest": "saving",
    "check_save": "saving",
    "import_image": "importing",
    "is_plain": "opening",
    "load": "loading",
    "save": "saving",
    "save_directory": "saving",
    "size_of_save": "saving",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is first asked for (PEP 562)."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.transfer' has no attribute {name!r}")
    return getattr(import_module(f"cstore.transfer.{_HOMES[name]}"), name)
