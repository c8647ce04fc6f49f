"""Named tuples like `typing.NamedTuple`, whose import takes longer than a short command.

    class Entry(NamedTuple):
        path: bytes
        size: int = 0

Use them for objects that are created in large numbers, and a `Value` for others. This module imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:

    def _replace(self: Any, **changes: Any) -> Any:
        """Return a copy with some items changed."""
        return type(self)(**{**self._asdict(), **changes})

    def _asdict(self: Any) -> dict[str, Any]:
        """Return the items by name, in order."""
        return dict(zip(self._fields, self, strict=True))

    def _items(self: Any) -> tuple[Any, ...]:
        return tuple(self)

    def _shown(self: Any) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

    _TUPLE = {
        "_replace": _replace,
        "_asdict": _asdict,
        "_make": classmethod(tuple.__new__),
        "__repr__": _shown,
        "__getnewargs__": _items,
    }
    """The common members of named tuples."""

    class _Named(type):
        """The metaclass of named tuples: it creates the class that `collections.namedtuple` would create."""

        def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, members)
            from _collections import _tuplegetter  # `collections` uses it, too

            fields = tuple(members["__annotations__"])
            defaults = {field: members[field] for field in fields if field in members}
            given = ", ".join(fields)
            make = f"lambda _kind, {given}: _new(_kind, ({given},))"  # generated for speed: there are very many tuples
            new = eval(make, {"_new": tuple.__new__, "__builtins__": {}})  # noqa: S307  - the names are from our own source
            new.__qualname__, new.__defaults__ = f"{name}.__new__", tuple(defaults.values())
            own = {"__slots__": (), "__new__": new, "__match_args__": fields, "_fields": fields}
            getters = {field: _tuplegetter(number, "") for number, field in enumerate(fields)}
            return type(name, (tuple,), {**_TUPLE, **members, **own, **getters})

    class NamedTuple(metaclass=_Named):
        """A tuple whose items have names, defined like a `typing.NamedTuple`."""


__all__ = ["NamedTuple"]
