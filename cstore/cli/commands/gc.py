"""What crashes leave behind."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch
from cstore.cli.session import Intent, Session


@command("gc", example="cstore gc --dry-run\ncstore gc --verbose")
@switch("--dry-run", help="Remove nothing; list what would be removed.")
@switch("-v", "--verbose", help="List what was removed. On a terminal, that is the default.")
@switch("-q", "--quiet", help="List nothing, on a terminal too.")
@json_option
def gc(session: Session, dry_run: bool, verbose: bool, quiet: bool) -> None:
    """Remove what no record owns.

    That is what a process left that was killed while it made or removed something: directories, files, and layers that
    never became whole. Nothing is unmounted.
    """
    from cstore.cli.output import plain, structured

    found = session.open(Intent.RECORDS if dry_run else Intent.WRITE).gc(dry_run=dry_run)
    listed = dry_run or verbose
    if session.json:
        session.document(structured.leftovers(found) if listed else "")
    elif session.styled and not quiet:
        from cstore.cli.output import styled

        styled.leftovers(found, removed=not dry_run)
    elif listed and not quiet:
        session.lines(plain.leftovers(found))
