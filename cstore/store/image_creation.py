"""New images: their data first, their record in one step after it.

A crash in between leaves data that no record owns, which `gc` and the next image of that ID remove; never an image that
has a name and no manifest. An image of an additional store is *pulled up* when it is to be changed: it gets a record
and data in the store itself, while its layers stay where they are. (store-format 2.4, semantics 6, 9)
"""

from __future__ import annotations

from contextlib import suppress

from cstore.digests import check_digest
from cstore.errors import CstoreError, IDTaken, InvalidTime, NameTaken
from cstore.ids import check_id, new_id, unique_names
from cstore.records.codec import now
from cstore.records.images import digests, with_digest
from cstore.records.model import Image
from cstore.store.bigdata import clear_items, store_items, with_items
from cstore.store.lookup import get_layer
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
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
    """What a caller asks for.

    Attributes:
        layer: the top layer, by ID, name or unique prefix; "" for an image without layers.
        created: RFC 3339; "" takes the time of creation.
        data_digests: digests of `data` that are known, by key; the others are computed.
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

    If an additional store has an image of that ID, the new one takes over what the request leaves open, and its names.

    Raises:
        LayerUnknown: there is no such layer.
        IDTaken, NameTaken, InvalidID, InvalidName: the ID or a name is taken or not valid.
        InvalidDigest, InvalidTime: a digest or the time is not valid.
        InvalidDataName: a data item cannot have that name.
    """
    _check(request)
    _plan(Reader(context), request)  # a mistake leaves no trace, not even a store
    with writing(context, ItemKind.IMAGES) as writer:
        return _publish(writer, _plan(writer, request))


class _Plan(Value):
    """A future record, without its names, and its data. `moved` names are taken from other items."""

    image: Image
    names: tuple[str, ...]
    moved: tuple[str, ...]
    data: Mapping[str, bytes]


def _check(request: NewImage) -> None:
    if request.digest:
        check_digest(request.digest)
    for digest in request.data_digests.values():
        check_digest(digest)
    if request.created:
        check_time(request.created)


def check_time(text: str) -> str:
    """Return `text` if it is a time as in records. Any other makes the file unreadable for the Go tool.

    Raises:
        InvalidTime: it is not a time.
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
    """Lay a request over an image of an additional store. The names come together, and move here.

    Raises:
        InvalidDigest: that store's record is damaged.
        DataItemUnknown: one of its data items is missing.
    """
    theirs = extra.images.get(chosen)
    if theirs is None:
        raise IDTaken("image", chosen)
    digests(theirs)  # with an invalid one, no other program could read our records
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
    data = {**_data_of(extra, theirs), **request.data}
    return _Plan(with_items(image, request.data, request.data_digests), (), unique_names((*names, *theirs.names)), data)


def _data_of(extra: ExtraStore, image: Image) -> dict[str, bytes]:
    from cstore.records.bigdata import read_item

    return {key: read_item(extra.layout.image_data(image.id), key, noun="image") for key in image.data_names}


def _publish(writer: Writer, plan: _Plan) -> Image:
    """Put the data in place and then save the record, or raise and leave nothing."""
    image = with_digest(plan.image).with_(names=plan.names)
    store_items(writer, ItemKind.IMAGES, image.id, plan.data)
    try:
        writer.images.add(image)
        if plan.moved:
            image = writer.images.assign_names(image.id, plan.moved)
        writer.save(ItemKind.IMAGES)
    except BaseException:
        with suppress(CstoreError):  # report the first error; a record that stays keeps its data
            _withdraw(writer, plan, image.id)
        raise
    return image


def _withdraw(writer: Writer, plan: _Plan, image: str) -> None:
    """Take back an image that could not be finished: its record first.

    If it has taken names from others, and reached the disk, it stays: they could not be given back in the same step.
    """
    from cstore.store.reading import load_table

    if image in load_table(writer.context, ItemKind.IMAGES, degraded=False):
        if plan.moved:
            return
        writer.images.remove(image)
        writer.save(ItemKind.IMAGES)
    clear_items(writer, ItemKind.IMAGES, image)


def pull_up(writer: Writer, image: str, rename: Callable[[tuple[str, ...]], tuple[str, ...]]) -> Image | None:
    """Copy an image of an additional store into the store itself, with its data, under the names that `rename` returns.

    None if no additional store has it.
    """
    for extra in writer.additional:
        theirs = extra.images.get(image)
        if theirs is not None:
            plan = _pulled_up(extra, image, NewImage(), layer="", names=())
            return _publish(writer, plan.with_(moved=rename(theirs.names)))
    return None
