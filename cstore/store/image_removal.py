"""Remove images, with the layers that nothing else needs.

The record is removed first, in one step, then the data, then the layers. An intent is written before, by which the next
writer can complete the removal (intents.py). There is never an image without its layers. (semantics 12.3)
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from cstore.errors import ImageUsedByContainer, NotAnImage, UnsafeID
from cstore.records.layers import follow
from cstore.store.intents import Intent
from cstore.store.lookup import WAYS, children_of_layer, nowhere
from cstore.store.lost_records import hidden_containers
from cstore.store.places import ItemKind, is_made
from cstore.store.reading import Reader
from cstore.store.removal import discard, remove_layers
from cstore.store.session import Trusted, writing
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.fs.lockfile import HeldLock
    from cstore.layout import Layout
    from cstore.records.model import Image
    from cstore.records.table import Table
    from cstore.store.context import Context
    from cstore.store.lookup import Tables
    from cstore.store.session import Writer


def delete_image(context: Context, ref: str, *, commit: bool = True) -> tuple[str, ...]:
    """Delete an image that no container uses, and the layers that only it needs.

    Returns:
        The IDs of these layers, in the order of their removal. Without `commit`, nothing is changed.

    Raises:
        NotAnImage: there is no such image.
        ReadOnlyStore: the image is in an additional store.
        ImageUsedByContainer: a container was created from it.
        CstoreError: a layer could not be removed; it and the layers below it stay, without the image.
    """
    if not is_made(context.layout):
        raise nowhere(Reader(context), ref, NotAnImage(ref))
    if not commit:
        tables = Trusted(context)
        images = [tables.images, *map(_load, _graph_root_images(context))]
        return _doomed(tables, images, _found(tables, images, ref)[1])
    with writing(context, ItemKind.LAYERS, ItemKind.IMAGES, freeing=True) as writer, _older_images(writer) as older:
        item_kinds = [_KindOfItem(writer.images, writer.layout, lambda: writer.save(ItemKind.IMAGES)), *older]
        images = [item_kind.table for item_kind in item_kinds]
        place, image = _found(writer, images, ref)
        doomed = _doomed(writer, images, image)
        intent = Intent(context)
        try:
            intent.note(layers=list(doomed), data=image.id)
            _remove_record(writer, item_kinds[place], image.id)
            remove_layers(writer, doomed)
        except BaseException:
            intent.leave()  # the next writer completes it
            raise
        intent.done()
        return doomed


class _KindOfItem(Value):
    """Image records that may be changed, the layout of their data, and a function that saves them."""

    table: Table[Image]
    layout: Layout
    save: Callable[[], None]


@contextmanager
def _older_images(writer: Writer) -> Iterator[list[_KindOfItem]]:
    """Yield the graph root's images from before a separate image store was configured, under their own lock."""
    from cstore.fs.lockfile import LockFile

    with ExitStack() as stack:
        item_kinds = []
        for layout in _graph_root_images(writer.context):
            lock = stack.enter_context(LockFile(layout.images_lock).exclusive(writer.context.lock_policy))
            table = _load(layout)
            item_kinds.append(_KindOfItem(table, layout, partial(_save, table, lock, sync=writer.context.sync)))
        yield item_kinds


def _save(table: Table[Image], lock: HeldLock, *, sync: bool) -> None:
    lock.mark()
    table.save(sync=sync)


def _graph_root_images(context: Context) -> list[Layout]:
    return [extra.layout for extra in context.additional if extra.images_only]


def _load(layout: Layout) -> Table[Image]:
    from cstore.records.images import IMAGES
    from cstore.records.table import Location, Table

    return Table.load(IMAGES, {Location.STABLE: layout.stable_images})


def _found(tables: Tables, images: list[Table[Image]], ref: str) -> tuple[int, Image]:
    """Return an image that may be deleted: the index of its table, and its record."""
    for way in WAYS:
        for place, table in enumerate(images):
            image = way(table, ref)
            if image is not None and not any(image.id in before for before in images[:place]):
                return place, image
    raise nowhere(tables, ref, NotAnImage(ref))


def _doomed(tables: Trusted, images: list[Table[Image]], image: Image) -> tuple[str, ...]:
    """List the layers to remove with an image: mapped layers, top layer and ancestors that nothing else needs.

    Raises:
        ImageUsedByContainer: a container was created from it.
    """
    containers = [*hidden_containers(tables.context.layout), *tables.containers]
    users = [container for container in containers if container.image == image.id]
    if users:
        from cstore.store.makers import removal_command

        user = users[-1]  # the Go tool also names the last of several
        raise ImageUsedByContainer(image.id, user.id, removal_command(tables.context, user))
    own_layers = {container.layer for container in containers}
    going: dict[str, None] = {}

    def may_go(layer: str) -> bool:
        needed = layer in own_layers or layer not in tables.layers or _is_on_top_of_another(images, image, layer)
        return not needed and going.keys() >= set(children_of_layer(tables, layer))

    mapped_layers = [mapped_layer for mapped_layer in image.mapped_layers if may_go(mapped_layer)]
    going |= dict.fromkeys(mapped_layers)
    top = image.layer if len(mapped_layers) == len(_known(tables, image.mapped_layers)) else ""
    for layer in follow(tables.layers.get, top, going)[0]:
        if not may_go(layer):
            break
        going[layer] = None
    return tuple(going)


def _known(tables: Tables, layers: tuple[str, ...]) -> list[str]:
    return [layer for layer in layers if layer in tables.layers]


def _is_on_top_of_another(images: list[Table[Image]], image: Image, layer: str) -> bool:
    """Return whether another image has this top layer, or mapped layer."""
    mentions = (other for table in images for other in table.mentioning(layer) if other.id != image.id)
    return any(layer in {other.layer, *other.mapped_layers} for other in mentions)


def _remove_record(writer: Writer, item_kind: _KindOfItem, image: str) -> None:
    """Save the records without the image, and move its data into staging."""
    item_kind.table.remove(image)
    item_kind.save()
    with suppress(UnsafeID):
        for path in (item_kind.layout.image_data(image), item_kind.layout.image_run_data(image)):
            discard(writer, path)
