"""Commands that mount and unmount layers, containers and images, and that list the mounted ones."""

from __future__ import annotations

from cstore import errors
from cstore.cli.command import command, json_option, switch, text, texts, words
from cstore.cli.session import Intent, Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore import Store


@command("mount", example="cstore mount base\ncstore mount --read-only debian")
@words("items", "ITEM")
@switch("-r", "--read-only", "--ro", help="Mount images read-only: each ITEM is an image.")
@text("-l", "--label", help="SELinux label to use instead of the recorded one.")
@texts("-o", "--opt", metavar="OPTION", ignored=True, help="Accepted and ignored, as by containers-storage.")
@json_option
def mount(session: Session, items: tuple[str, ...], read_only: bool, label: str) -> None:
    """Mount layers or containers, or images read-only.

    Prints each mount point, and an empty line for each item that failed. cstore counts mounts: each one needs its own
    unmount.

    Mounts of an ordinary user exist only inside a user namespace and end with it: see cstore unshare.
    """
    store = session.open(Intent.WRITE)
    results: list[object] = []
    for item in items:
        path, problem = "", ""
        try:
            path = _mount(store, item, label, read_only=read_only)
        except errors.CstoreError as error:
            problem = error.go_text
            session.report(error, item)
        session.show(_view({"id": item, "mountpoint": path, "error": problem}, path), into=results)
    session.whole(results)


def _view(document: dict[str, object], *lines: str) -> View:
    """Return the view of the result for one item."""
    return View(lambda: document, lambda: lines)


def _mount(store: Store, item: str, label: str, *, read_only: bool) -> str:
    from cstore.store import refuse_unseen

    try:
        path = store.images.mount(item, label=label) if read_only else store.mount(item, label=label)
    except errors.UnknownItem as error:
        if not read_only and store.images.find(item) is not None:
            error.hint = "it is an image: use cstore mount --read-only, or create a container from it"
        raise
    try:
        refuse_unseen(item, path)
    except errors.CstoreError:
        (store.images if read_only else store).unmount(item)
        raise
    return path


@command("unmount", example="cstore unmount base")
@words("items", "ITEM")
@switch("-f", "--force", help="Unmount whatever the mount count.")
@json_option
def unmount(session: Session, items: tuple[str, ...], force: bool) -> None:
    """Unmount layers, containers or images.

    ITEM may also be a mount point. An item with other mounts stays mounted, and its ID is not printed. Images' IDs are
    never printed.
    """
    from cstore.store import MOUNT_FIRST, ItemKind

    store = session.open(Intent.WRITE)
    results: list[object] = []
    for item in items:
        problem = ""
        said: tuple[str, ...] = ()
        try:
            found = store.find(item, MOUNT_FIRST)
            if found is not None and found.item_kind is ItemKind.IMAGES:
                store.images.unmount(item, force=force)
            elif not store.unmount(item, force=force):
                said = (f"{item} mountpoint unmounted",)
        except errors.CstoreError as error:
            problem = error.go_text
            session.report(error, item)
        session.show(_view({"id": item, "error": problem}, *said), into=results)
    session.whole(results)


@command("mounted", example="cstore mounted base")
@words("items", "ITEM")
@json_option
def mounted(session: Session, items: tuple[str, ...]) -> None:
    """List the given layers or containers that are mounted.

    An item that is not mounted is not an error; an unknown item is.
    """
    store = session.open(Intent.RECORDS)
    results: list[object] = []
    for item in items:
        is_mounted, problem = False, ""
        try:
            is_mounted = store.mounted(item)
        except errors.CstoreError as error:
            problem = error.go_text
            session.report(error, item)
        said = (f"{item} mounted",) if is_mounted else ()
        session.show(_view({"id": item, "error": problem, "mounted": is_mounted}, *said), into=results)
    session.whole(results)
