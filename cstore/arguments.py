"""Checks the arguments of public functions against their annotations.

A wrong type would otherwise be found half way, or end in a record that no other program can read. Only what a caller
could get wrong is looked at: texts, numbers, several of them, requests and what stands in them, sources and targets.
Imports nothing but the standard library, and is itself imported when there is something to look at.
"""

from __future__ import annotations

import os
from functools import cache, wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])
    K = TypeVar("K", bound=type)

_NOT_LOOKED_AT = frozenset({"Any", "object", "R", "Found", "Intent", "Process", "Environment", "Places"})
"""Annotations that say nothing, or that only rooms use among themselves."""

_CHECKED = "_arguments_are_checked"
"""The mark of a class whose methods are checked already."""
_SEVERAL = ("tuple", "Sequence", "Iterable", "list", "frozenset")
_REQUESTS = frozenset(
    {
        "AutoMap", "CheckOptions", "Child", "Criteria", "IDMap", "IDRange", "ImportRequest", "LoadRequest",
        "NewContainer", "NewImage", "NewLayer", "Overrides", "LockPolicy", "RepairOptions", "Rules", "SaveRequest",
        "LayerPath", "StoreConfig", "CopyRequest", "SyncRequest", "RegistryAccess", "Access", "Retrying", "Place",
    }
)  # fmt: skip
"""Values that a caller makes, so that their fields are looked at, too."""


def checked(function: F) -> F:
    """Hold the arguments of every call against the annotations; the function raises TypeError, which names one."""

    @wraps(function)
    def call(*values: Any, **named: Any) -> Any:
        values, named = check_call(function, values, named)
        return function(*values, **named)

    return call  # type: ignore[return-value]  # the same to whoever calls it


def checked_methods(kind: K) -> K:
    """Do that for the public methods of a class, once."""
    if _CHECKED in vars(kind):
        return kind
    setattr(kind, _CHECKED, True)
    for name, member in list(vars(kind).items()):
        if name.startswith("_"):
            continue
        if isinstance(member, staticmethod):
            setattr(kind, name, staticmethod(checked(member.__func__)))
        elif hasattr(member, "__code__"):
            setattr(kind, name, checked(member))
    return kind


def check_classes(*kinds: type) -> None:
    """Do that for several classes."""
    for kind in kinds:
        checked_methods(kind)


