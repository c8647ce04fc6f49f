"""Commands for the history of a file across layers, and for space wasted by hidden files."""

from __future__ import annotations

import os

from cstore.cli.command import command, json_option, switch, word
from cstore.cli.commands.contents import conclude, opened_place
from cstore.cli.options import kind_option
from cstore.cli.session import Intent, Session, View
from cstore.errors import InvalidOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from cstore import Image
    from cstore.contents import Contents, Event, Waste

    Rows = Iterator[tuple[int, tuple[str, ...]]]


@command(
    "blame",
    example="cstore blame debian:/etc/passwd\ncstore blame --all /etc/passwd\n"
    "cstore blame --waste debian\ncstore blame --waste --json | jq .bytes",
)
@word("place", "ITEM:PATH", required=False)
@switch("--all", help="Search all images for PATH.")
@switch("--waste", help="Show the files that upper layers overwrite or delete, in ITEM or in all images.")
@switch("-0", "--null", help="End each line with NUL instead of newline.")
@kind_option
@json_option
def blame(session: Session, /, place: str, all: bool, waste: bool, null: bool, kind: str) -> None:  # noqa: A002  - the option's name
    """Show which layers changed a file, or waste space.

    Prints a line for each layer that added (A), changed (C) or removed (D) the file, newest first: the letter, the
    layer's ID, its creation time, the change, and the build step from the image's history, separated by tabs. The file
    may be gone by now. With --all, the image's name comes first.

    With --waste, prints the files that upper layers hide, largest first: size in bytes, "overwritten" or "deleted", the
    layer's ID and the path, separated by tabs. Without ITEM, prints bytes, number of files and name for each image,
    then the total of bytes that no image shows. Deleting a file in a later build step frees no space: these lines show
    what that costs.

    Exit status: 0, or 1 if something could not be read.
    """
    problems: list[str] = []
    if waste and all:
        raise InvalidOption("--waste without ITEM is for all images already", hint="omit --all")
    if waste:
        _waste(session, place, kind, problems, null=null)
    elif not place:
        raise InvalidOption("no path given", hint="write cstore blame ITEM:PATH")
    elif all:
        _blame_everywhere(session, place, problems, null=null)
    else:
        _blame(session, place, kind, problems, null=null)
    conclude(session, problems)


# ── a path ──


def _blame(session: Session, place: str, kind: str, problems: list[str], *, null: bool) -> None:
    from cstore.cli.output import contents as output
    from cstore.cli.output.structured import Streamed
    from cstore.contents import blame as blame_path

    contents, path = opened_place(session, place, kind)
    with contents:
        events = blame_path(session.open(Intent.CONTENT), contents, path or b"/")
        problems += contents.problems
        head = {"item": output.item_document(contents.item) if contents.item is not None else {}}
        documents = (_document(one, contents) for one in events)
        session.show(
            View(
                lambda: Streamed(head, "events", documents, output.tail_of(problems)),
                lambda: map(_line, events),
                lambda: output.show_table(dict.fromkeys(_TITLES, False), map(_row, events)),
                paths=True,
                null=null,
            )
        )


def _blame_everywhere(session: Session, place: str, problems: list[str], *, null: bool) -> None:
    from cstore.cli.output import contents as output
    from cstore.cli.output.structured import Streamed
    from cstore.contents import blame_everywhere

    found = blame_everywhere(session.open(Intent.CONTENT), os.fsencode(place), problems)
    documents = (
        {"id": image.id, "names": list(image.names), "events": [_document(one) for one in events]}
        for image, events in found
    )
    rows = ((_name(image), *_row(one)) for image, events in found for one in events)
    session.show(
        View(
            lambda: Streamed({"path": place}, "images", documents, output.tail_of(problems)),
            lambda: (f"{_name(image)}\t{_line(one)}" for image, events in found for one in events),
            lambda: output.show_table(dict.fromkeys(("Image", *_TITLES), False), rows),
            paths=True,
            null=null,
        )
    )


def _name(image: Image) -> str:
    return image.names[0] if image.names else image.id


_TITLES = ("Change", "Layer", "Created", "What", "Made by")


def _row(one: Event) -> tuple[str, ...]:
    from cstore.cli.output.text import short_id

    step = " ".join(one.created_by.split()) or one.comment
    return one.change, short_id(one.layer), one.created[:19], ", ".join(one.what), step


def _line(one: Event) -> str:
    letter = {"added": "A", "changed": "C", "removed": "D"}[one.change]
    step = " ".join(one.created_by.split()) or one.comment
    return "\t".join((letter, one.layer, one.created, ",".join(one.what), step))


def _document(one: Event, contents: Contents | None = None) -> dict[str, Any]:
    from cstore.cli.output.contents import file_document

    document: dict[str, Any] = {"change": one.change, "layer": one.layer, "created": one.created}
    document |= {"what": list(one.what)} if one.what else {}
    document |= {name: text for name in ("created_by", "comment") if (text := getattr(one, name))}
    if one.file is not None and contents is not None:
        document["file"] = file_document(contents, one.file, layer=one.layer)
    return document


# ── waste ──


def _waste(session: Session, place: str, kind: str, problems: list[str], *, null: bool) -> None:
    from cstore.cli.output import contents as output
    from cstore.contents import waste_of, waste_of_store

    if not place:
        found = waste_of_store(session.open(Intent.CONTENT), problems)
        rows: Rows = ((size, (str(count), _name(image))) for image, count, size in found.images)
        images = [
            {"id": image.id, "names": list(image.names), "files": count, "bytes": size}
            for image, count, size in found.images
        ]
        titles = {"Bytes": True, "Files": True, "Image": False}
        _tell(session, {"images": images}, (titles, rows), found.files, problems, null=null)
        return
    contents, path = opened_place(session, place, kind)
    with contents:
        if path.strip(b"/"):
            raise InvalidOption("--waste works on whole items", hint="omit the path")
        wasted = waste_of(contents)
        problems += contents.problems
        rows = ((one.size, (one.reason, one.layer, output.shown_path(one.path))) for one in wasted)
        titles = {"Bytes": True, "How": False, "Layer": False, "Path": False}
        head = {"item": output.item_document(contents.item)} if contents.item is not None else {}
        _tell(session, head, (titles, rows), wasted, problems, null=null)


def _tell(
    session: Session,
    head: dict[str, Any],
    table: tuple[dict[str, bool], Rows],
    files: Sequence[Waste],
    problems: list[str],
    *,
    null: bool,
) -> None:
    from cstore.cli.output import contents as output
    from cstore.cli.output.structured import Streamed
    from cstore.cli.output.text import human_size, short_id

    titles, rows = table
    size = sum(one.size for one in files)
    documents = (
        {"size": one.size, "reason": one.reason, "layer": one.layer, "path": output.shown_path(one.path)}
        for one in files
    )
    total = f"total: {size} bytes in {len(files)} {'file' if len(files) == 1 else 'files'}"
    session.show(
        View(
            lambda: Streamed({**head, "bytes": size}, "files", documents, output.tail_of(problems)),
            lambda: ("\t".join((str(first), *rest)) for first, rest in rows),
            lambda: output.show_table(titles, ((human_size(first), *map(short_id, rest)) for first, rest in rows)),
            foot=lambda: [total if "item" in head else f"{total} that no image shows"],
            paths=True,
            null=null,
        )
    )
