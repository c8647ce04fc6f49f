"""The command `gc`, which removes the leftovers of interrupted commands."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text
from cstore.cli.session import Intent, Session, View
from cstore.errors import InvalidDuration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from typing import Any

    from cstore import Store

_MOST_NAMED = 5


@command("gc", example="cstore gc --dry-run\ncstore gc --verbose\ncstore gc --foreign\ncstore gc --quarantine 720h")
@switch("--dry-run", help="Remove nothing; list what would be removed.")
@switch("-v", "--verbose", help="List what was removed (the default on a terminal).")
@switch("-q", "--quiet", help="List nothing, even on a terminal.")
@switch("--foreign", help="Move foreign files into quarantine.")
@switch("--partial", help="Delete partial downloads of any age, not only those older than a week.")
@text("--quarantine", metavar="AGE", help="Delete quarantine cases older than AGE, too.")
@switch("-y", "--yes", help="Do not ask for confirmation of --foreign and --quarantine.")
@json_option
def gc(session: Session, /, **wanted: Any) -> None:
    """Remove what interrupted commands left behind.

    Removes directories, files, links and data items without a record, and layers that were never completed. Unmounts
    nothing. Lists and keeps files with names that no tool creates, such as a backup beside the layers; --foreign moves
    them into quarantine, from which `cstore repair --undo` brings them back. Keeps what an interrupted
    download has fetched for a week, so that the next pull continues there.

    Exit status: 1 if something could not be removed, including the unfinished work of earlier commands.
    """
    from cstore.cli.output import plain, structured

    dry_run, age = bool(wanted["dry_run"]), None
    store = session.open(Intent.CONTENT if dry_run else Intent.WRITE)
    if wanted["quarantine"]:
        from cstore.check import parse_duration

        age = parse_duration(str(wanted["quarantine"]))
        if age < 0:
            raise InvalidDuration(str(wanted["quarantine"]), "it is negative")
    if not dry_run and not _agreed(store, age, wanted):
        return
    found = store.gc(
        dry_run=dry_run,
        quarantine_age=age,
        foreign=bool(wanted["foreign"]),
        partial=bool(wanted["partial"]),
    )
    listed = dry_run or wanted["verbose"]

    def table() -> None:
        from cstore.cli.output import styled

        styled.leftovers(found, removed=not dry_run)

    session.show(
        View(
            lambda: structured.leftovers(found) if listed else "",
            lambda: plain.leftovers(found) if listed and not wanted["quiet"] else (),
            None if wanted["quiet"] else table,
        )
    )
    if not wanted["quiet"]:
        _tell_kept(session, store, wanted, {each.path for each in found})


def _agreed(store: Store, age: float | None, wanted: Mapping[str, Any]) -> bool:
    """Return whether to apply --foreign and --quarantine; on a terminal, list the paths and ask for confirmation."""
    from cstore.cli.output import plain
    from cstore.cli.output.asking import agreed, can_ask
    from cstore.cli.output.streams import say

    if wanted["yes"] or not (wanted["foreign"] or age is not None) or not can_ask():
        return True
    found = store.gc(dry_run=True, quarantine_age=age, foreign=bool(wanted["foreign"]))
    asked = [each for each in found if each.kind in {"foreign", "quarantine"}]
    for line in plain.leftovers(asked):
        say(line)
    thrown = any(each.kind == "quarantine" for each in asked)
    verb = "Delete what is in quarantine for good" if thrown else "Move these into quarantine"
    return not asked or agreed(f"{verb}?")


def _tell_kept(session: Session, store: Store, wanted: Mapping[str, Any], gone: AbstractSet[str]) -> None:
    """Warn about files that are kept because only --foreign or --partial removes them."""
    if not wanted["foreign"] and (found := store.foreign()):
        names = ", ".join(each.path for each in found[:_MOST_NAMED])
        names += f", and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        session.warn(
            [f"kept, because no tool creates such names: {names} (cstore gc --foreign moves them into quarantine)"]
        )
    if not wanted["partial"] and (kept := [each for each in store.partial_blobs() if each.path not in gone]):
        size = sum(each.size for each in kept)
        downloads = "1 partial download" if len(kept) == 1 else f"{len(kept)} partial downloads"
        session.warn([f"kept {size} bytes of {downloads} (cstore gc --partial deletes them)"])
