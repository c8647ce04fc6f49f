"""The command `relocate`, which lists remaining references to the old place of a moved store."""

from __future__ import annotations

from cstore import presence
from cstore.cli.command import command, json_option, word
from cstore.cli.output.structured import VERSION
from cstore.cli.session import Session, View


@command(
    "relocate",
    example="cstore relocate /srv/old\ncstore relocate --json /srv/old",
)
@word("old", "OLD")
@json_option
def relocate(session: Session, old: str) -> None:
    """Show what still names the old place of a store.

    OLD is the graph root of a store whose images were copied elsewhere, for example with copy-image --all. Lists the
    configuration files, systemd units and Quadlet files that name it, its remaining containers, mounts below it, what
    Podman keeps there besides images, and a database of Podman at the new place that names the old one. Changes
    nothing. Prints kind, place and what was found, separated by tabs.

    Exit status: 1 if something still names it.
    """
    import os

    from cstore.errors import NoStore
    from cstore.insight import mentions

    if not presence.is_directory(old):
        raise NoStore(old)
    found = list(mentions(old, session.config))
    session.failed = bool(found)
    session.show(
        View(
            lambda: {"version": VERSION, "old": os.path.realpath(old), "found": [each.as_dict() for each in found]},
            lambda: (f"{each.kind}\t{each.where}\t{each.what}" for each in found),
        )
    )
    if session.styled:
        session.warn(dict.fromkeys(f"{each.where}: {each.remedy}" for each in found))
