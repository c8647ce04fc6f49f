"""What strict and lenient reading share: the keys there are, and how a flaw is told."""

from __future__ import annotations

from typing import Any

import msgspec

from cstore.records.model import Container, Image, Layer

KNOWN_KEYS: dict[type, dict[str, str]] = {
    kind: {key: key for key in kind.__struct_encode_fields__} for kind in (Layer, Image, Container)
}
"""Of each kind: its keys on disk, all of them lowercase."""


class Flaw(msgspec.Struct, frozen=True):
    """What is wrong in a file, and at which byte, if known."""

    reason: str
    offset: int | None = None


def divide(value: dict[str, Any], keys: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate an object's known keys, in any case, from the others. Of a repeated key the last counts."""
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for key, item in value.items():
        canonical = keys.get(key) or keys.get(key.lower())
        if canonical is None:
            unknown[key] = item
        else:
            known[canonical] = item
    return known, unknown


def explain(error: msgspec.ValidationError) -> str:
    """Reword a complaint of the parser: the field first."""
    text, _, path = str(error).replace("`", "").partition(" - at ")
    where = path.removeprefix("$").lstrip(".")
    return f"{where}: {lower(text)}" if where else lower(text)


def lower(text: str) -> str:
    """Make the first letter of a sentence small, to go on with it after a colon."""
    return text[:1].lower() + text[1:]
