"""Mount each layer in a mount namespace that only this process sees, and report layers that cannot be mounted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.check.findings import Finding, of_layer
from cstore.errors import CstoreError
from cstore.kernel.namespaces import CAP_SYS_ADMIN, has_capability
from cstore.store.lookup import layer_by_id
from cstore.store.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.check.snapshot import StoreSnapshot


def unmountable(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool], notes: list[str]) -> list[Finding]:
    """Return a finding for each layer that cannot be mounted. Without permission to mount, add a note instead."""
    if not has_capability(CAP_SYS_ADMIN):
        notes.append("no layer was mounted for testing, because this process may not mount; run it with cstore unshare")
        return []
    found = []
    for layer, read_only in snapshot.all_layers.values():
        if layer.incomplete or not wanted("layer", layer.id) or not snapshot.context.driver.exists(layer.id):
            continue  # another finding reports a missing directory
        flaw = ""
        try:
            with snapshot.context.driver.tree_of(layer.id) as path, os.scandir(path) as entries:
                next(entries, None)
        except CstoreError as error:
            flaw = error.message
        except OSError as error:
            flaw = os.strerror(error.errno or 0)
        if flaw and layer_by_id(Reader(snapshot.context), layer.id) is not None:
            sentence, evidence = f"it cannot be mounted: {flaw}", {"part": "mount", "reason": flaw}
            found.append(of_layer("layer-unreadable", layer.id, sentence, read_only=read_only, **evidence))
    return found
