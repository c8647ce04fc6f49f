"""The commands `rm` and `prune`, which preview a deletion and keep items in use."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, texts, words
from cstore.cli.options import kind_option
from cstore.cli.session import Intent, Session, View
from cstore.errors import InvalidDuration, InvalidOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cstore import Store
    from cstore.insight import Plan, Refusal, Rules

_POLICY: dict[str, tuple[type, ...]] = {
    "dangling": (bool,), "unused": (bool,), "older_than": (str,), "unused_for": (str,), "keep": (str, list),
    "keep_last": (int, str), "max_size": (str, int), "free": (str, int),
}  # fmt: skip
"""The keys of a policy file, and the types of their values."""
_MOST_DIGITS = 6
_LONG_UNITS = {"d": 86_400, "w": 7 * 86_400}


@command(
    "rm",
    example="cstore rm --dry-run old-image\ncstore rm old-image old-container\ncstore rm --force --yes debian\n"
    "cstore rm --kind layer --keep 7 app",
)
@words("items", "ITEM")
@switch("--dry-run", help="Delete nothing; list what would be deleted and the bytes freed.")
@switch("-f", "--force", help="Delete containers in use; delete images' unused containers too.")
@switch("-y", "--yes", help="Do not ask for confirmation on a terminal.")
@text("--keep", metavar="DAYS", help="Move items into quarantine; cstore gc deletes them after DAYS days.")
@kind_option
@json_option
def rm(session: Session, /, items: tuple[str, ...], **wanted: Any) -> None:
    """Delete images, containers and layers that nothing else needs.

    Deletes a container with its layer, and an image with the layers that only it uses. If something else uses one of
    the ITEMs, deletes nothing: the error names the user and the command that frees the item. Each line has kind, ID,
    bytes on disk and names of a deleted item; the last line, `total`, the bytes freed, including those that only the
    ITEMs share.

    A container that runs a process, or that another mount namespace has mounted, is deleted only with --force, and only
    if it is an ITEM itself. With --force, an image is deleted together with its unused containers.

    --keep frees no space yet: `cstore repair --undo CASE` brings everything back, until the days are over and `cstore
    gc` runs. `cstore gc --quarantine 0` deletes it earlier.

    Exit status: 1 if an ITEM is unknown or in use, and nothing was deleted; or if an item became busy meanwhile, and
    the others were deleted.
    """
    from cstore.insight import plan_removal

    dry_run, keep = bool(wanted["dry_run"]), str(wanted["keep"])
    if keep and not (keep.isascii() and keep.isdecimal() and len(keep) <= _MOST_DIGITS):
        raise InvalidOption(f"--keep: {keep!r} is not a number of days")
    store = session.open(Intent.CONTENT if dry_run else Intent.WRITE)
    named = [store.resolve(item, str(wanted["kind"])) for item in items]
    plan = plan_removal(store.context, named, force=bool(wanted["force"]))
    carry_out(session, store, plan, dry_run=dry_run, yes=bool(wanted["yes"]), keep=keep)


def carry_out(session: Session, store: Store, plan: Plan, *, dry_run: bool, yes: bool, keep: str = "") -> None:
    """Execute a plan after confirmation, and print the result; for a dry run, only print the plan.

    If the plan contains refusals, delete nothing and print them with the holders of the refused items.
    """
    from cstore.cli.output import removals as output

    if plan.refused and not dry_run:
        plan = plan.with_(going=(), freed=0)
    elif not dry_run:
        from cstore.cli.output.asking import agreed, can_ask

        if not yes and plan.going and can_ask():
            output.show(plan, dry_run=True, stderr=True)
            if not agreed("Delete these?"):
                return
        if keep:
            plan = _kept(session, store, plan, keep)
        else:
            from cstore.insight import remove

            done = remove(store.context, plan)
            for going, error in done.failed:
                session.complain(error, going.id)
            plan = plan.with_(going=done.going, freed=done.freed)
    session.show(
        View(
            lambda: output.document(plan, dry_run=dry_run),
            lambda: output.lines(plan),
            lambda: output.show(plan, dry_run=dry_run),
        )
    )
    for refusal in plan.refused:
        session.complain(refusal.error)
        _explain(session, store, refusal)
    session.warn(f"cannot read {path}: {reason}" for path, reason in plan.unread)
    made = ((each.names[0] if each.names else each.id, each) for each in plan.going if each.maker)
    session.warn(
        f"container {name} is known to {each.maker}, too, until you run: {each.command}" for name, each in made
    )
    if dry_run:
        session.warn_of_damage(plan.problems)
    else:  # the deletion was done, so damage elsewhere does not change the exit status
        session.warn(plan.problems)


def _kept(session: Session, store: Store, plan: Plan, days: str) -> Plan:
    """Move the items of a plan into quarantine; return the plan of the moved items, which frees no bytes."""
    from cstore.check import keep_aside
    from cstore.store.quarantine import KEEPING

    asked = [(each.kind, each.id) for each in plan.going if not (each.kind == "layer" and each.goes_with)]
    done = keep_aside(store.context, asked, f"{KEEPING} {int(days)}")
    for kind, identifier, error in done.failed:
        session.complain(error, f"{kind} {identifier}")
    gone = {identifier for _, identifier in done.done}
    if done.case:
        undo, gc = session.command(f"cstore repair --undo {done.case}"), session.command("cstore gc")
        session.warn([f"kept for {int(days)} days, then deleted by `{gc}`; restore it with: {undo}"])
    return plan.with_(going=tuple(each for each in plan.going if {each.id, each.goes_with} & gone), freed=0)


def _explain(session: Session, store: Store, refusal: Refusal) -> None:
    """Print all holders of a refused item, as `why` does."""
    from cstore.cli.output import holders as output
    from cstore.cli.output.streams import say
    from cstore.insight import holders
    from cstore.store import Item, ItemKind

    if not session.json:
        for line in output.lines(holders(store.context, Item(ItemKind(refusal.kind), refusal.id))):
            say(f"  {line}")


@command(
    "prune",
    example="cstore prune --dry-run\ncstore prune --unused --older-than 30d --yes\n"
    "cstore prune --dry-run --keep 'debian*' --keep-last 2\ncstore prune --dry-run --max-size 10G\n"
    "cstore prune --policy prune.toml --yes",
)
@switch("--dry-run", help="Delete nothing; list what would be deleted and the bytes freed.")
@switch("-a", "--unused", help="Images without a container; the default with any rule below.")
@switch("--dangling", help="Images without names; the default without any rule.")
@text("--older-than", metavar="AGE", help="Images older than AGE, for example 30d or 12h.")
@text("--unused-for", metavar="AGE", help="Images that no program has read for AGE.")
@texts("--keep", metavar="GLOB", help="Keep images whose name matches; may be repeated.")
@text("--keep-last", metavar="N", help="Keep the newest N images of each repository.")
@text("--max-size", metavar="SIZE", help="Delete the oldest images until all images together fit in SIZE.")
@text("--policy", metavar="FILE", help="Read rules from a TOML file; options override it.")
@text("--free", metavar="SIZE", help="Delete the oldest images until the file system has SIZE free.")
@switch("-y", "--yes", help="Do not ask for confirmation on a terminal.")
@json_option
def prune(session: Session, /, **wanted: Any) -> None:
    """Delete images that nothing uses, by rules.

    Without options, deletes images without names that no container and no other image was made from. With several
    rules, deletes only images that match all of them, and never one that a container or mount uses. --older-than
    counts from the creation of the image. No tool records when an image was last used; for --unused-for, an image is in
    use whenever a program reads its config: creating a container does, and so does `podman images`. The file system
    must record reads: noatime refuses the rule, relatime counts an image as used for a day longer. GLOB matches the
    whole name, the name without its tag, or either without `docker.io/library/` or `localhost/`. The output is that of
    `cstore rm`.

    A policy is a TOML file whose keys are the rules, such as `older-than = "30d"`, `keep = ["debian*", "base:*"]`,
    `keep-last = 2`, `max-size = "10G"`, `unused = true`; use one in a crontab, for example.

    Exit status: 1 if a rule is invalid, a record file is damaged, something could not be deleted, or the deletable
    images do not meet the budget.
    """
    from cstore.insight import plan_prune

    rules = _rules(_with_policy(wanted) if wanted["policy"] else wanted)
    store = session.open(Intent.CONTENT if wanted["dry_run"] else Intent.WRITE)
    found = plan_prune(store.context, rules)
    carry_out(session, store, found.plan, dry_run=bool(wanted["dry_run"]), yes=bool(wanted["yes"]))
    if found.missing:
        session.failed = True
        session.warn([f"the budget is missed by {found.missing} bytes: the rules allow no further deletion"])


def _with_policy(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options, completed by the rules of the policy file; rules on the command line take precedence.

    Raises:
        InvalidOption: the file is not TOML, or a key or its value is invalid.
        SystemFailure: the file cannot be read.
    """
    import tomllib

    from cstore.cli.files import read_whole

    path = str(wanted["policy"])
    try:
        found = tomllib.loads(read_whole(path).decode())
    except ValueError as error:
        raise InvalidOption(f"{path} is not a TOML file: {error}") from None
    merged = dict(wanted)
    for key, value in found.items():
        name = key.replace("-", "_")
        kinds = _POLICY.get(name)
        if kinds is None or type(value) not in kinds:
            problem = "is not a rule" if kinds is None else "has an invalid value"
            raise InvalidOption(f"{path}: {key!r} {problem}", hint=f"rules are {', '.join(sorted(_POLICY))}")
        if not wanted[name]:
            merged[name] = [str(each) for each in value] if type(value) is list else value
    if isinstance(merged["keep"], str):
        merged["keep"] = (merged["keep"],)
    return merged


