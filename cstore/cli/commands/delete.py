"""Deleting: any item without a question, or a layer that nothing needs any more."""

from __future__ import annotations

from cstore.cli.command import command, json_option, words
from cstore.cli.session import Intent, Session
from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


@command("delete", example="cstore delete old-container old-image")
@words("items", "ITEM")
@json_option
def delete(session: Session, items: tuple[str, ...]) -> None:
    """Delete items, without asking whether they are in use.

    Each ITEM is looked for among containers, images and layers, in this order. A container takes its layer with it, an
    image leaves its layers. What is mounted is unmounted first.
    """
    _each(session, items, session.open(Intent.WRITE).delete)


@command("delete-layer", example="cstore delete-layer app base")
@words("layers", "LAYER")
@json_option
def delete_layer(session: Session, layers: tuple[str, ...]) -> None:
    """Delete layers on which nothing builds.

    A layer that another layer, an image or a container still needs stays, and the error says which.
    """
    _each(session, layers, session.open(Intent.WRITE).layers.delete)


def _each(session: Session, items: tuple[str, ...], remove: Callable[[str], None]) -> None:
    """Remove one item after another, whatever becomes of those before it."""
    from cstore.cli.output import structured

    results: dict[str, str] = {}
    for item in items:
        results[item] = ""
        try:
            remove(item)
        except CstoreError as error:
            results[item] = error.peer
            session.report(error, item)
    if session.json:
        session.document(structured.mapping(results))
