"""The command that makes equal files share space."""

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
    from cstore.cli.output.progress import progress_bar

    store = session.open(Intent.CONTENT if dry_run else Intent.WRITE)
    with progress_bar("Comparing", None, quiet=quiet or session.json) as progress:
        found = store.dedup(hash_method or "crc", dry_run=dry_run, progress=progress)
    session.warn(found.failures)
    # Print the Go tool's object and line, which include space shared by earlier runs; print more only on request.
    told: dict[str, object] = {"Deduped": 0 if dry_run else found.shared}
    if dry_run or verbose:
        told |= {"DryRun": dry_run, "Saved": found.saved, "Files": found.files, "Failures": list(found.failures)}
    saved = f"{found.saved} bytes in {found.files} files"
    lines = [f"Deduplicated {found.shared} bytes", *([f"Saved {saved}"] if verbose else ())]

    def show() -> None:
        from cstore.cli.output.terminal import console
        from cstore.cli.output.text import human_size

        shared = human_size(found.shared)
        if not found.files:
            already = f": equal files share {shared} already" if found.shared else ""
            console().print(f"nothing to deduplicate{already}", style="dim", soft_wrap=True)
            return
        count = "1 file" if found.files == 1 else f"{found.files} files"
        saves = f"{'would save' if dry_run else 'saved'} {human_size(found.saved)} in {count}"
        console().print(f"{saves}, {shared} shared in all", soft_wrap=True)

    session.show(View(lambda: told, lambda: [f"Deduplication would save {saved}"] if dry_run else lines, show))
