"""The end: of everything in the store, or of what the driver holds."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch
from cstore.cli.session import Intent, Session


@command("wipe", example="cstore wipe")
@json_option
def wipe(session: Session) -> None:
    """Delete all layers, images and containers.

    What is mounted is unmounted first. Additional stores are not touched.
    """
    session.open(Intent.WRITE).wipe()
    _done(session)


@command("shutdown", example="cstore shutdown --force")
@switch("-f", "--force", help="Unmount layers first.")
@json_option
def shutdown(session: Session, force: bool) -> None:
    """Release what the storage driver holds.

    Mounted layers are in the way, unless --force unmounts them.
    """
    session.open(Intent.WRITE).shutdown(force=force)
    _done(session)


def _done(session: Session) -> None:
    if session.json:
        session.document("")
