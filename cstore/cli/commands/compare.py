"""The command that compares the files of two items."""

from __future__ import annotations

import stat

from cstore.cli.command import command, json_option, switch, word
from cstore.cli.commands.contents import conclude, opened_place
from cstore.cli.options import kind_option
from cstore.cli.session import Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.cli.output.structured import Streamed
    from cstore.contents import Comparison, Contents, Difference, File

_LETTERS = {"added": "A", "removed": "D", "changed": "C"}
_STYLES = {"A": "green", "D": "red", "C": "yellow"}


@command("compare", example="cstore compare debian alpine\ncstore compare --content base:/etc web:/etc")
@word("old", "ITEM[:PATH]")
@word("new", "ITEM[:PATH]")
@switch("--content", help="Show the differences of text files, line by line.")
@switch("--times", help="Report changes of the modification time too.")
@switch("-0", "--null", help="End each line with NUL instead of newline, and print no totals.")
@kind_option
@json_option
def compare(session: Session, /, old: str, new: str, content: bool, times: bool, null: bool, kind: str) -> None:
    """Compare the files of two images, containers or layers.

    Each line begins with A (only the second item has the file), D (only the first has it) or C (it changed), and names
    the change: type, mode, owner, size, link, device, xattrs, content. The last line gives totals. Layers that both
    items share are not read, and nothing is mounted.

    Exit status: 0, whether there are differences or not; 1 if something could not be read.
    """
    from cstore.contents import Comparison

    (one, old_path), (other, new_path) = opened_place(session, old, kind), opened_place(session, new, kind)
    with one, other:
        found = Comparison(one, other, one.resolve(old_path), other.resolve(new_path), times=times)
        totals = _Totals()
        differences = totals.counted(found.run())
        session.show(
            View(
                lambda: _document(found, (one, other), differences, totals, content=content),
                lambda: _lines(found, differences, content=content),
                lambda: _show(found, differences, content=content),
                foot=lambda: [totals.line],
                paths=True,
                null=null,
            )
        )
        conclude(session, found.problems)


class _Totals:
    """The number and the bytes of changed files, by kind of change."""

    def __init__(self) -> None:
        self.counts = {change: [0, 0] for change in _LETTERS}

    def counted(self, differences: Iterator[Difference]) -> Iterator[Difference]:
        """Yield the differences and count them."""
        for one in differences:
            self.counts[one.change][0] += 1
            self.counts[one.change][1] += _size(one.new) - _size(one.old)
            yield one

    @property
    def line(self) -> str:
        """The totals as text."""
        parts = (f"{count} {change} ({size:+} bytes)" for change, (count, size) in self.counts.items())
        return f"total: {', '.join(parts)}"

    def document(self) -> dict[str, Any]:
        """Return the totals for JSON."""
        return {change: {"files": count, "bytes": size} for change, (count, size) in self.counts.items()}


def _size(file: File | None) -> int:
    return file.size if file is not None and file.format == stat.S_IFREG else 0


def _line(one: Difference) -> str:
    from cstore.cli.output.contents import shown_path

    told = f": {', '.join(_told(one))}" if one.what else ""
    return f"{_LETTERS[one.change]} {shown_path(one.path)}{told}"


def _told(one: Difference) -> Iterator[str]:
    """Yield the changed attributes, with both values if they are short."""
    from cstore.cli.output.contents import TYPES, time_of

    old, new = one.old, one.new
    for what in one.what if old is not None and new is not None else ():
        pairs = {
            "type": lambda file: TYPES.get(file.format, "unknown"),
            "mode": lambda file: f"{file.mode:04o}",
            "owner": lambda file: f"{file.uid}:{file.gid}",
            "size": lambda file: str(file.size),
            "time": lambda file: time_of(file.mtime),
            "device": lambda file: f"{file.device[0]},{file.device[1]}",
        }
        value = pairs.get(what)
        yield f"{what} {value(old)} -> {value(new)}" if value is not None else what


def _text_lines(found: Comparison, one: Difference) -> Iterator[str]:
    """Yield the differences between two texts in the format of diff(1)."""
    from difflib import unified_diff

    from cstore.cli.output.contents import shown_path
    from cstore.errors import CstoreError

    files = [file for file in (one.old, one.new) if file is not None and file.format == stat.S_IFREG]
    if not files or (one.what and "content" not in one.what):
        return
    try:
        texts = found.texts(one)
    except CstoreError as error:
        found.problems.append(error.message)
        return
    if texts is None:
        yield "  (not a text, or too large to compare by line)"
        return
    path = shown_path(one.path)
    for line in unified_diff(*texts, fromfile=f"old{path}", tofile=f"new{path}", n=3):
        yield line.rstrip("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _lines(found: Comparison, differences: Iterator[Difference], *, content: bool) -> Iterator[str]:
    for one in differences:
        yield _line(one)
        if content:
            yield from _text_lines(found, one)


def _show(found: Comparison, differences: Iterator[Difference], *, content: bool) -> None:
    from rich.text import Text

    from cstore.cli.output.terminal import console
    from cstore.cli.output.text import visible

    out = console()
    for one in differences:
        line = visible(_line(one))
        out.print(Text(line, style=_STYLES[line[0]]), soft_wrap=True)
        for text in _text_lines(found, one) if content else ():
            style = {"+": "green", "-": "red"}.get(text[:1], "dim")
            out.print(Text(text, style=style), soft_wrap=True)


def _document(
    found: Comparison,
    sides: tuple[Contents, Contents],
    differences: Iterator[Difference],
    totals: _Totals,
    *,
    content: bool,
) -> Streamed:
    from cstore.cli.output import contents as output
    from cstore.cli.output.structured import Streamed

    def documents() -> Iterator[dict[str, Any]]:
        for one in differences:
            document: dict[str, Any] = {"path": output.shown_path(one.path), "change": one.change}
            document |= {"what": list(one.what)} if one.what else {}
            for name, contents, file in (("old", sides[0], one.old), ("new", sides[1], one.new)):
                document |= {name: output.file_document(contents, file)} if file is not None else {}
            yield document | ({"text": list(_text_lines(found, one))} if content else {})

    items = [output.item_document(contents.item) for contents in sides if contents.item is not None]
    tail = output.tail_of(found.problems)
    return Streamed(
        {"old": items[0], "new": items[1]},
        "differences",
        documents(),
        lambda: {"totals": totals.document(), **tail()},
    )
