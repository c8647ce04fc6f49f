"""Output of disk usage: lines for scripts, JSON, or tables for terminals."""

from __future__ import annotations

from cstore.cli.output.structured import VERSION
from cstore.cli.output.text import human_size, short_id, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.insight import FileSystem, Line, Summary, Usage

NOT_READ = (
    "sizes are those that the records give: directories, data of containers, staging, quarantine and what no record "
    "owns were not read (cstore df -v reads them)"
)
_SHARED = "blocks that several files share are counted once"
_MEANINGS = {
    "data": "tar-splits and data items of layers",
    "records": "record files and their locks",
    "driver": "the storage driver's own files",
    "staging": "what is being made or removed",
    "quarantine": "items that repairs removed",
    "cstore": "cstore's journals and reserved space",
    "directory": "directories of the store",
}


# ── from the records ──


def summary_lines(found: Summary) -> Iterator[str]:
    """Yield a line per kind: kind, count, number in use, bytes, unused bytes.

    The last line describes the file system: size, used and available bytes, path.
    """
    for each in found.sums:
        yield f"{each.kind}\t{each.count}\t{each.used}\t{each.size}\t{each.unused}"
    room = found.file_system
    if room is not None:
        yield f"file-system\t{room.size}\t{room.used}\t{room.available}\t{visible(room.path)}"


def summary_document(found: Summary) -> dict[str, Any]:
    """Return the document of a summary, including problems."""
    return {
        "version": VERSION,
        "root": found.root,
        "sums": [each.as_dict() for each in found.sums],
        "file_system": _room(found.file_system),
        "not_read": NOT_READ,
        "complete": not (found.problems or found.flaws),
        "problems": list(found.problems),
    }


def show_summary(found: Summary) -> None:
    """Print a summary as a table, with a note on the parts of the store that were not read."""
    from cstore.cli.output import styled
    from cstore.cli.output.terminal import console

    out = console()
    table = styled.titled_table("Kind", "Count", "Used", "Size", "Unused", right={"Count", "Used", "Size", "Unused"})
    for each in found.sums:
        more = " +" if each.unknown else ""
        size = human_size(each.size) + more
        table.add_row(f"{each.kind}s", str(each.count), str(each.used), size, human_size(each.unused))
    out.print(table)
    if any(each.unknown for each in found.sums):
        out.print("+ some sizes are not recorded", style="dim")
    _show_room(found.file_system)
    out.print(NOT_READ, style="dim")


def _room(room: FileSystem | None) -> dict[str, Any] | None:
    return None if room is None else room.as_dict()


def _show_room(room: FileSystem | None) -> None:
    from cstore.cli.output.terminal import console

    if room is not None:
        used, size, free = map(human_size, (room.used, room.size, room.available))
        console().print(f"file system: {used} of {size} used, {free} free")


# ── from the disk ──


def usage_lines(found: Usage) -> Iterator[str]:
    """Yield a line per item: kind, bytes on disk, size, shared, unique, ID or path, names.

    The last line has the total and the figure of du.
    """
    for line in found.lines:
        numbers = (line.size, line.shared, line.unique)
        shown = "\t".join("-" if number < 0 else str(number) for number in numbers)
        names = ",".join(map(visible, line.names))
        yield f"{line.kind}\t{line.disk}\t{shown}\t{visible(line.id or line.path) or '-'}\t{names}"
    yield f"total\t{found.total}\t{found.du}\t-\t-\t{visible(' '.join(found.roots)) or '-'}\t"


def usage_document(found: Usage) -> dict[str, Any]:
    """Return the document of disk usage, including notes, unread paths and problems."""
    return {
        "version": VERSION,
        "roots": list(found.roots),
        "lines": [_document(line) for line in found.lines],
        "total": found.total,
        "du": found.du,
        "file_system": _room(found.file_system),
        "notes": list(found.notes),
        "unread": [{"path": path, "reason": reason} for path, reason in found.unread],
        "complete": not (found.problems or found.flaws or found.unread),
        "problems": list(found.problems),
    }


def _document(line: Line) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": line.kind, "disk": line.disk}
    if line.id:
        document |= {"id": line.id, "names": list(line.names)}
    if line.size >= 0:
        document |= {"size": line.size, "shared": line.shared, "unique": line.unique}
    return document | {key: text for key, text in (("path", line.path), ("note", line.note)) if text}


def show_usage(found: Usage) -> None:
    """Print a table for each kind of item, and a table of all bytes with their total."""
    from cstore.cli.output import styled
    from cstore.cli.output.terminal import console

    out = console()
    for kind in ("image", "container", "layer"):
        lines = [line for line in found.lines if line.kind == kind]
        if not lines:
            continue
        titles = ("Size", "Shared", "Unique", "On disk")
        table = styled.titled_table(f"{kind}s", "Names", *titles, right=set(titles))
        for line in lines:
            numbers = (line.size, line.shared, line.unique, line.disk)
            shown = (human_size(number) if number >= 0 else "" for number in numbers)
            table.add_row(visible(short_id(line.id)), styled.Fitted(line.names), *shown)
        out.print(table)
        out.print()
    table = styled.titled_table("Everything", "On disk", "", right={"On disk"})
    for kind, size, text in _everything(found):
        table.add_row(kind, human_size(size), styled.Sentence(text))
    out.print(table)
    _show_room(found.file_system)
    if found.du != found.total:
        out.print(f"{_SHARED}; du says {human_size(found.du)}", style="dim")
    for note in found.notes:
        out.print(visible(note), style="dim")


def _everything(found: Usage) -> Iterator[tuple[str, int, str]]:
    """Yield rows that add up to the total, which comes last: items by kind, everything else one by one."""
    meanings = {"image": "data items", "container": "data items", "layer": "directories of layers"}
    for kind, meaning in meanings.items():
        yield f"{kind}s", sum(line.disk for line in found.lines if line.kind == kind), meaning
    for line in found.lines:
        if line.kind not in meanings:
            text = f"{line.path}: {line.note}" if line.path else _MEANINGS.get(line.kind, "")
            yield line.kind, line.disk, text
    yield "total", found.total, " ".join(found.roots)
