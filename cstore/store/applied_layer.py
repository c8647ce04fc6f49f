"""An archive into a staged tree, with the tar-split that gives it back, and what the record says of both."""

from __future__ import annotations

import os

from cstore.errors import SystemFailure
from cstore.fs import within
from cstore.fs.atomic import sync_directory
from cstore.fs.staging import StagingDirectory, StagingRoot
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cstore.archive.apply import Applied
    from cstore.archive.streams import ReadInto
    from cstore.drivers.contract import StagedTree
    from cstore.idmap import IDMap
    from cstore.records.model import Layer
    from cstore.store.context import Context


class AppliedLayer(Value):
    """What was read into a tree. `staging` holds the tar-split until it is published, and goes away with it."""

    applied: Applied
    tar_split: str
    staging: StagingDirectory

    def publish(self, target: str, *, sync: bool) -> None:
        """Bring the tar-split to its place."""
        try:
            within.rename(self.tar_split, target)
        except OSError as error:
            raise SystemFailure("write", target, error) from error
        if sync:
            sync_directory(os.path.dirname(target))


def fill(
    context: Context,
    staged: StagedTree,
    source: int | ReadInto,
    id_map: IDMap,
    progress: Callable[[int], None] | None,
    *,
    again: bool = False,
    sync: bool | None = None,
    donor: str = "",
) -> AppliedLayer:
    """Read the archive from `source` into `staged`, `again` if one was before. On failure nothing else is left.

    What was read is on the disk then, if the store syncs; or if `sync` says so. `donor`: see `ApplyOptions`.

    Raises:
        ArchiveError: the archive cannot be a layer.
        SystemFailure: the tree could not be written.
    """
    from cstore.archive.apply import ApplyOptions, apply_archive
    from cstore.kernel.namespaces import in_user_namespace

    staging = StagingRoot(context.layout.layers_staging).reserve()
    try:
        tar_split = os.path.join(staging.path, "tar-split.gz")
        options = ApplyOptions(
            form=staged.form,
            has_lower=staged.has_lower,
            id_map=id_map,
            in_user_namespace=in_user_namespace() or os.geteuid() != 0,
            ignore_chown_errors=context.ignore_chown_errors,
            sync=context.sync if sync is None else sync,
            lowers=staged.lowers,
            unseen=staged.unseen,
            force_mask=staged.force_mask,
            again=again,
            donor=donor,
        )
        applied = apply_archive(source, staged.tree, tar_split, options, progress)
    except BaseException:
        staging.remove()
        raise
    return AppliedLayer(applied, tar_split, staging)


_OF_CONTENTS = (
    "compressed_digest",
    "compressed_size",
    "diff_digest",
    "diff_size",
    "toc_digest",
    "compression",
    "uids",
    "gids",
)


def contents_of(layer: Layer) -> dict[str, Any]:
    """Take from a record what it says of the layer's contents."""
    return {field: getattr(layer, field) for field in _OF_CONTENTS}


def archive_fields(applied: Applied) -> dict[str, Any]:
    """Say in record fields what an archive was (store-format 7.3)."""
    return {
        "compressed_digest": applied.compressed_digest,
        "compressed_size": applied.compressed_size,
        "diff_digest": applied.diff_digest,
        "diff_size": applied.diff_size,
        "toc_digest": "",
        "compression": int(applied.compression),
        "uids": applied.uids,
        "gids": applied.gids,
    }
