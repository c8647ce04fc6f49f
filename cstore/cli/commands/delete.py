"""Deleting: any item without a question, a container, or a layer or an image that nothing needs any more."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, words
from cstore.cli.session import Intent, Session
from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


@command("delete", example="cstore delete old-container old-image")
@words("items", "ITEM")
@json_option
def delete(session: Session, items: tuple[str, ...]) -> None:
    """Delete items, whether in use or not.

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


@command("delete-image", example="cstore delete-image --test debian\ncstore delete-image debian alpine")
@words("images", "IMAGE")
@switch("-t", "--test", help="Delete nothing; only say what would be deleted.")
@json_option
def delete_image(session: Session, images: tuple[str, ...], test: bool) -> None:
    """Delete images, and layers that only they need.

    An image that a container came from stays, and the error says which. The layers that are removed are listed on
    standard error, a line each after the IMAGE, as containers-storage does.
    """
    from cstore.cli.output import structured
    from cstore.cli.output.streams import say

    store = session.open(Intent.RECORDS if test else Intent.WRITE)
    results: dict[str, dict[str, object]] = {}
    for name in images:
        try:
            layers = store.images.delete(name, commit=not test)
        except CstoreError as error:
            results[name] = {"error": error.peer}
            session.report(error, name)
            continue
        results[name] = {"deleted-layers": list(layers)} if layers else {}
        for layer in () if session.json else layers:
            say(f"{name}: {layer}")
    if session.json:
        session.document(structured.mapping(results))


@command("delete-container", example="cstore delete-container web")
@words("containers", "CONTAINER")
@json_option
def delete_container(session: Session, containers: tuple[str, ...]) -> None:
    """Delete containers, with all that is theirs.

    Its layer, data items and directories go with a container. CONTAINER may also be the ID of its layer. What is
    mounted is unmounted first.
    """
    _each(session, containers, session.open(Intent.WRITE).containers.delete)


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
