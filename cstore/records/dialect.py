"""What strict and lenient reading share: which keys are known, and how a flaw is told."""

from __future__ import annotations

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Flaw(Value):
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


def lower(text: str) -> str:
    """Make the first letter of a sentence small, to go on with it after a colon."""
    return text[:1].lower() + text[1:]
