"""Tables, trees and color for terminals. This module imports rich, so import it only where it is needed."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.cells import cell_len, set_cell_size
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cstore.cli.output import plain
from cstore.cli.output.terminal import console
from cstore.cli.output.text import human_age, human_size, short_id, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from rich.console import Console, ConsoleOptions, JustifyMethod

    from cstore import Change, IDMapEntry
    from cstore.cli.output.trees import Branch, LayerRow
    from cstore.cli.output.views import ContainerFacts, ImageFacts
    from cstore.insight import Inspection
    from cstore.store import Leftover

    Fact = tuple[str, str | tuple[str, ...]]

COMPRESSIONS = ("none", "bzip2", "gzip", "xz", "zstd")
CHANGE_STYLES = ("yellow", "green", "red")


def tree(branches: Iterable[Branch]) -> None:
    """Print layers as a tree."""
    way: list[Tree] = []
    roots: list[Tree] = []
    for branch in branches:
        del way[len(branch.columns) :]
        if way:
            way.append(way[-1].add(_leaf(branch.row)))
        else:
            way.append(Tree(Text(visible(short_id(branch.name)), style="dim"), guide_style="dim"))
            roots.append(way[0])
    for root in roots:
        console().print(root)


def _leaf(row: LayerRow | None) -> Text:
    if row is None:
        return Text("")
    leaf = Text.assemble((visible(short_id(row.layer.id)), "cyan"))
    if row.layer.names:
        leaf.append(f"  {visible(', '.join(row.layer.names))}", style="bold")
    if row.layer.diff_digest:
        leaf.append(f"  {human_size(row.layer.diff_size)}", style="dim")
    for holder in (*row.images, *row.containers):
        leaf.append(f"  ← {visible(holder.names[0] if holder.names else short_id(holder.id))}", style="green")
    if row.mount:
        leaf.append(f"  mounted at {visible(row.mount)}", style="yellow")
    return leaf


def layer_details(found: Iterable[Inspection]) -> None:
    """Print all details of layers."""
    for one in found:
        record: Any = one.record
        sizes = {each.name: each.size for each in one.data}
        items = tuple(name if size is None else f"{name} ({human_size(size)})" for name, size in sizes.items())
        kind, packed = record.compression, record.compressed_digest
        form = COMPRESSIONS[kind] if 0 <= kind < len(COMPRESSIONS) else str(kind)
        mounts = (path if count < 2 else f"{path} ({count} times)" for path, count in one.mounts.items())
        users = [f"{user.kind} {user.names[0] if user.names else short_id(user.id)}" for user in one.users]
        more = len(users) - _MOST
        if more > 0:
            users[_MOST:] = [f"and {more} more: cstore inspect {record.id}"]
        _print_facts(
            [
                ("ID", record.id),
                ("Names", ", ".join(record.names)),
                ("Parent", record.parent),
                ("Created", f"{record.created} ({age(record.created)})"),
                ("Size", f"{human_size(record.diff_size)} ({record.diff_size} bytes)" if record.diff_digest else ""),
                ("Compressed", f"{human_size(record.compressed_size)}, {form}" if record.compressed_size else ""),
                ("Digest", record.diff_digest),
                ("Compressed digest", packed if packed != record.diff_digest else ""),
                ("TOC digest", record.toc_digest),
                ("Data", items),
                ("Metadata", record.metadata),
                ("Mount label", record.mount_label),
                ("UID map", _ranges(record.uid_map)),
                ("GID map", _ranges(record.gid_map)),
                ("Directory", one.directories.get("tree", "")),
                ("Mounted at", tuple(mounts)),
                ("Read only", "yes" if one.read_only else ""),
                ("Used by", tuple(users)),
            ]
        )


_MOST = 20
"""The most users of a layer that are printed."""


def _print_facts(facts: Iterable[Fact]) -> None:
    """Print the fields of an item, one line each; several values of one label are printed below each other."""
    shown = [(label, (value,) if isinstance(value, str) else value) for label, value in facts if value]
    width = max((cell_len(label) for label, _ in shown), default=0)
    out = console()
    for label, values in shown:
        for number, value in enumerate(values):
            line = Text.assemble((("" if number else label).ljust(width + 2), "dim"), visible(value))
            out.print(line, soft_wrap=True)  # so that an ID copied from a narrow terminal is complete


def _ranges(ranges: Sequence[IDMapEntry]) -> str:
    return "; ".join(f"{part.container_id}→{part.host_id}, {part.size} IDs" for part in ranges)


def image_details(found: Iterable[tuple[ImageFacts, int | str]]) -> None:
    """Print the records of images, each with its size in bytes, or the reason why the size is unknown."""
    for one, size in found:
        record = one.image
        items = tuple(f"{name} ({human_size(record.data_sizes.get(name, 0))})" for name in record.data_names)
        _print_facts(
            [
                ("ID", record.id),
                ("Names", record.names),
                ("Earlier names", tuple(name for name in record.names_history if name not in record.names)),
                ("Digests", one.digests),
                ("Created", f"{record.created} ({age(record.created)})"),
                ("Size", f"{human_size(size)} ({size} bytes)" if isinstance(size, int) else f"unknown: {size}"),
                ("Top layer", record.layer),
                ("Mapped layers", record.mapped_layers),
                ("Data", items),
                ("Metadata", record.metadata),
                ("Read only", "yes" if one.read_only else ""),
            ]
        )


def container_details(found: Iterable[tuple[ContainerFacts, int | str]]) -> None:
    """Print the records of containers, each with its size in bytes, or the reason why the size is unknown."""
    for one, size in found:
        record = one.container
        items = tuple(f"{name} ({human_size(record.data_sizes.get(name, 0))})" for name in record.data_names)
        _print_facts(
            [
                ("ID", record.id),
                ("Names", ", ".join(record.names)),
                ("Image", record.image),
                ("Image names", ", ".join(one.image_names)),
                ("Created", f"{record.created} ({age(record.created)})"),
                ("Size", f"{human_size(size)} ({size} bytes)" if isinstance(size, int) else f"unknown: {size}"),
                ("Layer", record.layer),
                ("Mounted at", one.mount),
                ("Data", ", ".join(items)),
                ("Metadata", record.metadata),
                ("UID map", _ranges(record.uid_map)),
                ("GID map", _ranges(record.gid_map)),
                ("Volatile", "yes" if record.flags.get("Volatile") is True else ""),
                ("Mount label", str(record.flags.get("MountLabel", ""))),
            ]
        )


def changes(found: Sequence[Change]) -> None:
    """Print changes, each in the color of its kind."""
    out = console()
    for change, line in zip(found, plain.changes(found), strict=True):
        out.print(Text(line, style=CHANGE_STYLES[change.kind]), soft_wrap=True)


def leftovers(found: Sequence[Leftover], *, removed: bool) -> None:
    """Print the leftovers that garbage collection found, and their total."""
    out = console()
    verb = "removed" if removed else "would remove"
    if not found:
        out.print("nothing to remove", style="dim")
        return
    table = titled_table("Kind", "Size", "Path", right={"Size"})
    for leftover in found:
        table.add_row(leftover.kind, human_size(leftover.bytes), Fitted([leftover.path]))
    out.print(table)
    count = "1 leftover" if len(found) == 1 else f"{len(found)} leftovers"
    out.print(f"{verb} {count}, {human_size(sum(leftover.bytes for leftover in found))}")


def titled_table(*titles: str, right: set[str]) -> Table:
    """Return an empty table without borders; the columns whose titles are in `right` are right-aligned, for numbers.

    Only columns of sentences wrap. On a narrow terminal, cells of the class `Fitted` are cut in the middle.
    """
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        justify: JustifyMethod = "right" if title in right else "left"
        table.add_column(title.upper(), justify=justify, no_wrap=title not in _FITTED | _TOLD, overflow="ellipsis")
    return table


def show_rows(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = (), first: str = "") -> None:
    """Print a table of texts.

    Args:
        titles: the titles of the columns.
        rows: the rows, with a text for each column.
        right: the titles of the columns of numbers.
        first: the style of the first column.
    """
    from cstore.cli.output.terminal import console

    table = titled_table(*titles, right=set(right))
    styles = (first, *[""] * (len(titles) - 1))
    for row in rows:
        table.add_row(*(cell_of(*each) for each in zip(titles, row, styles, strict=True)))
    console().print(table)


_FITTED = frozenset({"Names", "Name", "Image", "Used by", "Path"})
"""The columns that shrink if a table is too wide."""
_TOLD = frozenset({"", "Made by", "What"})
"""The columns of sentences, which are wrapped between words."""


def cell_of(title: str, text: str, style: str = "") -> Text | Fitted | Sentence:
    """Return a cell for the column of a title: wrapped, cut in the middle or of fixed width, as the column needs."""
    if title in _TOLD:
        return Sentence(text, style)
    return Fitted([text], style) if title in _FITTED else Text(visible(text), style=style)


class Fitted:
    """A cell with several lines, none of them wrapped; lines that are too long are cut in the middle.

    The end of a name, with its tag, and the end of a path are more useful than the middle.
    """

    def __init__(self, lines: Iterable[str], style: str = "") -> None:
        self._lines = [visible(line) for line in lines]
        self._style = style

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the widths from a few characters to the longest line."""
        longest = max((cell_len(line) for line in self._lines), default=0)
        return Measurement(min(longest, _NARROWEST), min(longest, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the lines, cut to the available width."""
        for line in self._lines:
            yield Text(shortened(line, options.max_width), style=self._style, no_wrap=True)


class Sentence:
    """A cell with a sentence, wrapped between words only, with short IDs; words that are too long lose their middle."""

    def __init__(self, text: str, style: str = "", *, indent: int = 0) -> None:
        self._words = [short_id(word) for word in visible(text).split(" ")]
        self._style, self._indent = style, indent

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the widths from a few characters to the whole sentence on one line."""
        longest = self._indent + cell_len(" ".join(self._words))
        return Measurement(min(longest, _NARROWEST), min(longest, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield the lines of the sentence, wrapped to the available width."""
        width = max(options.max_width - self._indent, 1)
        line = ""
        for word in (shortened(word, width) for word in self._words):
            if line and cell_len(line) + 1 + cell_len(word) > width:
                yield Text(" " * self._indent + line, style=self._style, no_wrap=True)
                line = word
            else:
                line = f"{line} {word}" if line else word
        yield Text(" " * self._indent + line, style=self._style, no_wrap=True)


_NARROWEST = 12


def shortened(text: str, width: int) -> str:
    """Return a text, cut in the middle if it is wider than `width` columns."""
    if cell_len(text) <= width:
        return text
    front = max(0, (width - 1) // 3)
    head, tail = set_cell_size(text, front), text
    while tail and cell_len(head) + 1 + cell_len(tail) > width:
        tail = tail[1:]
    return f"{head}…{tail}"


def age(created: str) -> str:
    """Return the age of a time in the format of records; "" if there is none."""
    try:
        born = datetime.fromisoformat(created[:19]).replace(tzinfo=UTC)
    except ValueError:
        return ""
    if born.year == 1:
        return ""
    return human_age((datetime.now(UTC) - born).total_seconds())
