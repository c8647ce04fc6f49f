"""Who holds an item, and whose a thing is."""

from __future__ import annotations

from cstore.cli.command import command, json_option, words
from cstore.cli.options import kind_option
from cstore.cli.session import Intent, Session, View
from cstore.errors import CstoreError


@command(
    "why",
    example="cstore why debian\ncstore why --kind layer base\ncstore why web old-container\n"
    "cstore why --json debian | jq -r '.items[].held_by[].command'",
)
@words("items", "ITEM")
@kind_option
@json_option
def why(session: Session, items: tuple[str, ...], kind: str) -> None:
    """Show what holds images, containers and layers.

    An image is held by the containers that were made from it and by its mounts; a container by its mounts and by the
    processes that live in it; a layer by the layers that build on it, and by images and containers. Each holder is
    below what it holds, with the tool that made it and the command that lets go. Of many layers in a row that have no
    name, the last one is shown. Without the right to look at all processes, the answer says so.

    Exit status: 0 whether an ITEM is held or not, 1 if one is not known, or the records are damaged.
    """
    from cstore.cli.output import holders as output
    from cstore.insight import holders

    store = session.open(Intent.RECORDS)
    found = []
    for item in items:
        try:
            found.append(holders(store.context, store.resolve(item, kind)))
        except CstoreError as error:
            session.complain(error, item)
    session.show(
        View(
            lambda: output.document(found),
            lambda: (line for each in found for line in output.lines(each)),
            lambda: output.show(found),
        )
    )


@command(
    "whois",
    example="cstore whois /var/lib/containers/storage/storage.lock\ncstore whois 2c037b\ncstore whois --json debian",
)
@words("texts", "PATH|HASH|LINK|PID|MOUNT")
@json_option
def whois(session: Session, texts: tuple[str, ...]) -> None:
    """Show whose a path, hash, link, process or mount point is.

    A path below the graph root or the run root is a layer's, an image's or a container's, or the store's own: record
    files and locks, staging, quarantine, leftovers. Any other path may be where a container is mounted. A hash is an
    ID, a digest, the beginning of one, or the name of a directory without a record. A link is the short name of a
    layer in `overlay/l`. Of a process, it is told in which container it is: by its root, its directory and its control
    group. A line has the kind, the ID or the path, the names, and how it is known; for a layer, the images and the
    containers follow that it is for.

    Exit status: 1 if something has nothing to do with the store.
    """
    from cstore.cli.output import identities as output
    from cstore.insight import identify

    store = session.open(Intent.RECORDS)
    found = {}
    for text in texts:
        try:
            found[text] = identify(store.context, text)
        except CstoreError as error:
            session.complain(error)
    session.show(
        View(
            lambda: output.document(found),
            lambda: (line for answers in found.values() for line in output.lines(answers)),
            lambda: output.show(one for answers in found.values() for one in answers),
        )
    )
