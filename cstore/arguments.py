"""Check the arguments of public functions against their annotations, before anything is done.

A wrong type would otherwise be found halfway through, or end in a record that no other program can read. Only arguments
that a caller may get wrong are checked: texts, numbers, collections of them, requests and their fields, sources and
targets. This module imports only the standard library, and is itself imported only when it is needed.
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
"""Annotations that allow anything, or are used only between internal packages."""

_CHECKED = "_arguments_are_checked"
"""The attribute that marks a class whose methods are checked."""
_SEVERAL = ("tuple", "Sequence", "Iterable", "list", "frozenset")
_REQUESTS = frozenset(
    {
        "AutoMap", "CheckOptions", "Child", "Criteria", "IDMap", "IDRange", "ImportRequest", "LoadRequest",
        "NewContainer", "NewImage", "NewLayer", "Overrides", "LockPolicy", "RepairOptions", "Rules", "SaveRequest",
        "LayerPath", "StoreConfig", "CopyRequest", "SyncRequest", "RegistryAccess", "Access", "Retrying", "Place",
    }
)  # fmt: skip
"""Values that a caller creates, so their fields are checked, too."""


def checked(function: F) -> F:
    """Check the arguments of every call against the annotations; a wrong one raises a TypeError that names it."""

    @wraps(function)
    def call(*values: Any, **named: Any) -> Any:
        values, named = check_call(function, values, named)
        return function(*values, **named)

    return call  # type: ignore[return-value]  # it has the same signature


def checked_methods(kind: K) -> K:
    """Check the arguments of a class's public methods in every call; decorate them only once."""
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
    """Apply `checked_methods` to several classes."""
    for kind in kinds:
        checked_methods(kind)


def check_call(
    function: Callable[..., Any], values: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Check the arguments of a call; return them, with iterators read to their end.

    Raises:
        TypeError: an argument has a wrong type; the message names it. The function itself reports a wrong number.
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
    kinds = _cut(annotation, "|")
    if any(_fits(kind, value) for kind in kinds):
        if type(value).__name__ in _REQUESTS:
            kind: Any = type(value)
            for name, annotated in _fields(kind).items():
                _check(f"{where}.{name}", annotated, getattr(value, name))
        return
    wanted, told = " or ".join(_SPOKEN.get(kind, kind) for kind in kinds), type(value).__name__
    if isinstance(value, (tuple, list, set, frozenset)) and any(_head(kind) in _SEVERAL for kind in kinds):
        inner = [_inner(kind)[0] for kind in kinds if _head(kind) in _SEVERAL]
        wrong = next((each for each in value if not any(_fits(kind, each) for kind in inner)), value)
        told = f"one with {type(wrong).__name__}" if wrong is not value else f"{value!r}"
    raise TypeError(f"{where} must be {wanted}, not {told}")


def _read(annotation: str, value: Any) -> Any:
    """Read an iterable that can be iterated only once into a tuple, and check it."""
    once = annotation.startswith("Iterable[") and not isinstance(value, (tuple, list, set, frozenset, dict))
    if not once:
        return value
    every = tuple(value)
    _check("names" if annotation == "Iterable[str]" else "items", annotation, every)
    return every


@cache
def _fields(kind: type) -> dict[str, str]:
    """Return the annotations of a value's fields."""
    every: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        every |= vars(each).get("__annotations__", {})
    return {name: text for name, text in every.items() if not (name.startswith("_") or "ClassVar" in text)}


def _head(kind: str) -> str:
    return kind.partition("[")[0]


@cache
def _inner(kind: str) -> tuple[str, ...]:
    """Return the parts in the brackets of an annotation: `str` and `...` for `tuple[str, ...]`."""
    return _cut(kind.partition("[")[2][:-1], ",")


@cache
def _cut(text: str, separator: str) -> tuple[str, ...]:
    """Split at the separators that are not in brackets: `A[X | Y] | B` at | is `A[X | Y]` and `B`."""
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
    "str": "a string", "bytes": "bytes", "bool": "True or False", "int": "an integer", "float": "a number",
    "Source": "a path, bytes, a descriptor or something to read from",
    "Target": "a path, a descriptor or something to write to",
    "Tell": "a callable", "ImageSource": "a source of images", "ImageSink": "a sink of images",
    "Iterable[str]": "several strings", "Sequence[str]": "several strings", "tuple[str, ...]": "a tuple of strings",
}  # fmt: skip


def _fits(kind: str, value: Any) -> bool:
    """Return whether a value matches one annotation without alternatives."""
    if "|" in kind and "[" not in kind:
        return any(_fits(each, value) for each in _cut(kind, "|"))
    if (simple := _SIMPLE.get(kind)) is not None:
        return simple(value)
    head = _head(kind)
    if head in _SEVERAL:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            return False
        if not isinstance(value, (tuple, list, set, frozenset)):
            return head in {"Iterable", "Sequence"}  # another class of sequence, or an iterable that is read first
        inner = _inner(kind)
        if head == "tuple" and inner[-1] != "...":
            return len(value) == len(inner) and all(map(_fits_any, inner, value))
        return all(_fits_any(inner[0], each) for each in value)
    if head in {"Mapping", "dict"}:
        return hasattr(value, "keys") and all(
            _fits_any(inner, each) for pair in value.items() for inner, each in zip(_inner(kind), pair, strict=True)
        )
    if head == "Callable":
        return callable(value)
    return kind in _NOT_LOOKED_AT or any(each.__name__ == kind for each in type(value).__mro__)


def _fits_any(kind: str, value: Any) -> bool:
    return any(_fits(each, value) for each in _cut(kind, "|"))
