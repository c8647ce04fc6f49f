"""Partly downloaded blobs, kept by digest, so that an interrupted download continues where it stopped.

    GRAPH/cstore-partial/sha256-<hex>     0600  the first bytes of a blob, or all of them

Writers do not sweep these files, and the Go tools ignore them. A process that writes one holds the lock of its digest.
Their contents are not trusted: they are hashed before the download continues, and the whole is compared with its
digest.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from cstore.digests import check_digest
from cstore.errors import InvalidDigest, LockTimeout, SystemFailure
from cstore.fs import within
from cstore.fs.lock_policy import LockPolicy
from cstore.fs.lockfile import LockFile, make_directory
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.store.context import Context

WEEK = 7 * 24 * 3600.0
"""The age in seconds after which a partial blob is no longer useful."""


class PartialBlob(Value):
    """A partial blob: digest, path, size, bytes on disk, and age in seconds."""

    digest: str
    path: str
    size: int
    on_disk: int
    age: float


class PartialBlobs:
    """The partial blobs of a store."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._directory = context.layout.partial

    def path(self, digest: str) -> str:
        """Return the path of a blob.

        Raises:
            InvalidDigest: the digest is invalid.
        """
        return os.path.join(self._directory, check_digest(digest).replace(":", "-", 1))

    def open(self, digest: str) -> int:
        """Open a blob to continue it. The caller holds the lock of its digest.

        Raises:
            SystemFailure: it cannot be created or opened.
        """
        make_directory(self._directory, sync=self._context.sync)
        path = self.path(digest)
        top, folder = os.path.split(self._directory)
        try:
            return within.open_file(top, f"{folder}/{os.path.basename(path)}", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SystemFailure("open for writing", path, error) from None

    def remove(self, digest: str) -> None:
        """Remove a blob. Processes that have it open can still read it."""
        with suppress(OSError):
            within.unlink(self.path(digest))

    def list(self) -> Sequence[PartialBlob]:
        """Return all partial blobs, sorted by digest."""
        found, now = [], time.time()
        for name in sorted(within.names_in(*os.path.split(self._directory))):
            try:
                digest = check_digest(name.replace("-", ":", 1))
                path = os.path.join(self._directory, name)
                status = os.lstat(path)
            except (InvalidDigest, OSError):
                continue
            age = max(0.0, now - status.st_mtime)
            found.append(PartialBlob(digest, path, status.st_size, status.st_blocks * 512, age))
        return found

    def collect(self, older_than: float, *, dry_run: bool) -> Sequence[PartialBlob]:
        """Remove partial blobs of this age that are not in use, or find them; return them.

        Raises:
            SystemFailure: one cannot be removed.
        """
        gone, at_once = [], LockPolicy(timeout=0)
        for blob in self.list():
            if blob.age < older_than:
                continue
            lock = LockFile(self._context.layout.digest_lock(blob.digest))
            try:
                with lock.shared(at_once) if dry_run else lock.exclusive(at_once):
                    if not dry_run:
                        within.unlink(blob.path)
                    gone.append(blob)
            except (LockTimeout, FileNotFoundError):  # it is in use, or was used and removed in the meantime
                continue
            except OSError as error:
                raise SystemFailure("remove", blob.path, error) from None
        return gone
