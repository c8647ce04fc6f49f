"""Text for people: sizes, ages, and names without their control characters."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_SHORT_ID = 12


def visible(text: str) -> str:
    """Spell out control characters: a name from a store or an archive must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or "\udc80" <= char <= "\udcff" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def short_id(item: str) -> str:
    """The first digits of a generated ID, enough to type; any other ID in full."""
    if len(item) == 64 and not set(item) - set("0123456789abcdef"):
        return item[:_SHORT_ID]
    return item


def human_size(size: int) -> str:
    """Write bytes as people read them, in powers of a thousand: `999 B`, `1.5 kB`, `2.1 GB`."""
    amount = float(size)
    for unit in _UNITS:
        if abs(amount) < 999.95 or unit == _UNITS[-1]:
            return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("the last unit ends the loop")


def human_age(seconds: float) -> str:
    """Write a span of time by its largest unit: `3 minutes ago`."""
    if seconds < 1:
        return "now"
    for unit, length in (("year", 31_536_000), ("month", 2_592_000), ("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return _ago(int(seconds // length), unit)
    return _ago(int(seconds), "second")


def _ago(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'} ago"
