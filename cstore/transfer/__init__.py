"""Images in and out: archives and layouts as Docker, Podman, skopeo and umoci write and read them.

Owns: what is in such an archive, what is believed of it, and the bytes of those that cstore writes.
Must not know: how the store keeps records and trees, how a layer is unpacked, or how a result is shown.

Every command is a use of one contract for sources and one for sinks (contract.py):

    archive ─► members, by name ─► docker_archive, v1_archive, oci_layout: plans ─► archive_images: sources
    source ─► copy_loop ─► sink: layout, directory, archive, registry      `save`, `docker-export`, `push`, `copy-image`
    source ─► store_sink: the one way into a store                         `load`, `docker-import`, `pull`, `copy-image`
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.transfer.archive_images import load
    from cstore.transfer.blob_sink import BlobSink
    from cstore.transfer.cloning import clone_all
    from cstore.transfer.contract import (
        BlobDone,
        BlobPresent,
        BlobProgress,
        CopiedImage,
        CopyRequest,
        ImageSink,
        ImageSource,
        Planned,
        Retried,
    )
    from cstore.transfer.copying import copy, opened_source, sink_of, store_at
    from cstore.transfer.docker_root import Imported, export_docker_image, import_docker_image
    from cstore.transfer.formats import LoadRequest
    from cstore.transfer.importing import ImportRequest, import_image
    from cstore.transfer.looking import SeenImage, look
    from cstore.transfer.opening import is_plain
    from cstore.transfer.places import REGISTRY, STORE, Place, parse_place
    from cstore.transfer.registry_ends import RegistryAccess, first_of, tags_of
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
    from cstore.transfer.store_sink import LoadedImage, LoadResult, StoreSink
    from cstore.transfer.syncing import Synced, SyncRequest, sync

__all__ = [
    "COMPRESSIONS",
    "DOCKER_ARCHIVE",
    "OCI_DIRECTORY",
    "REGISTRY",
    "STORE",
    "BlobDone",
    "BlobPresent",
    "BlobProgress",
    "BlobSink",
    "CopiedImage",
    "CopyRequest",
    "ImageSink",
    "ImageSource",
    "ImportRequest",
    "Imported",
    "LoadRequest",
    "LoadResult",
    "LoadedImage",
    "Place",
    "Planned",
    "RegistryAccess",
    "Retried",
    "SaveRequest",
    "SeenImage",
    "StoreSink",
    "SyncRequest",
    "Synced",
    "check_save",
    "clone_all",
    "copy",
    "export_docker_image",
    "first_of",
    "import_docker_image",
    "import_image",
    "is_plain",
    "load",
    "look",
    "opened_source",
    "parse_place",
    "save",
    "save_directory",
    "sink_of",
    "size_of_save",
    "store_at",
    "sync",
    "tags_of",
]

_HOMES = {
    "clone_all": "cloning",
    "store_at": "copying",
    "COMPRESSIONS": "saving",
    "DOCKER_ARCHIVE": "saving",
    "OCI_DIRECTORY": "saving",
    "REGISTRY": "places",
    "STORE": "places",
    "BlobDone": "contract",
    "BlobPresent": "contract",
    "BlobProgress": "contract",
    "BlobSink": "blob_sink",
    "CopiedImage": "contract",
    "CopyRequest": "contract",
    "ImageSink": "contract",
    "ImageSource": "contract",
    "ImportRequest": "importing",
    "Imported": "docker_root",
    "LoadRequest": "formats",
    "LoadResult": "store_sink",
    "LoadedImage": "store_sink",
    "Place": "places",
    "Planned": "contract",
    "RegistryAccess": "registry_ends",
    "Retried": "contract",
    "SaveRequest": "saving",
    "SeenImage": "looking",
    "StoreSink": "store_sink",
    "SyncRequest": "syncing",
    "Synced": "syncing",
    "check_save": "saving",
    "copy": "copying",
    "export_docker_image": "docker_root",
    "first_of": "registry_ends",
    "import_docker_image": "docker_root",
    "import_image": "importing",
    "is_plain": "opening",
    "load": "archive_images",
    "look": "looking",
    "opened_source": "copying",
    "parse_place": "places",
    "save": "saving",
    "save_directory": "saving",
    "sink_of": "copying",
    "size_of_save": "saving",
    "sync": "syncing",
    "tags_of": "registry_ends",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.transfer' has no attribute {name!r}")
    found: object = getattr(__import__(f"cstore.transfer.{_HOMES[name]}", fromlist=[name]), name)
    globals()[name] = found
    return found
