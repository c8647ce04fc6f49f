"""Looking at the files of an item, without mounting it."""

from __future__ import annotations

import os
import stat as modes

from cstore.cli.command import command, json_option, switch, word, words
from cstore.cli.options import kind_option
from cstore.cli.session import Intent, Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.contents import Contents, File


@command(
    "ls", example="cstore ls debian:/etc\ncstore ls -l -R base:/srv\ncstore ls --json web:/ | jq -r '.files[].path'"
)
@word("place", "ITEM[:PATH]")
@switch("-l", "--long", help="Show type, mode, links, owner, size and time of each, and where a link leads.")
@switch("-R", "--recursive", help="List what is in all directories beneath, too.")
@switch("-0", "--null", help="End each name with a NUL, not with a newline.")
@kind_option
@json_option
def ls(session: Session, /, place: str, long: bool, recursive: bool, null: bool, kind: str) -> None:
    """List files in an image, container or layer.

    An image shows its top layer and all beneath, a container its own. The layers' directories are read as they are:
    nothing is mounted. Owners are those inside. Without PATH the root is listed.

    Exit status: 0, or 1 if something could not be read; what could is listed all the same, and JSON says
    "complete":false.
    """
    from cstore.cli.output import contents as output
    from cstore.cli.output.structured import Streamed

    contents, path = opened_place(session, place, kind)
    with contents:
        top = contents.get(path or b"/", follow=not long)
        if top.format != modes.S_IFDIR:
            found: Iterator[File] = iter((top,))
        else:
            found = contents.walk(top.path) if recursive else contents.list(top.path)
        head = {"item": output.item_document(_item(contents)), "path": output.shown_path(top.path)}
        files = (output.file_document(contents, file) for file in found)
        session.show(
            View(
                lambda: Streamed(head, "files", files, output.tail_of(contents.problems)),
                lambda: _lines(contents, found, top.path, long=long),
                paths=True,
                null=null,
            )
        )
        conclude(session, contents.problems)


def _lines(contents: Contents, found: Iterator[File], top: bytes, *, long: bool) -> Iterator[str]:
    from cstore.cli.output import contents as output

    for file in found:
        name = output.relative(file.path, top)
        yield output.long_line(contents, file, name) if long else name


@command("cat", example="cstore cat debian:/etc/passwd\ncstore cat base:/etc/passwd web:/etc/passwd > both")
@words("places", "ITEM:PATH")
@kind_option
def cat(session: Session, /, places: tuple[str, ...], kind: str) -> None:
    """Print files of an image, container or layer.

    What was imported is verified while it is read: if a file is not the one in the archive that its layer came from,
    that is an error, at the latest after its last byte. A terminal gets control characters spelled out; --raw prints
    them.
    """
    from cstore.cli.files import result_file
    from cstore.contents import pieces
    from cstore.errors import CstoreError

    with result_file("", sync=False, binary=False) as sink:
        for place in places:
            try:
                contents, path = opened_place(session, place, kind)
                with contents:
                    for piece in pieces(contents, contents.get(path)):
                        sink.write(piece)
                    conclude(session, contents.problems)
            except CstoreError as error:
                session.complain(error, place)


@command("stat", example="cstore stat debian:/etc/passwd\ncstore stat --digest --json base:/etc/passwd")
@words("places", "ITEM:PATH")
@switch("--digest", help="Show the SHA-256 digest of the contents.")
@switch("-L", "--dereference", help="Follow a link that PATH leads to.")
@kind_option
@json_option
def stat(session: Session, /, places: tuple[str, ...], digest: bool, dereference: bool, kind: str) -> None:
    """Show all that is known of a file in an item.

    That is: type, mode, owner (as inside), size, time, number of names, where a link leads, extended attributes, and
    the layer that made it as it is.
    """
    from cstore.cli.output import contents as output
    from cstore.cli.output.structured import VERSION
    from cstore.contents import digest as digest_of
    from cstore.errors import CstoreError

    told: list[object] = []
    problems: list[str] = []
    for place in places:
        try:
            contents, path = opened_place(session, place, kind)
            with contents:
                file = contents.get(path or b"/", follow=dereference)
                layer = contents.layer_of(file)
                sum_ = digest_of(contents, file) if digest and file.format == modes.S_IFREG else ""
                session.show(_all_of(contents, file, layer, sum_), into=told)
                problems += contents.problems
        except CstoreError as error:
            session.complain(error, place)
    session.whole({"version": VERSION, "files": told, **output.tail_of(problems)()})
    conclude(session, problems)


def _all_of(contents: Contents, file: File, layer: str, digest: str) -> View:
    """All that is known of a file."""
    from cstore.cli.output import contents as output

    item = output.item_document(_item(contents))
    return View(
        lambda: {"item": item, **output.file_document(contents, file, layer=layer, digest=digest)},
        lambda: output.stat_lines(contents, file, layer, digest),
    )


def opened_place(session: Session, text: str, kind: str) -> tuple[Contents, bytes]:
    """Open the item that `ITEM:PATH` names; give it and the path, b"" for none."""
    from cstore.contents import open_item

    store = session.open(Intent.CONTENT)
    found = store.resolve_path(text, kind, by_layer=True)
    return open_item(store, found.item), os.fsencode(found.path)


def _item(contents: Contents) -> Any:
    return contents.item


def conclude(session: Session, problems: list[str]) -> None:
    """Say what could not be read: the answer is only a part of the truth then."""
    if problems:
        session.failed = True
    if not session.json:
        session.warn(f"incomplete: {problem}" for problem in problems)