def _rules(wanted: Mapping[str, Any]) -> Rules:
    """Return the rules in the options.

    Raises:
        InvalidOption: a rule is invalid, or two rules exclude each other.
    """
    from cstore.insight import Rules

    if wanted["dangling"] and wanted["unused"]:
        raise InvalidOption("--dangling and --unused exclude each other", hint="give one of them")
    chosen = any(wanted[name] for name in _POLICY if name != "dangling")
    last = str(wanted["keep_last"] or "0")
    if not (last.isascii() and last.isdecimal()):
        raise InvalidOption(f"--keep-last: {last!r} is not a number of images")
    return Rules(
        dangling=bool(wanted["dangling"]) or not chosen,
        older_than=_age(str(wanted["older_than"])) if wanted["older_than"] else -1,
        unused_for=_age(str(wanted["unused_for"])) if wanted["unused_for"] else -1,
        keep=tuple(wanted["keep"]),
        keep_last=int(last),
        max_size=_size("--max-size", str(wanted["max_size"])) if wanted["max_size"] else -1,
        free=_size("--free", str(wanted["free"])) if wanted["free"] else -1,
    )


def _age(words: str) -> float:
    """Return an age in seconds, from a number of days or weeks, or from a duration as in other options."""
    from cstore.check import parse_duration

    number, unit = words[:-1], words[-1:]
    if unit in _LONG_UNITS and number.isascii() and number.isdecimal():
        return int(number) * _LONG_UNITS[unit]
    age = parse_duration(words)
    if age < 0:
        raise InvalidDuration(words, "it is negative")
    return age


def _size(option: str, words: str) -> int:
    from cstore.config import parse_size

    try:
        return parse_size(words)
    except ValueError as error:
        raise InvalidOption(f"{option}: {error}") from None
