"""Durations in Go's syntax: `1h30m`, `1.5h`, `300ms`, `0`, with a sign (cli 10.1)."""

from __future__ import annotations

from cstore.errors import InvalidDuration

_UNITS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0,
}  # fmt: skip


def parse_duration(text: str) -> float:
    """Parse a Go duration such as `1h30m` and return seconds.

    Raises:
        InvalidDuration: the text is not a duration; `go_text` has Go's own message.
    """
    import re

    quoted = f'"{text}"'
    body = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if body == "0":
        return 0.0
    seconds, place = 0.0, 0
    while place < len(body) or not body:
        match = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)").match(body, place)
        if match is None:
            raise InvalidDuration(text, go_text=f"time: invalid duration {quoted}")
        number, unit = match.groups()
        if not unit:
            raise InvalidDuration(text, "it has no unit", go_text=f"time: missing unit in duration {quoted}")
        if unit not in _UNITS:
            go_text = f'time: unknown unit "{unit}" in duration {quoted}'
            raise InvalidDuration(text, f"there is no unit {unit!r}", go_text=go_text)
        seconds += float(number) * _UNITS[unit]
        place = match.end()
    return -seconds if text.startswith("-") else seconds
