"""Output of deduplication: for scripts, in JSON, and for people."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.store import Sharing


def lines(found: Sharing, *, dry_run: bool, verbose: bool) -> Iterator[str]:
    """Return the Go tool's line, which includes what earlier runs shared. With `verbose`, the new savings follow."""
    if dry_run:
        yield f"Deduplication would save {found.saved} bytes in {found.files} files"
        return
    yield f"Deduplicated {found.shared} bytes"
    if verbose:
        yield f"Saved {found.saved} bytes in {found.files} files"


def document(found: Sharing, *, dry_run: bool, verbose: bool) -> dict[str, Any]:
    """Return the Go tool's object; other keys only on request."""
    told: dict[str, Any] = {"Deduped": 0 if dry_run else found.shared}
    if dry_run or verbose:
        told |= {"DryRun": dry_run, "Saved": found.saved, "Files": found.files, "Failures": list(found.failures)}
    return told


def show(found: Sharing, *, dry_run: bool) -> None:
    """Show a sentence to a person."""
    from cstore.cli.output.terminal import console
    from cstore.cli.output.text import human_size

    out = console()
    if not found.files:
        already = f": equal files share {human_size(found.shared)} already" if found.shared else ""
        out.print(f"nothing to deduplicate{already}", style="dim", soft_wrap=True)
        return
    count = "1 file" if found.files == 1 else f"{found.files} files"
    verb = "would save" if dry_run else "saved"
    out.print(f"{verb} {human_size(found.saved)} in {count}, {human_size(found.shared)} shared in all", soft_wrap=True)
