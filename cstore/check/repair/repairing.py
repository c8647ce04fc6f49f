"""A whole repair: check, plan, carry out, and again, until nothing is left that can be healed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.arguments import checked
from cstore.check.checking import check_store
from cstore.check.options import CheckOptions
from cstore.check.repair.planning import make_plan
from cstore.check.repair.repair_context import RepairContext
from cstore.check.repair.repair_view import RepairView
from cstore.check.repair.sources import Sources
from cstore.errors import CstoreError, ReadOnlyStore, SystemFailure
from cstore.fs.writable import is_writable
from cstore.store.context import context_of
from cstore.store.neighbours import require_image_store
from cstore.store.quarantine import keeping
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cstore.archive.dialects.layout import Archive
    from cstore.check.findings import Finding
    from cstore.check.repair.plan import Plan, Step, Unrepairable
    from cstore.check.report import Report
    from cstore.registry import Access
    from cstore.store import Store
    from cstore.store.context import Context

_MOST_ROUNDS = 8
"""One brings to light what the next one heals; no chain of damage is longer than this."""


class RepairOptions(Value):
    """How a repair is made.

    Attributes:
        sources: files, directories and stores from which lost bytes may be had, and `docker://NAME` of images.
        access: how registries are spoken to; None for what is configured.
        names: names for images whose names are lost, by the beginning of their ID.
        remove: take out what cannot be healed.
        dry_run: plan only.
        by: what is noted in the journal as the one who asked.
        agree: asked before a plan is carried out; None agrees to everything.
        told: told of each step when it is done, with the error if it failed.
        search_time: how long to look for the archive of each layer that has lost its tar-split, in seconds.
        workers, progress: as of a check.
    """

    sources: tuple[str, ...] = ()
    access: Access | None = None
    names: Mapping[str, Sequence[str]] = {}
    remove: bool = False
    dry_run: bool = False
    by: str = "cstore repair"
    agree: Callable[[Plan], bool] | None = None
    told: Callable[[Step, CstoreError | None], None] | None = None
    search_time: float = 60.0
    workers: int = 0
    progress: Callable[[int, int], None] | None = None


class Repaired(Value):
    """What came of a repair.

    Attributes:
        plans: what was planned, round by round.
        done: the steps that were carried out.
        failed: those that could not be, and why.
        left: the last check: what is still wrong.
        case: the quarantine case with all that was taken out or changed, "" if nothing was.
    """

    plans: tuple[Plan, ...]
    done: tuple[Step, ...]
    failed: tuple[tuple[Step, CstoreError], ...]
    left: Report
    case: str

    @property
    def serious(self) -> list[Finding]:
        """What is still wrong that is more than a leftover."""
        return [item for item in self.left.findings if item.severity.is_serious]

    @property
    def lost(self) -> list[Unrepairable]:
        """What could not be healed, and what nothing in the healed store tells of any more."""
        made = {(step.subject.kind, step.subject.id) for step in self.done}
        seen = [one for plan in self.plans for one in plan.unrepairable if one.last_seen]
        return [one for one in seen if (one.subject.kind, one.subject.id) not in made]

    @property
    def healed(self) -> bool:
        """Whether nothing is wrong any more, nothing went wrong, and nothing was lost."""
        return not (self.serious or self.failed or self.lost)


@checked
def repair_store(
    store: Store | Context,
    options: RepairOptions = RepairOptions(),  # noqa: B008  - it never changes
    report: Report | None = None,
) -> Repaired:
    """Heal a store.

    Args:
        store: the store.
        options: how.
        report: of a check; then what it does not tell is left as it is. None heals whatever is found. What is told and
            is no longer so is passed over: all of it is looked for again.

    Raises:
        ReadOnlyStore: nothing can be written to it. `check` works.
        Unsupported: this is root, and it is an ordinary user's; or things would be taken out that are damaged only
            because the image store is not mounted.
        SourceUnusable: a source is not there.
        LockTimeout: another repair is at work, or a writer was busy for too long.
    """
    context = context_of(store)
    if not options.dry_run and not is_writable(context.layout.graph_root):
        raise ReadOnlyStore("repair", context.layout.graph_root)
    if options.remove and not options.dry_run:
        require_image_store(context.layout)
    sources = Sources(context, options.sources, options.access)
    try:
        return _Repair(context, options, sources, report).run()
    finally:
        sources.close()


class _Repair:
    """One repair."""

    def __init__(
        self, context: Context, options: RepairOptions, sources: Sources, report: Report | None = None
    ) -> None:
        self._told = None if report is None else {finding.key for finding in report.findings}
        self._context, self._options, self._sources = context, options, sources
        self._plans: list[Plan] = []
        self._searched: dict[tuple[str, str], Archive | None] = {}
        self._done: list[Step] = []
        self._failed: list[tuple[Step, CstoreError]] = []

    def run(self) -> Repaired:
        """Go on round by round, as long as a round has steps that were not tried yet."""
        if self._options.dry_run:
            report = self._check()
            self._plan(report)
            return self._result(report, "")
        with keeping(self._context, self._options.by) as quarantine:
            repair = RepairContext(self._context, quarantine, self._sources)
            tried: set[object] = set()
            report = self._check()
            for _ in range(_MOST_ROUNDS):
                plan = self._plan(report)
                new = [step for step in plan.steps if step.key not in tried]
                if not new or not self._agreed(plan.with_(steps=tuple(new))):
                    break
                tried.update(step.key for step in new)
                self._carry_out(new, repair)
                report = self._check()
            return self._result(report, quarantine.case.id if quarantine.case else "")

    def _check(self) -> Report:
        return check_store(self._context, CheckOptions(workers=self._options.workers, progress=self._options.progress))

    def _plan(self, report: Report) -> Plan:
        options = self._options
        repair_view = RepairView(
            self._context,
            self._sources,
            options.names,
            remove=options.remove,
            search_time=options.search_time,
            searched=self._searched,
        )
        told = self._told
        plan = make_plan(repair_view, [each for each in report.findings if told is None or each.key in told])
        self._plans.append(plan)
        return plan

    def _agreed(self, plan: Plan) -> bool:
        return self._options.agree is None or self._options.agree(plan)

    def _carry_out(self, steps: Sequence[Step], repair: RepairContext) -> None:
        """Do one step after the other, whatever becomes of those before it."""
        for step in steps:
            failure: CstoreError | None = None
            try:
                step.act(repair)
            except (CstoreError, OSError) as error:
                failure = error if isinstance(error, CstoreError) else SystemFailure("heal", step.subject.name, error)
                self._failed.append((step, failure))
            else:
                self._done.append(step)
            if self._options.told is not None:
                self._options.told(step, failure)

    def _result(self, report: Report, case: str) -> Repaired:
        return Repaired(tuple(self._plans), tuple(self._done), tuple(self._failed), report, case)
