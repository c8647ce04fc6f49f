"""The commands `why` and `whois`, which show the holders of an item and the owner of a path, hash or process."""

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

    Containers and mounts hold an image; mounts and running processes hold a container; layers above, images and
    containers hold a layer. Prints each holder below what it holds, with the tool that created it and the command that
    releases it. Shows only the last of several unnamed layers in a row. Says so if it may not inspect all processes.

    Exit status: 0 whether an ITEM is held or not; 1 if an ITEM is unknown or the records are damaged.
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
    session.warn_of_damage(problem for each in found for problem in each.problems)


@command(
    "whois",
    example="cstore whois /var/lib/containers/storage/storage.lock\ncstore whois 2c037b\ncstore whois --json debian",
)
@words("texts", "PATH|HASH|LINK|PID|MOUNT")
@json_option
def whois(session: Session, texts: tuple[str, ...]) -> None:
    """Show what a path, hash, link, process or mount point belongs to.

    PATH is a path below the graph root or run root, which belongs to a layer, an image, a container or the store itself
    (record files, locks, staging, quarantine, leftovers); or a path where a container is mounted. HASH is an ID, a
    digest, a prefix of one, or the name of a directory without a record. LINK is a layer's short name in `overlay/l`.
    PID is a process: its root, working directory and control group tell its container. Each line has the kind, the ID
    or path, the names, and the evidence; below a layer come the images and containers that use it.

    Exit status: 1 if an argument has nothing to do with the store.
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
    session.warn_of_damage(problem for answers in found.values() for one in answers for problem in one.problems)