def check_call(
    function: Callable[..., Any], values: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Look at the arguments of a call; return them, iterators read to their end.

    Raises:
        TypeError: one is not of its type; the message names it. A wrong number of them is for the function to tell.
    """
    code, annotations = function.__code__, function.__annotations__
    names = code.co_varnames[: code.co_argcount]
    for name, value in (*zip(names, values, strict=False), *named.items()):
        if name in annotations:
            _check(f"{function.__qualname__}: {name}", annotations[name], value)
    return (
        tuple(_read(annotations.get(name, ""), value) for name, value in zip(names, values, strict=False))
        + values[len(names) :],
        {name: _read(annotations.get(name, ""), value) for name, value in named.items()},
    )


def _check(where: str, annotation: str, value: Any) -> None:
    kinds = _alternatives(annotation)
    if any(_fits(kind, value) for kind in kinds):
        if type(value).__name__ in _REQUESTS:
            kind: Any = type(value)
            for name, annotated in _fields(kind).items():
                _check(f"{where}.{name}", annotated, getattr(value, name))
        return
    wanted = " or ".join(_SPOKEN.get(kind, kind) for kind in kinds)
    raise TypeError(f"{where} must be {wanted}, not {_spoken(kinds, value)}")


def _spoken(kinds: tuple[str, ...], value: Any) -> str:
    """Return a value's type, or the type of its first wrong element."""
    if isinstance(value, (tuple, list, set, frozenset)) and any(_head(kind) in _SEVERAL for kind in kinds):
        inner = [_inner(kind)[0] for kind in kinds if _head(kind) in _SEVERAL]
        wrong = next((each for each in value if not any(_fits(kind, each) for kind in inner)), value)
        return f"one with {type(wrong).__name__}" if wrong is not value else f"{value!r}"
    return type(value).__name__


def _read(annotation: str, value: Any) -> Any:
    """Materialize an iterator, so that its elements can be checked."""
    once = annotation.startswith("Iterable[") and not isinstance(value, (tuple, list, set, frozenset, dict))
    if not once:
        return value
    every = tuple(value)
    _check("names" if annotation == "Iterable[str]" else "items", annotation, every)
    return every


@cache
def _fields(kind: type) -> dict[str, str]:
    """The annotations of a value's fields."""
    every: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        every |= vars(each).get("__annotations__", {})
    return {name: text for name, text in every.items() if not (name.startswith("_") or "ClassVar" in text)}


@cache
def _alternatives(annotation: str) -> tuple[str, ...]:
    """`A[X | Y] | B` has two: `A[X | Y]` and `B`."""
    return _cut(annotation, "|")


def _head(kind: str) -> str:
    return kind.partition("[")[0]


@cache
def _inner(kind: str) -> tuple[str, ...]:
    """Return the arguments in brackets: `str` and `...` in `tuple[str, ...]`."""
    return _cut(kind.partition("[")[2][:-1], ",")


def _cut(text: str, separator: str) -> tuple[str, ...]:
    """Split at the separators outside of brackets."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == separator and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    return (*parts, text[start:].strip())


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_path(value: Any) -> bool:
    return _is_number(value) or isinstance(value, (str, os.PathLike))


_SIMPLE: dict[str, Callable[[Any], bool]] = {
    "None": lambda value: value is None,
    "str": lambda value: isinstance(value, str),
    "bytes": lambda value: isinstance(value, bytes),
    "bool": lambda value: isinstance(value, bool),
    "int": _is_number,
    "float": lambda value: isinstance(value, float) or _is_number(value),
    "Accept": callable,
    "Tell": callable,
    "ImageSource": lambda value: hasattr(value, "manifest") and hasattr(value, "open"),
    "ImageSink": lambda value: hasattr(value, "take"),
    "Source": lambda value: (
        _is_path(value)
        or isinstance(value, (bytes, bytearray, memoryview))
        or hasattr(value, "readinto")
        or hasattr(value, "read")
    ),
    "Target": lambda value: _is_path(value) or isinstance(value, bytearray) or hasattr(value, "write"),
}
_SPOKEN = {
    "str": "a text", "bytes": "bytes", "bool": "True or False", "int": "an integer", "float": "a number",
    "Source": "a path, bytes, a descriptor or something to read from",
    "Target": "a path, a descriptor or something to write to",
    "Tell": "something to call", "ImageSource": "a source of images", "ImageSink": "a sink of images",
    "Iterable[str]": "several texts", "Sequence[str]": "several texts", "tuple[str, ...]": "a tuple of texts",
}  # fmt: skip


def _fits(kind: str, value: Any) -> bool:
    """Whether a value is what one annotation says, without alternatives."""
    if "|" in kind and "[" not in kind:
        return any(_fits(each, value) for each in _alternatives(kind))
    if (simple := _SIMPLE.get(kind)) is not None:
        return simple(value)
    head = _head(kind)
    if head in _SEVERAL:
        return _are(head, _inner(kind), value)
    if head in {"Mapping", "dict"}:
        return hasattr(value, "keys") and all(
            _fits_any(inner, each) for pair in value.items() for inner, each in zip(_inner(kind), pair, strict=True)
        )
    if head == "Callable":
        return callable(value)
    return kind in _NOT_LOOKED_AT or any(each.__name__ == kind for each in type(value).__mro__)


def _fits_any(kind: str, value: Any) -> bool:
    return any(_fits(each, value) for each in _alternatives(kind))


def _are(head: str, inner: tuple[str, ...], value: Any) -> bool:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return False
    if not isinstance(value, (tuple, list, set, frozenset)):
        return head in {"Iterable", "Sequence"}  # a sequence of its own kind, or what is read first
    if head == "tuple" and inner[-1] != "...":
        return len(value) == len(inner) and all(map(_fits_any, inner, value))
    return all(_fits_any(inner[0], each) for each in value)
