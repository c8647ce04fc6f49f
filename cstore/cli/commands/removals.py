"""Deletion without fear: what goes is shown, and what something holds stays."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, words
from cstore.cli.options import kind_option
from cstore.cli.session import Intent, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore import Store
    from cstore.insight import Plan


@command(
    "rm",
    example="cstore rm --dry-run old-image\ncstore rm old-image old-container\ncstore rm --force --yes debian\n"
    "cstore rm --kind layer app",
)
@words("items", "ITEM")
@switch("--dry-run", help="Delete nothing; list what would go, and the bytes that would be free.")
@switch("-f", "--force", help="Take the containers of images along, unless somebody lives in one.")
@switch("-y", "--yes", help="Do not ask, as is done on a terminal.")
@kind_option
@json_option
def rm(session: Session, items: tuple[str, ...], dry_run: bool, force: bool, yes: bool, kind: str) -> None:
    """Delete images, containers and layers that nothing else needs.

    A container takes its layer along, an image the layers that only it needs. What something holds that is not deleted
    as well stays, and so does everything else then: the error says what holds it, and how to let go. A line has the
    kind, the ID, the bytes on disk and the names of what goes; the last one, `total`, the bytes that are free then.
    What the ITEMs share with each other is free when all of them go.

    Exit status: 1 if an ITEM is not known or cannot go; nothing was deleted then. Also if something could not be
    deleted that was free a moment ago; all else is gone.
    """
    from cstore.insight import plan_removal

    store = session.open(Intent.CONTENT if dry_run else Intent.WRITE)
    wanted = [store.resolve(item, kind) for item in items]
    carry_out(session, store, plan_removal(store.context, wanted, force=force), dry_run=dry_run, yes=yes)


def carry_out(session: Session, store: Store, plan: Plan, *, dry_run: bool, yes: bool) -> None:
    """Show a plan, or do what it says if a person agrees, and say what came of it. What is refused ends it."""
    from cstore.cli.output import removals as output
    from cstore.insight import remove

    if plan.refused and not dry_run:
        plan = plan.with_(going=(), freed=0)
    elif not dry_run:
        if not _agreed(plan, yes=yes):
            return
        done = remove(store.context, plan)
        plan = plan.with_(going=done.going, freed=done.freed)
        for going, error in done.failed:
            session.complain(error, going.id)
    if session.json:
        session.document(output.document(plan, dry_run=dry_run))
    elif session.styled:
        output.show(plan, dry_run=dry_run)
    else:
        session.lines(output.lines(plan))
    for refusal in plan.refused:
        session.complain(refusal.error)
    session.warn(f"cannot read {path}: {reason}" for path, reason in plan.unread)


def _agreed(plan: Plan, *, yes: bool) -> bool:
    from cstore.cli.output import removals as output
    from cstore.cli.output.asking import agreed, can_ask

    if yes or not plan.going or not can_ask():
        return True
    output.show(plan, dry_run=True, stderr=True)
    return agreed("Delete these?")
