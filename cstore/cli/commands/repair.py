"""The command `repair`, which repairs a damaged store or undoes an earlier repair."""

from __future__ import annotations

import sys

from cstore.cli.command import command, json_option, switch, text, texts
from cstore.cli.registries import registry_options
from cstore.cli.session import Intent, Session, View
from cstore.errors import NotAgreed, UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.check.repair import Plan, Repaired, RepairOptions, Step
    from cstore.errors import CstoreError

FORMATS = ("text", "json")


@command(
    "repair",
    example="cstore repair --dry-run\ncstore repair --yes\ncstore repair --yes --from image.tar\n"
    "cstore repair --yes --from docker://docker.io/library/debian:12\ncstore repair --list",
)
@switch("--dry-run", help="Show the plan, and do nothing.")
@switch("-y", "--yes", help="Apply the plan without asking.")
@texts(
    "--from",
    metavar="PATH",
    help="Recover lost data from an archive of a layer or image, another store, or docker://NAME; may be repeated.",
)
@texts("--name", metavar="ID=NAME", help="Name an image whose name is lost; may be repeated.")
@switch("--remove", help="Move what cannot be healed into quarantine.")
@switch("--list", help="List the quarantine cases of earlier repairs.")
@text("--undo", metavar="CASE", help="Restore what a repair moved into quarantine, and the records it changed.")
@text(
    "--search-time",
    metavar="DURATION",
    help="Time limit per layer for rebuilding a lost tar-split (default: 1m; 0: do not try).",
)
@text("--format", metavar="FORMAT", help="text: alike steps grouped, as on a terminal; or json.", choices=FORMATS)
@registry_options
@json_option
def repair(session: Session, /, **wanted: Any) -> None:
    """Heal a damaged store.

    Checks the store, shows the plan (each step, its reason and its evidence, and what cannot be healed), applies it
    after confirmation, and checks again. A damaged record file must be rebuilt before cstore can judge what it
    describes: the steps for that form a second plan, which is shown and confirmed separately. With --yes, prints each
    plan and applies it without asking. A quarantine case below the graph root keeps everything that a step removes or
    changes; --undo restores it, and `cstore gc --quarantine AGE` deletes old cases.

    Rebuilds records from directories, manifests and configs; the storage driver's files from records; layers from their
    own files, from other layers with the same file, or from the sources given with --from. Of an image in a registry,
    docker://NAME, fetches only the layers that it needs. Never touches sound data, and removes nothing without
    --remove.

    If a layer's tar-split is lost, writes the layer as the programs that make layers would have written it, until the
    digest matches the recorded one. If none matches within --search-time, the layer stays as it is: it works, but
    cannot be exported byte for byte without its original archive (--from).

    An ordinary user's store is checked and repaired inside the user's namespace, also with --dry-run.

    Exit status: 0: the store is sound (leftovers may remain). 1: damage, or a layer that cannot be exported byte for
    byte, remains; a step failed; or, with --dry-run, damage was found. 2: usage error.
    """
    session.json = session.json or wanted["format"] == "json"
    if wanted["list"]:
        _list(session)
    elif wanted["undo"]:
        _undo(session, str(wanted["undo"]))
    else:
        _repair(session, wanted)


def _repair(session: Session, wanted: dict[str, Any]) -> None:
    from cstore.check import parse_duration
    from cstore.check.repair import RepairOptions, repair_store
    from cstore.cli.output import repairs

    grouped = wanted["format"] == "text"
    asked = _Asking(session, yes=bool(wanted["yes"]), grouped=grouped)
    access, names = None, dict[str, list[str]]()
    if any(source.startswith("docker://") for source in wanted["from"]):
        from cstore.cli.registries import registry_access

        access = registry_access(wanted)[0]
    for each in wanted["name"]:
        image, equals, name = each.partition("=")
        if not (image and equals and name):
            raise UsageMistake(f"{each!r} is not of the form ID=NAME")
        names.setdefault(image, []).append(name)
    options = RepairOptions(
        sources=wanted["from"],
        access=access,
        names=names,
        remove=bool(wanted["remove"]),
        dry_run=bool(wanted["dry_run"]),
        by="cstore repair" + (" --remove" if wanted["remove"] else ""),
        agree=asked.agree,
        told=asked.told,
    )
    if wanted["search_time"]:
        options = options.with_(search_time=parse_duration(wanted["search_time"]))
    store = session.open(Intent.CONTENT if options.dry_run else Intent.WRITE)
    result = repair_store(store.context, options)
    session.failed = session.failed or not result.healed
    if session.json:
        session.document(repairs.document(result))
    elif options.dry_run:
        _show(session, result.plans[0], grouped=grouped)
    else:
        _conclude(session, result, options, grouped=grouped)


def _show(session: Session, plan: Plan, *, grouped: bool) -> None:
    from cstore.cli.output import repairs

    session.show(
        View(
            plan.document,
            lambda: repairs.text(plan) if grouped else repairs.plan(plan),
            lambda: repairs.styled_plan(plan),
        )
    )


def _conclude(session: Session, result: Repaired, options: RepairOptions, *, grouped: bool) -> None:
    from cstore.cli.output import repairs

    last = result.plans[-1].with_(steps=())
    seen_now = () if options.remove else tuple(one for one in last.unrepairable if one not in result.lost)
    last = last.with_(unrepairable=(*result.lost, *seen_now))
    if last.unrepairable or last.unused:
        _show(session, last, grouped=grouped)
    session.lines(repairs.summary(result))


class _Asking:
    """Prints each plan, asks for confirmation, and prints the result of each step.

    Steps that become known only after earlier steps form a separate plan, which is printed and confirmed separately.
    """

    def __init__(self, session: Session, *, yes: bool, grouped: bool) -> None:
        self._session, self._yes, self._grouped = session, yes, grouped

    def agree(self, plan: Plan) -> bool:
        """Print a plan and return whether to apply it: with --yes, or if the user confirms it on the terminal.

        Raises:
            NotAgreed: --yes is missing, and there is no terminal or the output is JSON. Nothing was done.
        """
        if self._session.json:
            if not self._yes:
                raise NotAgreed(len(plan.steps))
            return True
        _show(self._session, plan, grouped=self._grouped)
        if self._yes:
            sys.stdout.flush()
            return True
        from cstore.cli.output.asking import agreed, can_ask

        if not can_ask():
            raise NotAgreed(len(plan.steps))
        return agreed("Apply this step?" if len(plan.steps) == 1 else f"Apply these {len(plan.steps)} steps?")

    def told(self, step: Step, failure: CstoreError | None) -> None:
        """Print that a step is done, or the error that prevented it."""
        if failure is not None:
            self._session.complain(failure, step.subject.name)
        elif not self._session.json:
            self._session.lines([f"done: {step.what}"])


def _list(session: Session) -> None:
    from cstore.cli.output import repairs
    from cstore.store.quarantine import cases

    found = cases(session.open(Intent.RECORDS).context)
    session.show(
        View(
            lambda: [repairs.case_document(case) for case in found],
            lambda: (line for case in found for line in repairs.case_lines(case)),
            lambda: repairs.styled_cases(found),
        )
    )


def _undo(session: Session, word: str) -> None:
    from cstore.cli.output.structured import VERSION
    from cstore.store.quarantine import undo

    undone = undo(session.open(Intent.WRITE).context, word)
    session.failed = bool(undone.left)
    session.show(
        View(
            lambda: {"version": VERSION, "case": undone.case, "done": list(undone.done), "left": list(undone.left)},
            lambda: [*undone.done, *(f"not restored: {sentence}" for sentence in undone.left)],
        )
    )
