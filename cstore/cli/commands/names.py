"""Commands for the names of layers, images and containers."""

from __future__ import annotations

import sys

from cstore import errors
from cstore.cli.command import command, json_option, texts, word, words
from cstore.cli.session import Intent, Session, View


@command("get-names", example="cstore get-names 3ede")
@word("item", "ITEM")
@json_option
def get_names(session: Session, item: str) -> None:
    """List the names of an item."""
    names = session.open(Intent.RECORDS).names(item)
    session.show(View(lambda: list(names), lambda: names))


@command("set-names", example="cstore set-names --name base --name debian 3ede")
@words("items", "ITEM")
@texts("-n", "--name", metavar="NAME", help="New name; may be repeated. Without any, all names are removed.")
@json_option
def set_names(session: Session, items: tuple[str, ...], name: tuple[str, ...]) -> None:
    """Replace the names of an item.

    A name that another item of the same kind has moves to this one. An image of an additional store gets a record in
    this store; its layers stay there. Without --name, all names are removed, and standard error lists them.
    """
    item, store = _first(session, items), session.open(Intent.WRITE)
    try:
        before = () if name else store.names(item)
    except errors.CstoreError:
        before = ()  # set_names below raises and reports the same error
    _show(session, store.set_names(item, name))
    if before:
        session.warn([f"{item} has no name now, as no --name was given; it had {', '.join(before)}"])


@command("add-names", example="cstore add-names --name latest 3ede")
@words("items", "ITEM")
@texts("-n", "--name", metavar="NAME", help="Name to add; may be repeated.")
@json_option
def add_names(session: Session, items: tuple[str, ...], name: tuple[str, ...]) -> None:
    """Add names to an item.

    A name that another item of the same kind has moves to this one. An image of an additional store gets a record in
    this store; its layers stay there.
    """
    _show(session, session.open(Intent.WRITE).add_names(_first(session, items), name))


@command("remove-names", example="cstore remove-names --name latest 3ede")
@words("items", "ITEM")
@texts("-n", "--name", metavar="NAME", help="Name to remove; may be repeated.")
@json_option
def remove_names(session: Session, items: tuple[str, ...], name: tuple[str, ...]) -> None:
    """Remove names from an item.

    Names that the item does not have are ignored.
    """
    _show(session, session.open(Intent.WRITE).remove_names(_first(session, items), name))


@command("tag", example="cstore tag 2c037b app:1.0\ncstore tag app registry.example.org/app:1.0")
@word("image", "IMAGE")
@words("names", "NAME")
def tag(session: Session, image: str, names: tuple[str, ...]) -> None:
    """Add names to an image, as podman tag does.

    NAME is completed as Podman completes it: app becomes localhost/app:latest. A name that another image has moves to
    this one.
    """
    store = session.open(Intent.WRITE)
    store.add_names(store.resolve(image, "image").id, _completed(names))


@command("untag", example="cstore untag app docker.io/library/app:latest\ncstore untag debian")
@word("image", "IMAGE")
@words("names", "NAME", required=False)
def untag(session: Session, image: str, names: tuple[str, ...]) -> None:
    """Remove names from an image, as podman untag does.

    Without NAME, removes all names: only the ID finds the image then. NAME is completed as Podman completes it.
    """
    from cstore.errors import NameUnknown

    store = session.open(Intent.WRITE)
    identifier = store.resolve(image, "image").id
    has = store.names(identifier)
    gone = [name for name in _completed(names) if name not in has]
    if gone:
        raise NameUnknown(identifier, gone[0])
    store.remove_names(identifier, _completed(names) or has)


def _completed(names: tuple[str, ...]) -> list[str]:
    from cstore.store import podman_name

    return [podman_name(name) for name in names]


def _first(session: Session, items: tuple[str, ...]) -> str:
    """Return the first argument; on a terminal, warn about the others, which the Go tool ignores silently."""
    if len(items) > 1 and sys.stderr.isatty():
        session.warn([f"ignored after {items[0]}: {' '.join(items[1:])}"])
    return items[0]


def _show(session: Session, names: tuple[str, ...]) -> None:
    from cstore.cli.output import structured

    session.whole(structured.nothing_is_null(names))
