"""Text for a page: escapes everything that comes from a store."""

from __future__ import annotations

from html import escape

from cstore.cli.output.text import human_size, short_id, visible

UNKNOWN = "not recorded"
_LONGEST = 200


def safe(text: str) -> str:
    """Text for an element or a quoted attribute: control and bidirectional characters are spelled out.

    Bytes that are no UTF-8 are spelled out, too, as a page is UTF-8 throughout.
    """
    plain = visible(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return escape(plain, quote=True)


def name_of(names: tuple[str, ...], identifier: str) -> str:
    """Return an item's first name, or its ID; not escaped yet. Cuts overlong names."""
    return cut(names[0], _LONGEST) if names else short_id(identifier)


def shortened(text: str, most: int) -> str:
    """Text with single blanks only, no longer than `most` characters."""
    return cut(" ".join(text.split()), most)


def cut(text: str, most: int) -> str:
    """Text no longer than `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def size_text(size: int) -> str:
    """A size, or that it is not known."""
    return human_size(size) if size >= 0 else UNKNOWN


def counted(number: int, noun: str) -> str:
    """A number and its noun: `1 image`, `2 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(part: float, whole: float) -> str:
    """A coordinate or a length as CSS and SVG take it."""
    return f"{100 * part / whole:.2f}".rstrip("0").rstrip(".") + "%" if whole else "0%"


def section(anchor: str, title: str, *body: str) -> str:
    """A section of the page; its title is one of ours."""
    head = f'<section id="{anchor}" aria-labelledby="{anchor}-h"><h2 id="{anchor}-h">{title}</h2>'
    return f"{head}\n{''.join(body)}</section>\n"


def table(kind: str, titles: tuple[str, ...], rows: list[str], *, right: frozenset[str] = frozenset()) -> str:
    """A table that the script makes sortable; `right` are the titles of columns of numbers."""
    head = "".join(f'<th scope="col"{" class=r" if title in right else ""}>{title}</th>' for title in titles)
    body = "\n".join(rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table of {kind}"><table class="sortable">'
        f"<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>\n"
    )


def cell(text: str, value: float | str | None = None, *, right: bool = False) -> str:
    """A cell: text that is safe already, and what it is sorted by."""
    sort = "" if value is None else f' data-v="{value}"'
    return f"<td{' class=r' if right else ''}{sort}>{text}</td>"
