"""The command `find`, which searches for files in one item or in all images."""

from __future__ import annotations

import os

from cstore.cli.command import command, json_option, switch, text, texts, word
from cstore.cli.commands.contents import conclude, opened_place
from cstore.cli.options import kind_option
from cstore.cli.session import Intent, Session, View
from cstore.errors import InvalidOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore import Image
    from cstore.contents import Contents, Criteria, File

_UNITS = {"": 1, "c": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECOND = 1_000_000_000
_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@command(
    "find",
    example="cstore find --name '*.conf' debian:/etc\ncstore find --type f --size +1k --json base\n"
    "cstore find --all --setuid\ncstore find --all --name passwd",
)
@word("place", "ITEM[:PATH]", required=False)
@text("--name", metavar="GLOB", help="The name matches the pattern.")
@text("--path", metavar="GLOB", help="The path from the root, such as /etc/passwd, matches; * also matches slashes.")
@text("--type", metavar="LETTERS", help="A file (f), directory (d), link (l), device (b, c), FIFO (p) or socket (s).")
@texts("--size", metavar="[+|-]N[kMGT]", help="A file of at least (+), at most (-) or exactly N bytes.")
@text("--newer", metavar="TIME", help="Changed after this date, or within the last 10m, 12h or 7d.")
@text("--older", metavar="TIME", help="Changed before this date, or longer ago than 10m, 12h or 7d.")
@text("--owner", metavar="UID[:GID]", help="Owned by this user (and group), as numbers inside the container.")
@text("--mode", metavar="MODE", help="Permissions are MODE; -MODE: all of its bits are set; /MODE: any is.")
@text("--digest", metavar="DIGEST", help="The contents have this digest (sha256:…).")
@switch("--setuid", help="A setuid or setgid file.")
@switch("--capability", help="A file with capabilities.")
@switch("--all", help="Search all images of the store instead of ITEM.")
@switch("-0", "--null", help="End each line with NUL instead of newline.")
@kind_option
@json_option
def find(session: Session, /, place: str, null: bool, kind: str, **wanted: Any) -> None:
    """Find files in an image, container or layer, or in all images.

    A file must meet all conditions. Prints paths from the item's root; with --all, IMAGE:PATH. Mounts nothing, and
    reads a layer that several images share only once (except with vfs, btrfs and zfs, whose layers are whole trees).

    Exit status: 0, or 1 if something could not be read.
    """
    from cstore.cli.output import contents as output
    from cstore.cli.output.structured import Streamed

    criteria = _criteria(wanted)
    if bool(place) == bool(wanted["all"]):
        raise InvalidOption("name an item or give --all, not both", hint="cstore find ITEM, or cstore find --all")
    problems: list[str] = []
    found: Iterator[tuple[Image | None, Contents, File]]
    if place:
        found = _in_item(session, place, kind, criteria, problems)
    else:
        from cstore.contents import find_everywhere

        found = find_everywhere(session.open(Intent.CONTENT), criteria, problems)
    documents = (_document(*one) for one in found)
    shown = (output.shown_path(file.path) for _, _, file in found)
    lines = shown if place else _lines_everywhere(session, criteria, problems)
    session.show(
        View(
            lambda: Streamed({}, "files", documents, output.tail_of(problems)),
            lambda: lines,
            paths=True,
            null=null,
        )
    )
    conclude(session, problems)


def _in_item(
    session: Session, place: str, kind: str, criteria: Criteria, problems: list[str]
) -> Iterator[tuple[Image | None, Contents, File]]:
    from cstore.contents import find as find_in

    contents, path = opened_place(session, place, kind)
    with contents:
        top = contents.resolve(path)
        yield from ((None, contents, file) for file in find_in(contents, top, criteria))
        problems += contents.problems


def _lines_everywhere(session: Session, criteria: Criteria, problems: list[str]) -> Iterator[str]:
    from cstore.contents import paths_everywhere

    for image, paths in paths_everywhere(session.open(Intent.CONTENT), criteria, problems):
        start = f"{image.names[0] if image.names else image.id}:/"
        yield from (start + os.fsdecode(path) for path in paths)


def _document(image: Image | None, contents: Contents, file: File) -> dict[str, Any]:
    from cstore.cli.output.contents import file_document, item_document

    if contents.item is None:
        return file_document(contents, file)
    item: dict[str, Any] = dict(item_document(contents.item))
    if image is not None:
        item["names"] = list(image.names)
    return {"item": item, **file_document(contents, file)}


# ── conditions ──


def _criteria(wanted: dict[str, Any]) -> Criteria:
    from cstore.contents import Criteria
    from cstore.digests import check_digest

    smallest, largest = _sizes(wanted["size"])
    uid, _, gid = wanted["owner"].partition(":")
    mode, any_of, all_of = _mode(wanted["mode"])
    setting = 0o6000 if wanted["setuid"] else 0
    if setting and any_of:
        raise InvalidOption("--setuid and --mode /… exclude each other", hint="give one")
    return Criteria(
        name=os.fsencode(wanted["name"]) if wanted["name"] else None,
        path=os.fsencode(wanted["path"]) if wanted["path"] else None,
        formats=_formats(wanted["type"]) or (_formats("f") if setting else frozenset()),
        smallest=smallest,
        largest=largest,
        newer=_time(wanted["newer"], "newer"),
        older=_time(wanted["older"], "older"),
        uid=_number(uid, "owner") if uid else None,
        gid=_number(gid, "owner") if gid else None,
        mode=mode,
        any_of_mode=any_of | setting,
        all_of_mode=all_of,
        capability=bool(wanted["capability"]),
        digest=check_digest(wanted["digest"]) if wanted["digest"] else "",
    )


def _formats(letters: str) -> frozenset[int]:
    from cstore.contents import FORMATS

    strange = [letter for letter in letters.replace(",", "") if letter not in FORMATS]
    if strange:
        raise InvalidOption(f"{strange[0]!r} is not a file type", hint=f"choose from: {' '.join(FORMATS)}")
    return frozenset(FORMATS[letter] for letter in letters.replace(",", ""))


def _sizes(texts_: tuple[str, ...]) -> tuple[int | None, int | None]:
    smallest: int | None = None
    largest: int | None = None
    for one in texts_:
        digits = one.lstrip("+-").rstrip("ckMGT")
        unit = one.lstrip("+-")[len(digits) :]
        if not (digits.isascii() and digits.isdecimal()) or unit not in _UNITS or len(one) - len(one.lstrip("+-")) > 1:
            raise InvalidOption(f"{one!r} is not a size", hint="write --size +10M, --size -1k or --size 512")
        size = int(digits) * _UNITS[unit]
        smallest = size if not one.startswith("-") else smallest
        largest = size if not one.startswith("+") else largest
    return smallest, largest


def _time(text_: str, option: str) -> int | None:
    """Return a time in nanoseconds since 1970, from an RFC 3339 date or a duration before now; None without one."""
    if not text_:
        return None
    import time
    from datetime import UTC, datetime

    if text_[:-1].isascii() and text_[:-1].isdecimal() and text_[-1] in _SPANS:
        return time.time_ns() - int(text_[:-1]) * _SPANS[text_[-1]] * _SECOND
    try:
        moment = datetime.fromisoformat(text_)
    except ValueError:
        hint = f"write --{option} 2026-01-31, --{option} 2026-01-31T12:00:00Z or --{option} 7d"
        raise InvalidOption(f"{text_!r} is not a time", hint=hint) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * _SECOND + moment.microsecond * 1000


def _mode(text_: str) -> tuple[int | None, int, int]:
    """Return the exact permissions, the bits of which at least one must be set, and the bits that must all be set."""
    digits = text_.lstrip("-/")
    if not text_:
        return None, 0, 0
    try:
        bits = int(digits, 8)
    except ValueError:
        bits = -1
    if not 0 <= bits <= 0o7777 or len(text_) - len(digits) > 1:
        raise InvalidOption(f"{text_!r} is not a mode", hint="write --mode 0644, --mode -0111 or --mode /6000")
    if text_.startswith("/"):
        return None, bits, 0
    return (None, 0, bits) if text_.startswith("-") else (bits, 0, 0)


def _number(text_: str, option: str) -> int:
    if text_.isascii() and text_.isdecimal():
        return int(text_)
    raise InvalidOption(f"--{option} takes numbers, not {text_!r}", hint=f"write --{option} 0:0")
