"""Let equal files in the layers of images share their blocks (semantics 20)."""

from __future__ import annotations

from cstore.errors import CstoreError
from cstore.fs.duplicates import Duplicates, Sharing
from cstore.records.layers import follow
from cstore.store.reading import Reader
from cstore.store.session import leave_to_its_user

__all__ = ["Sharing", "dedup"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.records.model import Layer
    from cstore.store.context import Context


def dedup(
    context: Context, method: str = "crc", *, dry_run: bool = False, progress: Callable[[int], None] | None = None
) -> Sharing:
    """Let equal files share their blocks. If the file system cannot, nothing happens, which is no error.

    No lock is held, because the kernel compares the bytes before it shares them. Layers deleted in the meantime are
    skipped.

    Args:
        context: the store.
        method: how to find files that may be equal: one of `fs.duplicates.METHODS`.
        dry_run: change nothing, but return what would be saved.
        progress: called with the number of bytes processed so far.

    Raises:
        InvalidOption: there is no such method.
        RecordsDamaged: damaged records do not show which layers are complete.
    """
    if not dry_run:
        leave_to_its_user(context.layout)
    search = Duplicates(method, dry_run=dry_run, progress=progress)
    tables = Reader(context)
    for table in (tables.layers, tables.images):
        table.verify()
    wanted: dict[str, Layer] = {}
    for image in tables.images:
        for top in (image.layer, *image.mapped_layers):
            wanted.update(follow(tables.layers.get, top, wanted)[0])
    # The store's own layers that images use, from the oldest record to the newest.
    for layer in [layer.id for layer in tables.layers if layer.id in wanted and not layer.incomplete]:
        try:
            root = context.driver.content_roots(layer)[0]
        except CstoreError:
            continue  # `check` reports a layer without contents
        search.add(root)
    return search.share()
