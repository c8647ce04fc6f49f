"""Images in and out: archives and layouts as Docker, Podman, skopeo and umoci write and read them.

Owns: what is in such an archive, what is believed of it, and the bytes of those that cstore writes.
Must not know: how the store keeps records and trees, how a layer is unpacked, or how a result is shown.

    bytes ─► members, by name ─► docker_archive, v1_archive, oci_layout: image plans ─► loading ─► store
    store ─► saving ─► docker_writer, oci_writer ─► packing (a tar, or a directory) ─► bytes
    source ─► sink: `copy` from anywhere to anywhere, by the contracts in contract.py; store_sink goes through loading
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.transfer.blob_sink import BlobSink
    from cstore.transfer.contract import (
        BlobDone,
        BlobPresent,
        BlobProgress,
        CopiedImage,
        CopyRequest,
        ImageSink,
        ImageSource,
        Planned,
    )
    from cstore.transfer.copying import copy, opened_source, sink_of
    from cstore.transfer.importing import ImportRequest, import_image
    from cstore.transfer.loading import LoadedImage, LoadRequest, LoadResult, load
    from cstore.transfer.registry_ends import RegistryAccess
    from cstore.transfer.saving import SaveRequest, save, save_directory
    from cstore.transfer.syncing import Synced, SyncRequest, sync

__all__ = [
    "BlobDone",
    "BlobPresent",
    "BlobProgress",
    "BlobSink",
    "CopiedImage",
    "CopyRequest",
    "ImageSink",
    "ImageSource",
    "ImportRequest",
    "LoadRequest",
    "LoadResult",
    "LoadedImage",
    "Planned",
    "RegistryAccess",
    "SaveRequest",
    "SyncRequest",
    "Synced",
    "copy",
    "import_image",
    "load",
    "opened_source",
    "save",
    "save_directory",
    "sink_of",
    "sync",
]

_HOMES = {
    "BlobDone": "contract",
    "BlobPresent": "contract",
    "BlobProgress": "contract",
    "BlobSink": "blob_sink",
    "CopiedImage": "contract",
    "CopyRequest": "contract",
    "ImageSink": "contract",
    "ImageSource": "contract",
    "Planned": "contract",
    "copy": "copying",
    "opened_source": "copying",
    "sink_of": "copying",
    "RegistryAccess": "registry_ends",
    "SyncRequest": "syncing",
    "Synced": "syncing",
    "sync": "syncing",
    "ImportRequest": "importing",
    "import_image": "importing",
    "LoadRequest": "loading",
    "LoadResult": "loading",
    "LoadedImage": "loading",
    "SaveRequest": "saving",
    "load": "loading",
    "save": "saving",
    "save_directory": "saving",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is first asked for (PEP 562)."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.transfer' has no attribute {name!r}")
    return getattr(import_module(f"cstore.transfer.{_HOMES[name]}"), name)
