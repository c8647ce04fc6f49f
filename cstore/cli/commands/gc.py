"""What crashes leave behind."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text
from cstore.cli.session import Intent, Session
from cstore.errors import InvalidDuration


@command("gc", example="cstore gc --dry-run\ncstore gc --verbose\ncstore gc --quarantine 720h")
@switch("--dry-run", help="Remove nothing; list what would be removed.")
@switch("-v", "--verbose", help="List what was removed. On a terminal, that is the default.")
@switch("-q", "--quiet", help="List nothing, on a terminal too.")
@text("--quarantine", metavar="AGE", help="Throw away what repairs took out of the store longer ago than AGE, too.")
@json_option
def gc(session: Session, dry_run: bool, verbose: bool, quiet: bool, quarantine: str) -> None:
    """Remove what no record owns.

    That is what a process left that was killed while it made or removed something: directories, files, and layers that
    never became whole. Nothing is unmounted.
    """
    from cstore.cli.output import plain, structured

    store = session.open(Intent.CONTENT if dry_run else Intent.WRITE)
    age = _age(quarantine) if quarantine else None
    found = store.gc(dry_run=dry_run, quarantine_age=age)
    listed = dry_run or verbose
    if session.json:
        session.document(structured.leftovers(found) if listed else "")
    elif session.styled and not quiet:
        from cstore.cli.output import styled

        styled.leftovers(found, removed=not dry_run)
    elif listed and not quiet:
        session.lines(plain.leftovers(found))


def _age(text: str) -> float:
    from cstore.check.durations import parse_duration

    age = parse_duration(text)
    if age < 0:
        raise InvalidDuration(text, "it is negative")
    return age
