"""Commands that delete any item unconditionally, a container, or an unused layer or image."""

from __future__ import annotations

from cstore import errors
from cstore.cli.command import command, json_option, switch, words
from cstore.cli.session import Intent, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore import Container, Image, Layer
    from cstore.store import Item


@command("delete", example="cstore delete old-container old-image")
@words("items", "ITEM")
@json_option
def delete(session: Session, items: tuple[str, ...]) -> None:
    """Delete items even if they are in use.

    Looks for each ITEM among containers, images and layers, in this order. Deletes a container with its layer, and an
    image without its layers. Unmounts a mounted item first. Keeps a container in which a process runs, or that another
    mount namespace has mounted; `cstore rm --force` deletes it.
    """
    from cstore.store import CONTAINER_FIRST

    store = session.open(Intent.WRITE)
    _each(session, items, store.delete, lambda item: _described(store.find(item, CONTAINER_FIRST)))


@command("delete-layer", example="cstore delete-layer app base")
@words("layers", "LAYER")
@json_option
def delete_layer(session: Session, layers: tuple[str, ...]) -> None:
    """Delete unused layers.

    Keeps a layer that another layer, an image or a container uses; the error names the user.
    """
    store = session.open(Intent.WRITE)
    _each(session, layers, store.layers.delete, lambda item: _said("layer", store.layers.find(item)))


@command("delete-image", example="cstore delete-image --test debian\ncstore delete-image debian alpine")
@words("images", "IMAGE")
@switch("-t", "--test", help="Delete nothing; print what would be deleted.")
@json_option
def delete_image(session: Session, images: tuple[str, ...], test: bool) -> None:
    """Delete images and the layers only they use.

    Keeps an image that a container uses; the error names the container. Standard error lists the IMAGE and then each
    deleted layer, as containers-storage does.
    """
    from cstore.cli.output.streams import say
    from cstore.gojson import mapping

    store = session.open(Intent.RECORDS if test else Intent.WRITE)
    results: dict[str, dict[str, object]] = {}
    for name in images:
        try:
            gone = _said("image", store.images.find(name)) if session.styled else ""
            layers = store.images.delete(name, commit=not test)
        except errors.CstoreError as error:
            results[name] = {"error": error.go_text}
            session.report(error, name)
            continue
        results[name] = {"deleted-layers": list(layers)} if layers else {}
        for layer in () if session.json else layers:
            say(f"{name}: {layer}")
        if gone:
            session.lines([f"{'would delete' if test else 'deleted'} {gone}"])
    session.whole(mapping(results))


@command("delete-container", example="cstore delete-container web")
@words("containers", "CONTAINER")
@json_option
def delete_container(session: Session, containers: tuple[str, ...]) -> None:
    """Delete containers.

    Deletes the container's layer, data items and directories too. CONTAINER may also be the ID of its layer. Unmounts a
    mounted container first. Keeps a container in which a process runs, or that another mount namespace has mounted;
    `cstore rm --force` deletes it.
    """
    store = session.open(Intent.WRITE)
    _each(session, containers, store.containers.delete, lambda item: _said("container", store.containers.find(item)))


def _each(
    session: Session, items: tuple[str, ...], remove: Callable[[str], None], describe: Callable[[str], str]
) -> None:
    """Remove each item even if another one fails; on a terminal, print a description of each removed item."""
    from cstore.gojson import mapping

    results: dict[str, str] = {}
    for item in items:
        results[item] = ""
        gone = describe(item) if session.styled else ""
        try:
            remove(item)
        except errors.CstoreError as error:
            results[item] = error.go_text
            session.report(error, item)
        else:
            session.lines([f"deleted {gone}"] if gone else ())
    session.whole(mapping(results))


def _described(item: Item | None) -> str:
    return "" if item is None else f"{item.kind} {item.id}"


def _said(kind: str, record: Layer | Image | Container | None) -> str:
    """Return the kind, ID and names of an item to delete, as text for a terminal."""
    if record is None:
        return ""
    names = f" ({', '.join(record.names)})" if record.names else ""
    return f"{kind} {record.id}{names}"
