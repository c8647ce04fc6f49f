"""Create images: first their data, then their record in one step.

A crash in between leaves data without a record, which `gc` or the next image with that ID removes, but never an image
with a name and no manifest. To change an image of an additional store, it is *pulled up*: it gets a record and data in
the store itself, while its layers stay where they are. (store-format 2.4, semantics 6, 9)
"""

from __future__ import annotations

from contextlib import suppress

from cstore.digests import check_digest
from cstore.errors import CstoreError, IDTaken, InvalidTime, NameTaken
from cstore.ids import check_id, new_id, unique_names
from cstore.records.bigdata import read_item
from cstore.records.codec import now
from cstore.records.images import digests, with_digest
from cstore.records.model import Image
from cstore.store.bigdata import clear_items, store_items, with_items
from cstore.store.lookup import get_layer
from cstore.store.places import ItemKind
from cstore.store.reading import Reader, load_table
from cstore.store.session import writing
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from cstore.store.context import Context
    from cstore.store.extra_stores import ExtraStore
    from cstore.store.lookup import Tables
    from cstore.store.session import Writer


class NewImage(Value):
    """The request for a new image.

    Attributes:
        layer: the top layer, by ID, name or unique ID prefix; "" for an image without layers.
        created: the time of creation, RFC 3339; "" for now.
        data_digests: known digests of `data`, by key; the others are computed.
    """

    id: str = ""
    names: tuple[str, ...] = ()
    layer: str = ""
    metadata: str = ""
    digest: str = ""
    created: str = ""
    names_history: tuple[str, ...] = ()
    flags: Mapping[str, Any] = {}
    data: Mapping[str, bytes] = {}
    data_digests: Mapping[str, str] = {}


def create_image(context: Context, request: NewImage) -> Image:
    """Create an image from existing layers, or without layers.

    If an additional store has an image with that ID, the new image also gets its names, and its values for all fields
    that the request leaves empty.

    Raises:
        LayerUnknown: there is no such layer.
        IDTaken, NameTaken, InvalidID, InvalidName: the ID or a name is taken or invalid.
        InvalidDigest, InvalidTime: a digest or the time is invalid.
        InvalidDataName: a data item cannot have that name.
    """
    for digest in (*filter(None, [request.digest]), *request.data_digests.values()):
        check_digest(digest)
    if request.created:
        check_time(request.created)
    _plan(Reader(context), request)  # an invalid request leaves no trace, not even a store
    with writing(context, ItemKind.IMAGES) as writer:
        return _publish(writer, _plan(writer, request))


class _Plan(Value):
    """A future record without its names, and its data. `moved` names are taken from the items that have them."""

    image: Image
    names: tuple[str, ...]
    moved: tuple[str, ...]
    data: Mapping[str, bytes]


def check_time(text: str) -> str:
    """Return `text` if it is a valid time in a record; others make the record file unreadable for the Go tool.

    Raises:
        InvalidTime: it is invalid.
    """
    import re
    from datetime import datetime

    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", text, re.ASCII):
        try:
            datetime.fromisoformat(text[:19])
            datetime.fromisoformat("2000-01-01T00:00:00" + text[19:].lstrip(".0123456789"))
        except ValueError:
            pass
        else:
            return text
    raise InvalidTime(text)


def _plan(tables: Tables, request: NewImage) -> _Plan:
    names = unique_names(request.names)
    layer = get_layer(tables, request.layer).id if request.layer else ""
    chosen = request.id and check_id(request.id)
    if chosen in tables.images:
        raise IDTaken("image", chosen)
    known = next((extra for extra in tables.additional if chosen in extra.images), None)
    if known is not None:
        return _pulled_up(known, chosen, request, layer, names)
    for name in names:
        holder = tables.images.named(name)
        if holder is not None:
            raise NameTaken("image", name, holder.id)
    image = Image(
        id=chosen or new_id(lambda candidate: candidate in tables.images),
        digest=request.digest,
        names_history=unique_names(request.names_history),
        layer=layer,
        metadata=request.metadata,
        created=request.created or now(),
        flags=dict(request.flags),
    )
    return _Plan(with_items(image, request.data, request.data_digests), names, (), request.data)


def _pulled_up(extra: ExtraStore, chosen: str, request: NewImage, layer: str, names: tuple[str, ...]) -> _Plan:
    """Combine a request with an image of an additional store. The names of both are moved to the new image.

    Raises:
        InvalidDigest: the other store's record is damaged.
        DataItemUnknown: one of its data items is missing.
    """
    theirs = extra.images.get(chosen)
    if theirs is None:
        raise IDTaken("image", chosen)
    digests(theirs)  # an invalid one would make this store's records unreadable for other programs
    image = theirs.with_(
        digest=request.digest or theirs.digest,
        names=(),
        names_history=unique_names((*request.names_history, *theirs.names_history)),
        layer=layer or theirs.layer,
        mapped_layers=(),
        metadata=request.metadata or theirs.metadata,
        created=request.created or theirs.created,
        flags={**theirs.flags, **request.flags},
    )
    files = {key: read_item(extra.layout.image_data(chosen), key, noun="image") for key in theirs.data_names}
    data = {**files, **request.data}
    return _Plan(with_items(image, request.data, request.data_digests), (), unique_names((*names, *theirs.names)), data)


def _publish(writer: Writer, plan: _Plan) -> Image:
    """Write the data and then save the record, or raise and leave nothing."""
    image = with_digest(plan.image).with_(names=plan.names)
    store_items(writer, ItemKind.IMAGES, image.id, plan.data)
    try:
        writer.images.add(image)
        if plan.moved:
            image = writer.images.assign_names(image.id, plan.moved)
        writer.save(ItemKind.IMAGES)
    except BaseException:
        with suppress(CstoreError):  # report the first error; a record that stays must keep its data
            recorded = image.id in load_table(writer.context, ItemKind.IMAGES, degraded=False)
            if recorded and not plan.moved:
                writer.images.remove(image.id)
                writer.save(ItemKind.IMAGES)
            if not (recorded and plan.moved):  # names taken from other images could not be returned in one step
                clear_items(writer, ItemKind.IMAGES, image.id)
        raise
    return image


def pull_up(writer: Writer, image: str, rename: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Image | None:
    """Copy an image of an additional store with its data into the store itself, under the names that `rename` returns.

    None if no additional store has it.
    """
    for extra in writer.additional:
        theirs = extra.images.get(image)
        if theirs is not None:
            plan = _pulled_up(extra, image, NewImage(), layer="", names=())
            return _publish(writer, plan.with_(moved=rename(theirs.names)))
    return None
