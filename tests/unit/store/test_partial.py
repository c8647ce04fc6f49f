"""Partial blobs: collected by age, and no trouble if somebody uses one at that moment."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore import open_store
from cstore.errors import SystemFailure
from cstore.store.partial import PartialBlobs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cstore.store.partial import PartialBlob


class _Vanishing(PartialBlobs):
    """What is listed is gone, or something else stands there, before it is removed."""

    instead = False

    def list(self) -> Sequence[PartialBlob]:
        found = super().list()
        os.unlink(found[0].path)
        if self.instead:
            os.mkdir(found[0].path)
        return found


def test_a_blob_that_is_used_meanwhile_is_none_that_was_removed(tmp_path: Path) -> None:
    """The others go; what cannot be removed is an error."""
    store = open_store(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="vfs")
    blobs = _Vanishing(store.context)
    digests = [f"sha256:{number:064x}" for number in range(2)]
    for digest in digests:
        os.close(blobs.open(digest))

    assert [blob.digest for blob in blobs.collect(0.0, dry_run=False)] == digests[1:]

    os.close(blobs.open(digests[0]))
    blobs.instead = True
    with pytest.raises(SystemFailure, match="remove"):
        blobs.collect(0.0, dry_run=False)
