"""The command `df`, which shows the disk usage of a store and the bytes that a deletion frees."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, words
from cstore.cli.options import kind_option
from cstore.cli.session import Intent, Session, View
from cstore.errors import CstoreError, InvalidOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.insight import Usage
    from cstore.store import Store

_IN_RECORDS = frozenset({"layer-cycle", "parent-missing", "image-layer-missing", "container-layer-missing"})
"""The kinds of findings that follow from the records alone."""


@command(
    "df",
    example="cstore df\ncstore df -v\ncstore df --json -v | jq '.lines[] | select(.kind == \"orphan\")'\n"
    "cstore df --freed-by old-image old-container",
)
@words("items", "ITEM", required=False)
@switch("-v", "--verbose", help="Read the disk: a line for each item and for everything else.")
@switch("--freed-by", help="Print how many bytes deleting all ITEMs together frees.")
@kind_option
@json_option
def df(session: Session, items: tuple[str, ...], verbose: bool, freed_by: bool, kind: str) -> None:
    """Show what takes up the space of the store.

    Without options, takes sizes from the records, which is quick. Each line has a kind, the number of items, how many
    of them are used, their bytes, and the bytes of unused items; the last line has the file system's total, used and
    available bytes.

    With --verbose, reads the disk: every byte below the graph root is in exactly one line, so the second column, ON
    DISK, adds up to the result of du(1). Each line has the kind, the bytes on disk, the size, the shared and the unique
    bytes, the ID or path, and the names. The size of an image or container includes all its layers; its unique bytes
    are those that nothing else needs; its bytes on disk are only those of its data items, because layers have their own
    lines. Blocks that several files share count once. The last line has the total, and the result of du(1). `cstore gc`
    removes orphans; `cstore whois PATH` explains a path.

    With --freed-by, deletes nothing. Counts data that the ITEMs share if nothing else needs it. On btrfs, adds what the
    files take among the metadata, which is an estimate; data blocks are counted exactly.

    Exit status: 1 if something could not be read, or the records are damaged; the output is correct but incomplete.
    """
    if items and not freed_by:
        raise InvalidOption("ITEM needs --freed-by", hint="cstore df --freed-by ITEM…")
    if freed_by:
        _freed_by(session, items, kind)
    elif verbose:
        _everything(session)
    else:
        _summary(session)


def _summary(session: Session) -> None:
    from cstore.cli.output import usage as output
    from cstore.cli.output.streams import say
    from cstore.insight import summary

    found = summary(session.open(Intent.RECORDS).context)
    session.show(
        View(
            lambda: output.summary_document(found),
            lambda: output.summary_lines(found),
            lambda: output.show_summary(found),
            beside=lambda: say(f"cstore: {output.NOT_READ}"),
        )
    )
    session.warn_of_damage(found.problems)
    for flaw in found.flaws:
        session.complain(flaw)


def _everything(session: Session) -> None:
    from cstore.cli.output import usage as output
    from cstore.insight import usage

    store = session.open(Intent.CONTENT)
    found = usage(store.context)
    found = found.with_(problems=(*found.problems, *_damage(session, store, found)))
    session.show(
        View(
            lambda: output.usage_document(found),
            lambda: output.usage_lines(found),
            lambda: output.show_usage(found),
            beside=lambda: session.warn(found.notes),
        )
    )
    session.warn(f"cannot read {path}: {reason}" for path, reason in found.unread)
    session.failed = session.failed or bool(found.unread)
    session.warn_of_damage(found.problems)
    for flaw in found.flaws:
        session.complain(flaw)


def _damage(session: Session, store: Store, found: Usage) -> Iterator[str]:
    """Yield the losses in the listed layers and data items, as sentences from the findings of a quick check."""
    from cstore.check import CheckOptions, Severity, check_store

    if not found.roots:
        return
    try:
        report = check_store(store, CheckOptions(layer_digests=False, layer_contents=False))
    except CstoreError as error:
        session.warn([f"cannot tell whether something is lost: {error.message}"])
        return
    for each in report.findings:
        damage = each.severity is Severity.DATA or (each.severity is Severity.RECORDS and each.subject.kind == "layer")
        if (damage or each.kind == "tar-split-missing") and each.kind not in _IN_RECORDS:
            yield f"{each.subject.kind} {each.subject.name}: {each.sentence}"


def _freed_by(session: Session, items: tuple[str, ...], kind: str) -> None:
    from cstore.cli.output import removals as output
    from cstore.insight import plan_removal

    if not items:
        raise InvalidOption("--freed-by needs an ITEM", hint="cstore df --freed-by ITEM…")
    store = session.open(Intent.CONTENT)
    plan = plan_removal(store.context, [store.resolve(item, kind) for item in items])
    for refusal in plan.refused:
        session.complain(refusal.error)
    session.show(
        View(
            lambda: output.document(plan, dry_run=True),
            lambda: [str(plan.freed)],
            lambda: output.show(plan, dry_run=True),
        )
    )
    session.warn(f"cannot read {path}: {reason}" for path, reason in plan.unread)
    session.warn_of_damage(plan.problems)
