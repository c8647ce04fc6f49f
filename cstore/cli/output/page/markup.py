"""HTML for a page, with all text from a store escaped."""

from __future__ import annotations

from html import escape

from cstore.cli.output.text import human_size, short_id, visible

UNKNOWN = "not recorded"
_LONGEST = 200


def safe(text: str) -> str:
    """Return text for an element or a quoted attribute, with control and bidirectional characters escaped.

    Bytes that are not UTF-8 are escaped too, because a page is UTF-8 throughout.
    """
    plain = visible(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return escape(plain, quote=True)


def name_of(names: tuple[str, ...], identifier: str) -> str:
    """Return the first name of an item, cut if it is too long, or its short ID if it has no name; not escaped yet."""
    return cut(names[0], _LONGEST) if names else short_id(identifier)


def shortened(text: str, most: int) -> str:
    """Return a text with runs of whitespace replaced by single spaces, cut to `most` characters."""
    return cut(" ".join(text.split()), most)


def cut(text: str, most: int) -> str:
    """Return a text cut to `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def size_text(size: int) -> str:
    """Return a human-readable size, or `UNKNOWN` for a negative one."""
    return human_size(size) if size >= 0 else UNKNOWN


def counted(number: int, noun: str) -> str:
    """Return a number and its noun: `1 image`, `2 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(part: float, whole: float) -> str:
    """Return a part of a whole as a percentage in the syntax of CSS and SVG."""
    return f"{100 * part / whole:.2f}".rstrip("0").rstrip(".") + "%" if whole else "0%"


def section(anchor: str, title: str, *body: str) -> str:
    """Return a section of the page. The title is not escaped, because it never comes from a store."""
    head = f'<section id="{anchor}" aria-labelledby="{anchor}-h"><h2 id="{anchor}-h">{title}</h2>'
    return f"{head}\n{''.join(body)}</section>\n"


def table(kind: str, titles: tuple[str, ...], rows: list[str], *, right: frozenset[str] = frozenset()) -> str:
    """Return a table, which the script makes sortable; `right` has the titles of the columns of numbers."""
    head = "".join(f'<th scope="col"{" class=r" if title in right else ""}>{title}</th>' for title in titles)
    body = "\n".join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table of {kind}"><table class="sortable">'
        f"<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>\n"
    )


def cell(text: str, value: float | str | None = None, *, right: bool = False) -> str:
    """Return a table cell: `text` must be escaped already, and `value` is the sort key."""
    sort = "" if value is None else f' data-v="{value}"'
    return f"<td{' class=r' if right else ''}{sort}>{text}</td>"
