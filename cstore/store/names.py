"""Names and metadata of any item, found by ID or name: layers first, then images, then containers (semantics 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.errors import LayerUnknown, NotAnItem
from cstore.ids import unique_names
from cstore.store.lookup import Item, find_item, table_of
from cstore.store.places import Shelf
from cstore.store.session import Reader, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cstore.store.context import Context
    from cstore.store.session import Writer


def names_of(context: Context, word: str) -> tuple[str, ...]:
    """Return the names of an item.

    Raises:
        LayerUnknown: nothing answers to `word`.
    """
    reader = Reader(context)
    item = _item(reader, word)
    names: tuple[str, ...] = table_of(reader, item.shelf).get(item.id).names
    return names


def set_names(context: Context, word: str, names: Iterable[str]) -> tuple[str, ...]:
    """Give an item these names and no others; a name that another item of its kind has moves here.

    Returns the new list.
    """
    given = unique_names(names)
    return _change(context, word, lambda _old: given)


def add_names(context: Context, word: str, names: Iterable[str]) -> tuple[str, ...]:
    """Put names before those an item has; a name that another item of its kind has moves here. Returns the new list."""
    given = unique_names(names)
    return _change(context, word, lambda old: unique_names((*given, *old)))


def remove_names(context: Context, word: str, names: Iterable[str]) -> tuple[str, ...]:
    """Take names from an item; names it does not have are ignored. Returns the new list."""
    unwanted = set(names)
    return _change(context, word, lambda old: tuple(name for name in old if name not in unwanted))


def metadata_of(context: Context, word: str) -> str:
    """Return the metadata of an item.

    Raises:
        NotAnItem: nothing answers to `word`.
    """
    reader = Reader(context)
    item = find_item(reader, word)
    if item is None:
        raise NotAnItem(word)
    metadata: str = table_of(reader, item.shelf).get(item.id).metadata
    return metadata


def set_metadata(context: Context, word: str, text: str) -> None:
    """Replace the metadata of an item.

    Raises:
        NotAnItem: nothing answers to `word`.
    """
    item = find_item(Reader(context), word)
    if item is None:
        raise NotAnItem(word)
    with writing(context, item.shelf) as writer:
        table = writer.table(item.shelf)
        record = table.get(item.id)
        if record is None:
            raise NotAnItem(word)
        table.replace(record.with_(metadata=text))
        writer.save(item.shelf)


def _item(reader: Reader, word: str) -> Item:
    item = find_item(reader, word)
    if item is None:
        raise LayerUnknown(word)
    return item


def _change(context: Context, word: str, change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> tuple[str, ...]:
    item = _item(Reader(context), word)
    with writing(context, item.shelf) as writer:
        table = writer.table(item.shelf)
        record = table.get(item.id)
        if record is None:
            raise LayerUnknown(word)
        names = change(record.names)
        if names != record.names:
            _take_from_others(writer, item, names)
            table.replace(record.with_(names=names, **_history(item, record, names)))
            writer.save(item.shelf)
        return names


def _take_from_others(writer: Writer, item: Item, names: tuple[str, ...]) -> None:
    """Remove the names from whoever has them: in every file, so that no later load gives one back."""
    table = writer.table(item.shelf)
    for name in names:
        holder = table.named(name)
        if holder is not None and holder.id != item.id:
            table.replace(holder.with_(names=tuple(other for other in holder.names if other != name)))


def _history(item: Item, record: object, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Push each of an image's names to the front of its history, in order (semantics 9)."""
    if item.shelf is not Shelf.IMAGES:
        return {}
    history: tuple[str, ...] = getattr(record, "names_history", ())
    for name in names:
        history = (name, *(old for old in history if old != name))
    return {"names_history": history}
