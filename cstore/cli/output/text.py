"""Human-readable text: sizes, ages, and names with their control characters escaped."""

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
    """Escape control characters, so that a name from a store or an archive cannot control the terminal.

    A byte that is not UTF-8 is kept, unless an 8-bit terminal would interpret it as a control character.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or "\udca0" <= char <= "\udcff" else _spelled(char) for char in text)


def _spelled(char: str) -> str:
    if "\udc80" <= char <= "\udc9f":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def visible_lines(text: str) -> str:
    """Escape control characters except tab and newline, which only affect the layout."""
    return "\n".join("\t".join(map(visible, line.split("\t"))) for line in text.split("\n"))


def visible_json(text: str) -> str:
    """Escape control characters in a JSON document, which remains valid JSON."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _spelled_in_json(char) for char in text)


def _spelled_in_json(char: str) -> str:
    units = char.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))


def short_id(item: str) -> str:
    """Return the first digits of a generated ID, which are enough as an argument; any other ID in full."""
    generated = len(item) == 64 and not set(item) - _HEX
    return item[:_SHORT_ID] if generated else item


def human_size(size: int) -> str:
    """Return a size in bytes in units of powers of 1000: `999 B`, `1.5 kB`, `2.1 GB`."""
    amount, units = float(size), list(_UNITS)
    while amount >= 999.95 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{size} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def human_age(seconds: float) -> str:
    """Return an age in its largest unit: `3 minutes ago`."""
    if seconds < 1:
        return "now"
    unit, length = next((span for span in _SPANS if seconds >= span[1]), ("second", 1))
    count = int(seconds // length)
    return f"{count} {unit}{'' if count == 1 else 's'} ago"


_GO_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


def go_quoted(name: bytes) -> str:
    r"""Quote a name like Go's %q: printable characters are kept, bytes that are not UTF-8 become `\xff`."""
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
