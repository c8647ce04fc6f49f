"""The commands `wipe` and `shutdown`, which delete all items and unmount the driver."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch
from cstore.cli.session import Intent, Session


@command("wipe", example="cstore wipe")
@json_option
def wipe(session: Session) -> None:
    """Delete all layers, images and containers.

    Unmounts mounted items first. Deletes nothing if a process runs in a container, or another mount namespace has one
    mounted. Does not touch additional stores.
    """
    store = session.open(Intent.WRITE)
    counts = []
    if session.styled:
        counts = [len(store.containers.list()), len(store.images.list()), len(store.layers.ids())]
    store.wipe()
    session.whole("")
    if counts:
        nouns = ("container", "image", "layer")
        told = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in zip(counts, nouns, strict=True)]
        session.lines([f"deleted {told[0]}, {told[1]} and {told[2]}"])


@command("shutdown", example="cstore shutdown --force")
@switch("-f", "--force", help="Unmount layers first.")
@json_option
def shutdown(session: Session, force: bool) -> None:
    """Unmount the storage driver.

    Fails while layers are mounted, unless --force unmounts them.
    """
    session.open(Intent.WRITE).shutdown(force=force)
    session.whole("")
