"""Output of the files of an item: lines, lines in the form of `ls -l`, and JSON."""

from __future__ import annotations

import os
import stat
from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any, TypeVar

    from cstore.contents import Contents, File
    from cstore.store import Item

    T = TypeVar("T")

TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character-device",
    stat.S_IFBLK: "block-device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_SECOND = 1_000_000_000


def shown_path(path: bytes) -> str:
    """Return a path as text, starting with `/` for the item's root."""
    return "/" + os.fsdecode(path)


def relative(path: bytes, top: bytes) -> str:
    """Return a path relative to `top`; for `top` itself, its path from the root."""
    return os.fsdecode(path[len(top) + 1 :] if top else path) if path != top else shown_path(path)


def time_of(mtime: int) -> str:
    """Return a time in nanoseconds in the format of RFC 3339, or as `@SECONDS` if `datetime` cannot represent it."""
    seconds, rest = divmod(mtime, _SECOND)
    text = _moment(seconds)
    if text.startswith("@"):
        return text
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{text}{fraction}Z"


@lru_cache(1024)
def _moment(seconds: int) -> str:
    """Return a time in whole seconds without its zone. Results are cached: files written together share their times."""
    from datetime import UTC, datetime  # imported here, because plain lists have no times

    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"@{seconds}"


def long_line(contents: Contents, file: File, name: str) -> str:
    """Return a file as a line of `ls -l`, with numeric owners and a time with its zone."""
    numbers = f"{file.device[0]},{file.device[1]}" if any(file.device) else str(file.size)
    target = _known(contents, contents.target, file, b"")
    leads = f" -> {os.fsdecode(target)}" if target else ""
    mode = stat.filemode(file.format | file.mode)
    moment = time_of(file.mtime - file.mtime % _SECOND)
    return f"{mode} {file.links:>2} {file.uid:>5} {file.gid:>5} {numbers:>10} {moment} {name}{leads}"


def item_document(item: Item) -> dict[str, str]:
    """Return the kind and ID of an item."""
    return {"kind": item.kind, "id": item.id}


def file_document(contents: Contents, file: File, *, layer: str = "", digest: str = "") -> dict[str, Any]:
    """Return the document of a file, including its layer and digest if they are known."""
    document: dict[str, Any] = {"path": shown_path(file.path)}
    try:
        file.path.decode()
    except UnicodeDecodeError:
        document["path_bytes"] = _base64(file.path)
    document |= {
        "type": TYPES.get(file.format, "unknown"),
        "mode": f"{file.mode:04o}",
        "uid": file.uid,
        "gid": file.gid,
        "size": file.size,
        "mtime": time_of(file.mtime),
        "links": file.links,
    }
    if file.format == stat.S_IFLNK:
        document["target"] = os.fsdecode(_known(contents, contents.target, file, b""))
    if file.format in {stat.S_IFCHR, stat.S_IFBLK}:
        document["device"] = list(file.device)
    attributes = _attributes(contents, file)
    document["xattrs"] = {os.fsdecode(name): _base64(value) for name, value in attributes.items()}
    known = layer or ("" if contents.chain.whole else contents.chain.layer_of(file.number))
    return document | ({"layer": known} if known else {}) | ({"digest": digest} if digest else {})


def _known(contents: Contents, ask: Callable[[File], T], file: File, otherwise: T) -> T:
    """Return the result of `ask` for a file, or `otherwise` if it cannot be read, which is recorded as a problem."""
    from cstore.errors import CstoreError

    try:
        return ask(file)
    except CstoreError as error:
        contents.problems.append(error.message)
        return otherwise


def _attributes(contents: Contents, file: File) -> dict[bytes, bytes]:
    none: dict[bytes, bytes] = {}
    return _known(contents, contents.attributes, file, none)


def _base64(data: bytes) -> str:
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode()


def stat_lines(contents: Contents, file: File, layer: str, digest: str) -> Iterator[str]:
    """Yield the metadata of a file, one field per line."""
    yield f"path: {shown_path(file.path)}"
    yield f"type: {TYPES.get(file.format, 'unknown')}"
    yield f"mode: {file.mode:04o} ({stat.filemode(file.format | file.mode)})"
    yield f"owner: {file.uid}:{file.gid}"
    yield f"size: {file.size}"
    yield f"modified: {time_of(file.mtime)}"
    yield f"links: {file.links}"
    if file.format == stat.S_IFLNK:
        yield f"target: {os.fsdecode(_known(contents, contents.target, file, b''))}"
    if any(file.device):
        yield f"device: {file.device[0]},{file.device[1]}"
    for name, value in _attributes(contents, file).items():
        text = os.fsdecode(value) if value.isascii() and value.decode("ascii").isprintable() else f"0x{value.hex()}"
        yield f"xattr {os.fsdecode(name)}: {text}"
    yield f"layer: {layer}"
    if digest:
        yield f"digest: {digest}"


def tail_of(problems: list[str]) -> Callable[[], Mapping[str, Any]]:
    """Return a function for the last keys of a document: whether it is complete, and the problems so far."""
    return lambda: {"complete": not problems, "problems": list(problems)}


def show_table(titles: Mapping[str, bool], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows as a table; `titles` maps the title of each column to whether it has numbers."""
    from cstore.cli.output.styled import show_rows

    show_rows([*titles], rows, (title for title, numbers in titles.items() if numbers))
