"""Values: objects that are what their fields say, and never change.

    class Place(Value):
        path: str
        mode: int = 0o755

    Place("/a") == Place("/a", 0o755)
    Place("/a").with_(mode=0o700)

This is as much of `dataclasses` as cstore needs, and `Choice`, `IntChoice`, `Generic`, `NamedTuple` and `cast` of
what `enum` and `typing` have. Those modules take longer to import than a short command takes to run. Imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from enum import Enum as Choice
    from enum import IntEnum as IntChoice
    from inspect import Signature
    from typing import Any, ClassVar, Generic, NamedTuple, Self, cast, dataclass_transform
else:

    class _Choices(type):
        """What a class of choices can do: find the choice that has a value, and name all of them in their order."""

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

    class _Named(type):
        """Makes what `collections.namedtuple` makes, out of a class that names its fields."""

        def __new__(cls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, members)
            from collections import namedtuple

            fields = members["__annotations__"]
            defaults = [members[field] for field in fields if field in members]
            made = namedtuple(name, fields, defaults=defaults, module=members["__module__"])  # noqa: PYI024  - as above
            for member, value in members.items():
                if member not in fields and member not in {"__annotations__", "__module__", "__qualname__"}:
                    setattr(made, member, value)
            made.__annotations__ = fields
            return made

    class NamedTuple(metaclass=_Named):
        """A tuple whose items have names, written as those of `typing.NamedTuple` are."""

    class Generic:
        """The base of what works with things of one type. What is between brackets is for type checkers only."""

        def __class_getitem__(cls, kind: object) -> type:
            """Return the class itself."""
            return cls

    def cast(_: object, value: object) -> object:
        """Do what `typing.cast` does at run time."""
        return value

    def dataclass_transform(**_: object) -> Callable[[type], type]:
        """Tell type checkers, who know the real one, that what follows makes classes like data classes."""
        return lambda kind: kind


__all__ = ["Choice", "Generic", "IntChoice", "NamedTuple", "Value", "cast"]


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


@dataclass_transform(frozen_default=True)
class Value:
    """The base of values. A subclass's annotations are its fields, in order, and what is assigned to them defaults.

    Defaults are shared by all instances, so a field whose default is a container is annotated as one that cannot be
    changed (`Mapping`, `Sequence`).
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _known: ClassVar[frozenset[str]] = frozenset()
    _required: ClassVar[frozenset[str]] = frozenset()
    _several: ClassVar[frozenset[str]] = frozenset()
    """The fields that hold several things, for which a text would be taken to be its characters."""
    _by_name: ClassVar[bool] = False

    __signature__ = _Signature()

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        cls._by_name = kw_only
        own = [name for name, kind in cls.__annotations__.items() if not kind.startswith("ClassVar")]
        several = {name for name in own if cls.__annotations__[name].startswith(_SEVERAL)}
        cls._several = (cls._several - set(own)) | several
        cls._fields = tuple(dict.fromkeys((*cls._fields, *own)))
        cls._known = frozenset(cls._fields)
        cls._required = frozenset(name for name in cls._fields if not hasattr(cls, name))

    def __init__(self, *values: Any, **named: Any) -> None:
        given = {**dict(zip(self._fields, values, strict=False)), **named} if values else named
        if len(given) != len(values) + len(named) or not self._required <= given.keys() <= self._known:
            raise TypeError(self._misfit(given))
        for name in self._several:
            if isinstance(given.get(name), (str, bytes)):
                raise TypeError(f"{type(self).__name__}: {name} takes several values, ({given[name]!r},), and no text")
        self.__dict__.update(given)

    def _misfit(self, given: dict[str, Any]) -> str:
        wrong = [f"no {name!r}" for name in given.keys() - self._known] or [
            f"needs {name!r}" for name in sorted(self._required - given.keys())
        ]
        return f"{type(self).__name__} takes {', '.join(self._fields)}; {', '.join(wrong) or 'each once'}"

    @classmethod
    def made_of(cls, fields: dict[str, Any]) -> Self:
        """Make a value of fields that are known to be right: for thousands at a time."""
        value = object.__new__(cls)
        value.__dict__.update(fields)
        return value

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Name the fields, in order."""
        return cls._fields

    def with_(self, **changes: Any) -> Self:
        """Return a copy with other values for some fields.

        Raises:
            TypeError: there is no such field.
        """
        return type(self)(**{**self.__dict__, **changes})

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, in order."""
        return {name: getattr(self, name) for name in self._fields}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} does not change; with_() makes another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} does not change; with_() makes another one")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._fields)

    def __hash__(self) -> int:
        fields = tuple(getattr(self, name) for name in self._fields)
        try:
            return hash(fields)
        except TypeError:  # a mapping or a list, of which equal ones have as many entries
            return hash(tuple(len(field) if isinstance(field, (dict, list)) else field for field in fields))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"
