"""Names and metadata of any item, by ID or name: layers first, then images, then containers (semantics 9)."""

from __future__ import annotations

from cstore import errors
from cstore.ids import several, unique_names
from cstore.store.lookup import find_own_item, find_record, find_renamable, nowhere
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from cstore.store.session import Trusted, writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from cstore.store.context import Context

_OF_THE_STORE = frozenset({"incomplete"})


def names_of(context: Context, ref: str) -> tuple[str, ...]:
    """Return the names of an item.

    Raises:
        LayerUnknown: nothing matches `ref`.
    """
    record = find_record(Reader(context), ref)
    if record is None:
        raise errors.LayerUnknown(ref)
    return record.names


def set_names(context: Context, ref: str, names: Iterable[str]) -> tuple[str, ...]:
    """Replace the names of an item; a name of another item of its kind is moved to it.

    Return the new names.
    """
    given = unique_names(names)
    return _change(context, ref, lambda _old: given)


def add_names(context: Context, ref: str, names: Iterable[str]) -> tuple[str, ...]:
    """Add names before those of an item; a name of another item of its kind is moved to it. Return the new names."""
    given = unique_names(names)
    return _change(context, ref, lambda old: unique_names((*given, *old)))


def remove_names(context: Context, ref: str, names: Iterable[str]) -> tuple[str, ...]:
    """Remove names from an item; ignore names that it does not have. Return the new names. Works on a full disk."""
    unwanted = set(several(names))
    return _change(context, ref, lambda old: tuple(name for name in old if name not in unwanted), freeing=True)


def metadata_of(context: Context, ref: str) -> str:
    """Return the metadata of an item.

    Raises:
        NotAnItem: nothing matches `ref`.
    """
    record = find_record(Reader(context), ref)
    if record is None:
        raise errors.NotAnItem(ref)
    return record.metadata


def set_metadata(context: Context, ref: str, text: str) -> None:
    """Replace the metadata of an item.

    Raises:
        NotAnItem: nothing matches `ref`.
        ReadOnlyStore: `ref` matches an item of an additional store.
    """
    _edit(context, ref, lambda record: record.with_(metadata=text))


def set_flag(context: Context, ref: str, flag: str, value: Any) -> None:
    """Set a flag of an item to a JSON value.

    Raises:
        NotAnItem: nothing matches `ref`.
        ReadOnlyStore: `ref` matches an item of an additional store.
        InvalidOption: only the store itself sets this flag, or the value is not a JSON value.
    """
    from cstore.gojson import encode

    try:
        encode(value)
    except (TypeError, ValueError):
        raise errors.InvalidOption(
            f"the flag {flag!r} cannot be of type {type(value).__name__}, which JSON does not have"
        ) from None
    _change_flags(context, ref, flag, {flag: value})


def clear_flag(context: Context, ref: str, flag: str) -> None:
    """Remove a flag from an item; a missing flag is no error.

    Raises:
        NotAnItem, ReadOnlyStore, InvalidOption: as `set_flag`.
    """
    _change_flags(context, ref, flag, {})


def _change_flags(context: Context, ref: str, flag: str, new: dict[str, Any]) -> None:
    if flag in _OF_THE_STORE:
        raise errors.InvalidOption(f"only the store itself sets the flag {flag!r}")

    def change(record: Any) -> Any:
        return record.with_(flags={**{name: record.flags[name] for name in record.flags if name != flag}, **new})

    _edit(context, ref, change)


def _edit(context: Context, ref: str, change: Callable[[Any], Any]) -> None:
    """Change the record of an item of the store itself."""
    tables = Trusted(context)
    item = find_own_item(tables, ref)
    if item is None:
        raise nowhere(tables, ref, errors.NotAnItem(ref))
    tables.hand_on()
    with writing(context, item.item_kind) as writer:
        table = writer.table(item.item_kind)
        record = table.get(item.id)
        if record is None:
            raise errors.NotAnItem(ref)
        table.replace(change(record))
        writer.save(item.item_kind)


def _change(
    context: Context, ref: str, change: Callable[[tuple[str, ...]], tuple[str, ...]], *, freeing: bool = False
) -> tuple[str, ...]:
    tables = Trusted(context)
    item = find_renamable(tables, ref)
    if item is None:
        raise nowhere(tables, ref, errors.LayerUnknown(ref))
    tables.hand_on()
    with writing(context, item.item_kind, freeing=freeing) as writer:
        table = writer.table(item.item_kind)
        record = table.get(item.id)
        if record is None:
            from cstore.store.image_creation import pull_up

            image = pull_up(writer, item.id, change) if item.item_kind is ItemKind.IMAGES else None
            if image is None:
                raise errors.LayerUnknown(ref)
            return image.names
        names = change(record.names)
        table.assign_names(item.id, names)
        writer.save(item.item_kind)
        return names
