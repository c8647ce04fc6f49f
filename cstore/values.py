"""Values: immutable objects that are equal if their fields are.

    class Place(Value):
        path: str
        mode: int = 0o755

    Place("/a") == Place("/a", 0o755)
    Place("/a").with_(mode=0o700)

This replaces the part of `dataclasses` that cstore needs; `Choice`, `IntChoice`, `Generic` and `cast` for those of
`enum` and `typing`; and `cached_property` of `functools`. Importing those modules takes longer than a short command.
This module imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from enum import Enum as Choice
    from enum import IntEnum as IntChoice
    from functools import cached_property
    from inspect import Signature
    from typing import Any, ClassVar, Generic, Self, cast, dataclass_transform

    _Parts = tuple[tuple[str, ...], frozenset[str], frozenset[str], frozenset[str]]
else:

    class _Choices(type):
        """The metaclass of choices: it finds a choice by its value, and iterates over all choices in order."""

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
        """A fixed set of values, defined like an `enum.Enum`, which it is for type checkers."""

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

    class Generic:
        """The base of generic classes. The type in brackets is for type checkers only."""

        def __class_getitem__(cls, kind: object) -> type:
            """Return the class itself."""
            return cls

    class cached_property:  # noqa: N801  - named like the original
        """A property that is computed once for each object, on first access."""

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
        """Return the value, as `typing.cast` does at run time."""
        return value

    def dataclass_transform(**_: object) -> Callable[[type], type]:
        """Return a decorator without effect; type checkers see the original, which marks data classes."""
        return lambda kind: kind


__all__ = ["Choice", "Generic", "IntChoice", "Value", "cached_property", "cast"]


class _Signature:
    """The signature of a class of values, for `inspect.signature` and `help`, computed on access from its fields."""

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
    """The fields of a class of values, computed when the first value is created; many commands create none."""

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
        owner._shape = shape  # noqa: SLF001  - the cache
        return shape


@dataclass_transform(frozen_default=True)
class Value:
    """The base of values. A subclass's annotations are its fields, in order; assigned values are the defaults.

    All instances share the defaults, so a field whose default is a container is annotated with an immutable type
    (`Mapping`, `Sequence`).
    """

    _shape: ClassVar[Any] = _Shape()
    """The fields in order and as a set; those without a default; and those with several items, which refuse a text."""
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
                raise TypeError(f"{type(self).__name__}: {name} takes several values, ({given[name]!r},), not a string")
        self.__dict__.update(given)

    def _misfit(self, given: dict[str, Any]) -> str:
        fields, known, required, _ = self._shape
        wrong = [f"no {name!r}" for name in given.keys() - known] or [
            f"needs {name!r}" for name in sorted(required - given.keys())
        ]
        return f"{type(self).__name__} takes {', '.join(fields)}; {', '.join(wrong) or 'each once'}"

    @classmethod
    def made_of(cls, fields: dict[str, Any]) -> Self:
        """Create a value from a dictionary of valid fields, which it keeps; this is fast for thousands of values."""
        value = object.__new__(cls)
        object.__setattr__(value, "__dict__", fields)
        return value

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Return the names of the fields, in order."""
        fields: tuple[str, ...] = cls._shape[0]
        return fields

    def with_(self, **changes: Any) -> Self:
        """Return a copy with some fields changed.

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
        except TypeError:  # a mapping or list is hashed by its length, which equal ones share
            return hash(tuple(len(field) if isinstance(field, (dict, list)) else field for field in fields))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.as_dict().items())})"
