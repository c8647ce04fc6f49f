"""What a table must know about its kind of record."""

from __future__ import annotations

from cstore.records.model import Generic, R
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.errors import UnknownItem


class Kind(Value, Generic[R]):
    """What a table must know about its kind of record.

    Attributes:
        noun: "layer", "image" or "container".
        record: the class of its records.
        unknown: the error for an ID or name that nothing answers to.
        alias: a second ID by which a record is found, if the kind has one.
        renamed: the record with new names and whatever else that changes, if there is more to it.
        flaw: what makes a record unusable although its types are right, or "", if there is such a thing.
        duplicates: list all records of an ID that occurs twice, and let the last answer; else the first hides the rest.
    """

    noun: str
    record: type[R]
    unknown: type[UnknownItem]
    alias: Callable[[R], str] | None = None
    renamed: Callable[[R, tuple[str, ...]], R] | None = None
    flaw: Callable[[R], str] | None = None
    duplicates: bool = False
