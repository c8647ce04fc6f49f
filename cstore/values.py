"""Values: objects that are what their fields say, and never change.

    class Place(Value):
        path: str
        mode: int = 0o755

    Place("/a") == Place("/a", 0o755)
    Place("/a").with_(mode=0o700)

This is as much of `dataclasses` as cstore needs, `Choice`, `IntChoice`, `Generic`, `NamedTuple` and `cast` of what
`enum` and `typing` have, and `cached_property` of `functools`. Those modules take longer to import than a short
command takes to run. Imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from enum import Enum as Choice
    from enum import IntEnum as IntChoice
    from functools import cached_property
    from inspect import Signature
    from typing import Any, ClassVar, Generic, NamedTuple, Self, cast, dataclass_transform

    _Parts = tuple[tuple[str, ...], frozenset[str], frozenset[str], frozenset[str]]
else:

    class _Choices(type):
        """The behavior of a class of choices: finds the choice with a value, and lists all in order."""

        def __call__(cls, value: object) -> Choice:
            if isinstance(value, cls):
                return value
            try:
                return cls._by_value[value]
            except KeyError:
                raise ValueError(f"{value!r} is not a valid {cls.__name__}") from None

        def __iter__(cls) -> Iterator[Choice]:
            return iter(cls._by_value.values())

        def __len__(cls) -> int:
            return len(cls._by_value)

        def __contains__(cls, value: object) -> bool:
            return isinstance(value, cls) or value in cls._by_value

        def __getitem__(cls, name: str) -> Choice:
            return next(choice for choice in cls if choice.name == name)

    class Choice(metaclass=_Choices):
        """A fixed set of values, written as those of `enum.Enum` are, and for type checkers one of these."""

        _by_value: ClassVar[dict[object, Choice]] = {}

        def __init_subclass__(cls) -> None:
            cls._by_value = {}
            for name, value in list(vars(cls).items()):
                if name.startswith("_") or hasattr(value, "__get__"):
                    continue
                choice = cls._made_of(value)
                choice.name, choice.value = name, value
                cls._by_value[value] = choice
                setattr(cls, name, choice)

        @classmethod
        def _made_of(cls, value: object) -> Choice:
            del value
            return object.__new__(cls)

        def __reduce__(self) -> tuple[object, ...]:
            return type(self), (self.value,)

        def __repr__(self) -> str:
            return f"<{self}: {self.value!r}>"

        def __str__(self) -> str:
            return f"{type(self).__name__}.{self.name}"

    class IntChoice(int, Choice):
        """Choices that are numbers."""

        @classmethod
        def _made_of(cls, value: int) -> Choice:
            return int.__new__(cls, value)

        __str__ = int.__repr__

    def _replace(self: Any, **changes: Any) -> Any:
        """Return a copy with other items for some fields."""
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
    """What the classes of such tuples have in common."""

    class _Named(type):
        """Makes what `collections.namedtuple` makes, out of a class that names its fields."""

        def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, members)
            from _collections import _tuplegetter  # what `collections` itself takes

            fields = tuple(members["__annotations__"])
            defaults = {field: members[field] for field in fields if field in members}
            given = ", ".join(fields)
            make = f"lambda _kind, {given}: _new(_kind, ({given},))"  # as fast as it can be: there are very many tuples
            new = eval(make, {"_new": tuple.__new__, "__builtins__": {}})  # noqa: S307  - of names in our own source
            new.__qualname__, new.__defaults__ = f"{name}.__new__", tuple(defaults.values())
            own = {"__slots__": (), "__new__": new, "__match_args__": fields, "_fields": fields}
            getters = {field: _tuplegetter(number, "") for number, field in enumerate(fields)}
            return type(name, (tuple,), {**_TUPLE, **members, **own, **getters})

    class NamedTuple(metaclass=_Named):
        """A tuple whose items have names, written as those of `typing.NamedTuple` are."""

    class Generic:
        """The base of what works with things of one type. What is between brackets is for type checkers only."""

        def __class_getitem__(cls, kind: object) -> type:
            """Return the class itself."""
            return cls

    class cached_property:  # noqa: N801  - called like the one it stands for
        """A property that is worked out once for each object, when it is first asked for."""

        def __init__(self, work_out: Callable[[Any], object]) -> None:
            self._work_out = work_out
            self.__doc__ = work_out.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, instance: Any, owner: type | None = None) -> object:
            if instance is None:
                return self
            value = instance.__dict__[self._name] = self._work_out(instance)
            return value

    def cast(_: object, value: object) -> object:
        """Do what `typing.cast` does at run time."""
        return value

    def dataclass_transform(**_: object) -> Callable[[type], type]:
        """Tell type checkers, who know the real one, that what follows makes classes like data classes."""
        return lambda kind: kind


__all__ = ["Choice", "Generic", "IntChoice", "NamedTuple", "Value", "cached_property", "cast"]


class _Signature:
    """The parameters of a kind of value, for `inspect.signature` and `help`: its fields, when they are asked for."""

    def __get__(self, instance: Value | None, owner: type[Value]) -> Signature:
        if instance is not None:
            raise AttributeError("a value cannot be called")
        from inspect import Parameter, Signature, get_annotations

        kinds = {name: kind for each in reversed(owner.__mro__) for name, kind in get_annotations(each).items()}
        by_place = Parameter.KEYWORD_ONLY if owner._by_name else Parameter.POSITIONAL_OR_KEYWORD  # noqa: SLF001  - ours
        return Signature(
            [
                Parameter(name, by_place, default=getattr(owner, name, Parameter.empty), annotation=kinds[name])
                for name in owner.field_names()
            ],
            return_annotation=None,
        )


_SEVERAL = ("tuple[", "Sequence[", "Iterable[", "frozenset[")


class _Shape:
    """The shape of a kind of value; computed for its first instance, because a command uses only some kinds."""

    def __get__(self, instance: Value | None, owner: type[Value]) -> _Parts:
        if owner is Value:
            return (), frozenset(), frozenset(), frozenset()
        before, _, _, several = next(each for each in owner.__mro__[1:] if issubclass(each, Value))._shape  # noqa: SLF001
        own = [name for name, kind in owner.__annotations__.items() if not kind.startswith("ClassVar")]
        fields = tuple(dict.fromkeys((*before, *own)))
        required = frozenset(name for name in fields if not hasattr(owner, name))
        several = several.difference(own).union(
            name for name in own if owner.__annotations__[name].startswith(_SEVERAL)
        )
        shape: _Parts = (fields, frozenset(fields), required, several)
        owner._shape = shape  # noqa: SLF001  - the next time it is there
        return shape


@dataclass_transform(frozen_default=True)
class Value:
    """The base of values. A subclass's annotations are its fields, in order, and what is assigned to them defaults.

    Defaults are shared by all instances, so a field whose default is a container is annotated as one that cannot be
    changed (`Mapping`, `Sequence`).
    """

    _shape: ClassVar[Any] = _Shape()
    """The fields in order and as a set; those without a default; those that hold several things, and take no text."""
    _by_name: ClassVar[bool] = False

    __signature__ = _Signature()

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        cls._by_name = kw_only
        cls._shape = Value.__dict__["_shape"]

    def __init__(self, *values: Any, **named: Any) -> None:
        fields, known, required, several = self._shape
        given = {**dict(zip(fields, values, strict=False)), **named} if values else named
        if len(given) != len(values) + len(named) or not required <= given.keys() <= known:
            raise TypeError(self._misfit(given))
        for name in several:
            if isinstance(given.get(name), (str, bytes)):
                raise TypeError(f"{type(self).__name__}: {name} takes several values, ({given[name]!r},), not a text")
        self.__dict__.update(given)

    def _misfit(self, given: dict[str, Any]) -> str:
        fields, known, required, _ = self._shape
        wrong = [f"no {name!r}" for name in given.keys() - known] or [
            f"needs {name!r}" for name in sorted(required - given.keys())
        ]
        return f"{type(self).__name__} takes {', '.join(fields)}; {', '.join(wrong) or 'each once'}"

    @classmethod
    def made_of(cls, fields: dict[str, Any]) -> Self:
        """Make a value of fields that are known to be right, whose dictionary it keeps: for thousands at a time."""
        value = object.__new__(cls)
        object.__setattr__(value, "__dict__", fields)
        return value

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Name the fields, in order."""
        fields: tuple[str, ...] = cls._shape[0]
        return fields

    def with_(self, **changes: Any) -> Self:
        """Return a copy with other values for some fields.

        Raises:
            TypeError: the field does not exist.
        """
        return type(self)(**{**self.__dict__, **changes})

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, in order."""
        return {name: getattr(self, name) for name in self.field_names()}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; with_() makes a changed copy")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; with_() makes a changed copy")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.field_names())

    def __hash__(self) -> int:
        fields = tuple(getattr(self, name) for name in self.field_names())
        try:
            return hash(fields)
        except TypeError:  # a mapping or a list, of which equal ones have as many entries
            return hash(tuple(len(field) if isinstance(field, (dict, list)) else field for field in fields))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"
