"""Create layers from several archives that become durable together: they share the syncs of files and records.

    each: stage ──► fill        all: sync ──► records, flagged ──► trees in place ──► sync ──► records, complete

The order is that for a single layer (see creation.py), except that nothing is acknowledged before the whole group
survives a power cut.
"""

from __future__ import annotations

import os
from contextlib import suppress

from cstore import presence
from cstore.errors import CstoreError
from cstore.fs.atomic import sync_filesystem
from cstore.store.applied_layer import AppliedLayer, attach, check_archive, fill
from cstore.store.creation import add_incomplete, stage_layer
from cstore.store.maps import explained
from cstore.store.places import ItemKind
from cstore.store.session import writing
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    from cstore.archive.streams import ReadInto
    from cstore.records.model import Layer
    from cstore.store.context import Context
    from cstore.store.creation import NewLayer, StagedLayer
    from cstore.store.session import Writer


class PreparedLayer(Value):
    """A layer that only needs to be published, which nobody else sees. Clean or publish it."""

    made: StagedLayer
    applied_layer: AppliedLayer

    def clean(self) -> None:
        """Remove the files, unless they have become a layer. May be called again."""
        self.made.clean()
        self.applied_layer.staging.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clean()


def prepare_layer(
    context: Context, request: NewLayer, source: int | ReadInto, progress: Callable[[int], None] | None = None
) -> PreparedLayer:
    """Read the archive of a future layer; see `creation.put_layer`. Its files may not be on disk yet."""
    made = stage_layer(context, request)
    try:
        with explained(made.plan.id_map):
            applied_layer = fill(context, made.staged, source, made.plan.id_map, progress, sync=False)
    except BaseException:
        made.clean()
        raise
    prepared = PreparedLayer(made, applied_layer)
    try:
        check_archive(request, applied_layer.applied)
    except BaseException:
        prepared.clean()
        raise
    return prepared


def publish_layers(
    context: Context, prepared: Sequence[PreparedLayer], *, keep_going: bool = True
) -> list[Layer | CstoreError]:
    """Publish prepared layers in order, and clean the rest; all of them are durable on return.

    Return for each the layer, or the error. Unless `keep_going`, stop at the first failure, which ends the list.

    Raises:
        CstoreError: nothing could be written; no layer was created.
    """
    try:
        if context.sync:
            stagings = (
                staging for each in prepared for staging in (each.made.staged.staging, each.applied_layer.staging)
            )
            _sync(os.path.dirname(staging.path) for staging in stagings)
        return _publish(context, prepared, keep_going=keep_going)
    finally:
        for each in prepared:
            each.clean()


def _publish(context: Context, prepared: Sequence[PreparedLayer], *, keep_going: bool) -> list[Layer | CstoreError]:
    with writing(context.unsynced(), ItemKind.LAYERS, prepared=True) as writer:
        results: list[Layer | CstoreError] = []
        try:
            for each in prepared:
                results.append(_recorded(writer, each))
                if isinstance(results[-1], CstoreError) and not keep_going:
                    break
            writer.save(ItemKind.LAYERS, sync=context.sync)
            for number, each in enumerate(prepared[: len(results)]):
                results[number] = _finished(writer, each, results[number])
                if isinstance(results[number], CstoreError) and not keep_going:
                    _withdraw(writer, results[number + 1 :])
                    del results[number + 1 :]
                    break
            if context.sync:
                _sync([*writer.layout.homes, writer.layout.layers])
            writer.save(ItemKind.LAYERS, sync=context.sync)
        except BaseException:
            _withdraw(writer, results)
            raise
        return results


def _recorded(writer: Writer, each: PreparedLayer) -> Layer | CstoreError:
    """Add the incomplete record of a layer; or return the error."""
    try:
        return add_incomplete(writer, each.made.request, each.made.plan)[0]
    except CstoreError as error:
        return error


def _finished(writer: Writer, each: PreparedLayer, record: Layer | CstoreError) -> Layer | CstoreError:
    """Publish the contents of a layer; or return the error, and withdraw the layer."""
    if isinstance(record, CstoreError):
        return record
    try:
        whole = attach(writer, record, each.made.request, each.made.plan, each.made.staged, each.applied_layer)
        writer.layers.replace(whole)
    except CstoreError as error:
        _withdraw(writer, [record])
        return error
    return whole


def _withdraw(writer: Writer, records: Iterable[Layer | CstoreError]) -> None:
    from cstore.store.removal import withdraw

    for record in records:
        with suppress(CstoreError):  # the flag tells the next writer to remove it
            if not isinstance(record, CstoreError):
                withdraw(writer, record.id)


def _sync(paths: Iterable[str]) -> None:
    """Sync the file systems of these directories; each may be a separate one."""
    for path in dict.fromkeys(paths):
        if presence.is_directory(path):
            sync_filesystem(path)
