"""Text for people: sizes, ages, and names without their control characters."""

from __future__ import annotations

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_SPANS = (
    ("year", 31_536_000),
    ("month", 2_592_000),
    ("week", 604_800),
    ("day", 86_400),
    ("hour", 3600),
    ("minute", 60),
)
_SHORT_ID = 12
_HEX = frozenset("0123456789abcdef")


def visible(text: str) -> str:
    """Spell out control characters: a name from a store or an archive must not steer the terminal.

    A byte that is no UTF-8 goes through, unless a terminal of eight bits would take it for a control character.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or "\udca0" <= char <= "\udcff" else _spelled(char) for char in text)


def _spelled(char: str) -> str:
    if "\udc80" <= char <= "\udc9f":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def visible_lines(text: str) -> str:
    """Spell out control characters but tab and newline, which only lay a text out."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))


def visible_json(text: str) -> str:
    """Spell out control characters of a JSON document, which stays one."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _spelled_in_json(char) for char in text)


def _spelled_in_json(char: str) -> str:
    units = char.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def short_id(item: str) -> str:
    """The first digits of a generated ID, which are enough to type; any other ID in full."""
    generated = len(item) == 64 and not set(item) - _HEX
    return item[:_SHORT_ID] if generated else item


def human_size(size: int) -> str:
    """Write bytes as people read them, in powers of a thousand: `999 B`, `1.5 kB`, `2.1 GB`."""
    amount, units = float(size), list(_UNITS)
    while amount >= 999.95 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{size} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def human_age(seconds: float) -> str:
    """Write a span of time by its largest unit: `3 minutes ago`."""
    if seconds < 1:
        return "now"
    unit, length = next((span for span in _SPANS if seconds >= span[1]), ("second", 1))
    count = int(seconds // length)
    return f"{count} {unit}{'' if count == 1 else 's'} ago"


_GO_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


def go_quoted(name: bytes) -> str:
    r"""Quote a name as Go's %q does: printable characters as they are, bytes that are no UTF-8 as `\xff`."""
    return '"' + "".join(map(_go_escaped, name.decode(errors="surrogateescape"))) + '"'


def _go_escaped(char: str) -> str:
    code = ord(char)
    if code in _GO_ESCAPES:
        return _GO_ESCAPES[code]
    if char.isprintable():
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
