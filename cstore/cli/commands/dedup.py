"""Space: equal files made to share it."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text
from cstore.cli.session import Intent, Session, View


@command("dedup", example="cstore dedup --dry-run\ncstore dedup --hash-method sha256 --verbose")
@text("--hash-method", metavar="METHOD", help="How to find equal files: crc (the default), size or sha256.")
@switch("--dry-run", help="Change nothing; print what would be saved.")
@switch("-v", "--verbose", help="Also print the number of files and the space saved.")
@switch("-q", "--quiet", help="Show no progress.")
@json_option
def dedup(session: Session, hash_method: str, dry_run: bool, verbose: bool, quiet: bool) -> None:
    """Share the space of equal files.

    Works on file systems with reflinks (btrfs, and xfs with reflinks); does nothing elsewhere. The kernel compares the
    files before they share space, so this is safe while others use the store.
    """
    from cstore.cli.output import savings
    from cstore.cli.output.progress import progress_bar

    store = session.open(Intent.CONTENT if dry_run else Intent.WRITE)
    with progress_bar("Comparing", None, quiet=quiet or session.json) as progress:
        found = store.dedup(hash_method or "crc", dry_run=dry_run, progress=progress)
    session.warn(found.failures)
    session.show(
        View(
            lambda: savings.document(found, dry_run=dry_run, verbose=verbose),
            lambda: savings.lines(found, dry_run=dry_run, verbose=verbose),
            lambda: savings.show(found, dry_run=dry_run),
        )
    )
