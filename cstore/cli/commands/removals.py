"""Deletion without fear: what goes is shown, and what something holds stays."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, texts, words
from cstore.cli.options import kind_option
from cstore.cli.session import Intent, Session
from cstore.errors import InvalidDuration, InvalidOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cstore import Store
    from cstore.insight import Plan, Refusal, Rules

_LONG_UNITS = {"d": 86_400, "w": 7 * 86_400}


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
        _explain(session, store, refusal)
    session.warn(f"cannot read {path}: {reason}" for path, reason in plan.unread)


def _explain(session: Session, store: Store, refusal: Refusal) -> None:
    """Show all that holds what was refused, as `why` does."""
    from cstore.cli.output import holders as output
    from cstore.cli.output.streams import say
    from cstore.insight import holders
    from cstore.store import Item
    from cstore.store.places import Shelf

    if not session.json:
        for line in output.lines(holders(store.context, Item(Shelf(refusal.kind), refusal.id))):
            say(f"  {line}")


def _agreed(plan: Plan, *, yes: bool) -> bool:
    from cstore.cli.output import removals as output
    from cstore.cli.output.asking import agreed, can_ask

    if yes or not plan.going or not can_ask():
        return True
    output.show(plan, dry_run=True, stderr=True)
    return agreed("Delete these?")


@command(
    "prune",
    example="cstore prune --dry-run\ncstore prune --unused --older-than 30d --yes\n"
    "cstore prune --dry-run --keep 'debian*' --keep-last 2\ncstore prune --dry-run --max-size 10G",
)
@switch("--dry-run", help="Delete nothing; list what would go, and the bytes that would be free.")
@switch("-a", "--unused", help="All images without a container; the default with any rule below.")
@switch("--dangling", help="Only images without names; the default without any rule.")
@text("--older-than", metavar="AGE", help="Only images created at least so long ago, for example 30d or 12h.")
@texts("--keep", metavar="GLOB", help="Keep images with a name like this; may be repeated.")
@text("--keep-last", metavar="N", help="Keep the newest N images of each repository.")
@text("--max-size", metavar="SIZE", help="Delete, the oldest first, until all images have at most SIZE together.")
@text("--free", metavar="SIZE", help="Delete, the oldest first, until the file system has SIZE to give.")
@switch("-y", "--yes", help="Do not ask, as is done on a terminal.")
@json_option
def prune(session: Session, /, **wanted: Any) -> None:
    """Delete images that nothing uses, by rules.

    Without options, images go that have no names, and that no container came from and no image was built on. All rules
    have to agree on an image. What a container or a mount uses is never chosen. An age is that since the image was
    created, as the time when it was last used is not recorded. A GLOB is compared with the whole name, with the name
    without its tag, and with both without `docker.io/library/` or `localhost/`. Output is as that of `cstore rm`.

    Exit status: 1 if a rule makes no sense, a record file is damaged, or something could not be deleted; and if a
    budget is missed although all went that may.
    """
    from cstore.insight import plan_prune

    store = session.open(Intent.CONTENT if wanted["dry_run"] else Intent.WRITE)
    found = plan_prune(store.context, _rules(wanted))
    carry_out(session, store, found.plan, dry_run=bool(wanted["dry_run"]), yes=bool(wanted["yes"]))
    if found.missing:
        session.failed = True
        session.warn([f"the budget is missed by {found.missing} bytes: nothing else may go by these rules"])


def _rules(wanted: Mapping[str, Any]) -> Rules:
    """Read the rules.

    Raises:
        InvalidOption: one makes no sense.
    """
    from cstore.insight import Rules

    if wanted["dangling"] and wanted["unused"]:
        raise InvalidOption("--dangling and --unused exclude each other", hint="give one of them")
    chosen = any(wanted[name] for name in ("unused", "older_than", "keep", "keep_last", "max_size", "free"))
    last = str(wanted["keep_last"] or "0")
    if not (last.isascii() and last.isdecimal()):
        raise InvalidOption(f"--keep-last: {last!r} is not a number of images")
    return Rules(
        dangling=bool(wanted["dangling"]) or not chosen,
        older_than=_age(str(wanted["older_than"])) if wanted["older_than"] else -1,
        keep=tuple(wanted["keep"]),
        keep_last=int(last),
        max_size=_size("--max-size", str(wanted["max_size"])) if wanted["max_size"] else -1,
        free=_size("--free", str(wanted["free"])) if wanted["free"] else -1,
    )


def _age(words: str) -> float:
    """Read an age: days, weeks, or a duration as elsewhere; in seconds."""
    from cstore.check.durations import parse_duration

    number, unit = words[:-1], words[-1:]
    if unit in _LONG_UNITS and number.isascii() and number.isdecimal():
        return int(number) * _LONG_UNITS[unit]
    age = parse_duration(words)
    if age < 0:
        raise InvalidDuration(words, "it is negative")
    return age


def _size(option: str, words: str) -> int:
    from cstore.config.driver_options import parse_size

    try:
        return parse_size(words)
    except ValueError as error:
        raise InvalidOption(f"{option}: {error}") from None
