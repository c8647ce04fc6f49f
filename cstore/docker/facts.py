"""Docker's facts about an image that records have no field for: its parent, when it was tagged, where it was built.

Each is a data item of the image, under a name that other programs ignore. It is absent (or empty) until it is set: an
image that was only imported has none, and looks like one that skopeo or Podman stored (docker 8, 15).
"""

from __future__ import annotations

from cstore.errors import DataItemUnknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.store import Store

PARENT = "cstore.docker.parent"
LAST_UPDATED = "cstore.docker.lastupdated"
BUILT_LOCALLY = "cstore.docker.builtlocally"
_YES = b"\x01"


class Facts:
    """The facts about the images of a store. `image` is an ID in the store, without `sha256:`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def parent(self, image: str) -> str:
        """Return the recorded ID of the parent, without `sha256:`, or ""."""
        return self._read(image, PARENT).decode(errors="replace").removeprefix("sha256:")

    def set_parent(self, image: str, parent: str) -> None:
        """Record a parent; "" for none."""
        self._store.images.set_data(image, PARENT, f"sha256:{parent}".encode() if parent else b"")

    def last_updated(self, image: str) -> str:
        """Return the time when the image was last tagged, RFC 3339, or ""."""
        return self._read(image, LAST_UPDATED).decode(errors="replace")

    def set_last_updated(self, image: str, moment: str) -> None:
        """Record the time when the image was tagged."""
        self._store.images.set_data(image, LAST_UPDATED, moment.encode())

    def built_locally(self, image: str) -> bool:
        """Return whether the image was built or committed on this host."""
        return self._read(image, BUILT_LOCALLY) == _YES

    def set_built_locally(self, image: str) -> None:
        """Record that the image was built on this host."""
        self._store.images.set_data(image, BUILT_LOCALLY, _YES)

    def _read(self, image: str, key: str) -> bytes:
        record = self._store.images.find(image)
        if record is None or record.id != image or key not in record.data_names:
            return b""
        try:
            return self._store.images.get_data(image, key)
        except DataItemUnknown:
            return b""
