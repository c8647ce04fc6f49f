"""Commands that read the files of an item without mounting it."""

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
@switch("-l", "--long", help="Show type, mode, link count, owner, size, time and link target.")
@switch("-R", "--recursive", help="List subdirectories recursively.")
@switch("-0", "--null", help="End each name with NUL instead of newline.")
@kind_option
@json_option
def ls(session: Session, /, place: str, long: bool, recursive: bool, null: bool, kind: str) -> None:
    """List files in an image, container or layer.

    Shows an image's files as a container sees them, without mounting anything: cstore reads the layers' directories.
    Owners are those inside the container. Without PATH, lists the root.

    Exit status: 0, or 1 if something could not be read. The rest is listed, and JSON says "complete":false.
    """
    from cstore.cli.output import contents as output
    from cstore.cli.output.structured import Streamed
    from cstore.contents import FileUnknown

    contents, path = opened_place(session, place, kind)
    with contents:
        try:
            top = contents.get(path or b"/", follow=not long)
        except FileUnknown:
            if long or not path or path.endswith(b"/"):
                raise
            top = contents.get(path, follow=False)  # as in ls(1), show a dangling link itself
        if top.format != modes.S_IFDIR:
            found: Iterator[File] = iter((top,))
            names = iter((top.path,))
        else:
            names = contents.paths(top.path, deep=recursive)
            found = contents.walk(top.path) if recursive else contents.list(top.path)
        head = {"item": output.item_document(_item(contents)), "path": output.shown_path(top.path)}
        files = (output.file_document(contents, file) for file in found)
        plain = (output.relative(name, top.path) for name in names)
        lines = (output.long_line(contents, file, output.relative(file.path, top.path)) for file in found)
        session.show(
            View(
                lambda: Streamed(head, "files", files, output.tail_of(contents.problems)),
                lambda: lines if long else plain,
                paths=True,
                null=null,
            )
        )
        conclude(session, contents.problems)


@command("cat", example="cstore cat debian:/etc/passwd\ncstore cat base:/etc/passwd web:/etc/passwd > both")
@words("places", "ITEM:PATH")
@kind_option
def cat(session: Session, /, places: tuple[str, ...], kind: str) -> None:
    """Print files of an image, container or layer.

    Verifies imported files while reading: a file that differs from its layer's archive is an error, reported at the
    latest after its last byte. Control characters are escaped on a terminal; --raw prints them.
    """
    from cstore.cli.files import result_file

    with result_file("", sync=False, binary=False) as sink:
        for place in places:
            for piece in _pieces(session, place, kind):
                sink.write(piece)  # a write error does not concern the place; it ends the command


def _pieces(session: Session, place: str, kind: str) -> Iterator[bytes]:
    """Yield the contents of a file in pieces; print errors and warnings about it."""
    from cstore.contents import pieces
    from cstore.errors import CstoreError

    try:
        contents, path = opened_place(session, place, kind)
        with contents:
            yield from pieces(contents, contents.get(path))
            conclude(session, contents.problems)
    except CstoreError as error:
        session.complain(error, place)


@command("stat", example="cstore stat debian:/etc/passwd\ncstore stat --digest --json base:/etc/passwd")
@words("places", "ITEM:PATH")
@switch("--digest", help="Show the SHA-256 digest of the contents.")
@switch("-L", "--dereference", help="Follow PATH if it is a symbolic link.")
@kind_option
@json_option
def stat(session: Session, /, places: tuple[str, ...], digest: bool, dereference: bool, kind: str) -> None:
    """Show the attributes of a file in an item.

    Prints type, mode, owner (as inside the container), size, time, link count, link target, extended attributes, and
    the layer that last changed the file.
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
    """Return a view of all attributes of a file."""
    from cstore.cli.output import contents as output

    item = output.item_document(_item(contents))
    return View(
        lambda: {"item": item, **output.file_document(contents, file, layer=layer, digest=digest)},
        lambda: output.stat_lines(contents, file, layer, digest),
    )


def opened_place(session: Session, text: str, kind: str) -> tuple[Contents, bytes]:
    """Open the item in `ITEM:PATH`; return its contents and the path, b"" if there is none."""
    from cstore.contents import open_item

    store = session.open(Intent.CONTENT)
    found = store.resolve_path(text, kind, by_layer=True)
    return open_item(store, found.item), os.fsencode(found.path)


def _item(contents: Contents) -> Any:
    return contents.item


def conclude(session: Session, problems: list[str]) -> None:
    """Print a warning for each problem, and set `failed` if there are any: the result is then incomplete."""
    if problems:
        session.failed = True
    if not session.json:
        session.warn(f"incomplete: {problem}" for problem in problems)
