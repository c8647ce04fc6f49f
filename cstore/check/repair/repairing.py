"""Run a whole repair: check, plan and carry out, in rounds, until nothing repairable remains."""

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
"""A round may reveal what the next one repairs; no chain of damage is longer than this."""


class RepairOptions(Value):
    """The options of a repair.

    Attributes:
        sources: where to look for lost data: files, directories, graph roots of stores, and images in registries as
            `docker://NAME`.
        access: how to access registries; None for the configured way.
        names: names for images whose names are lost: ID prefix → names.
        remove: move what cannot be repaired into quarantine.
        dry_run: plan only; change nothing.
        by: the command that the journal names as the cause.
        agree: called with each plan before it is carried out; if it returns false, the repair ends. None agrees.
        told: called after each step, with its error or None.
        search_time: seconds to search for the archive of each layer whose tar-split is lost.
        workers, progress: as in `CheckOptions`.
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
    """The result of a repair.

    Attributes:
        plans: the plan of each round.
        done: the steps that succeeded.
        failed: the steps that failed, each with its error.
        left: the report of the last check.
        case: the ID of the quarantine case with everything that was moved or changed; "" if nothing was.
    """

    plans: tuple[Plan, ...]
    done: tuple[Step, ...]
    failed: tuple[tuple[Step, CstoreError], ...]
    left: Report
    case: str

    @property
    def serious(self) -> list[Finding]:
        """The serious findings of the last check."""
        return [item for item in self.left.findings if item.severity.is_serious]

    @property
    def lost(self) -> list[Unrepairable]:
        """Problems that could not be repaired and left no trace, so the last check does not report them."""
        made = {(step.subject.kind, step.subject.id) for step in self.done}
        seen = [one for plan in self.plans for one in plan.unrepairable if one.last_seen]
        return [one for one in seen if (one.subject.kind, one.subject.id) not in made]

    @property
    def healed(self) -> bool:
        """Whether no serious finding remains, no step failed, and nothing was lost."""
        return not (self.serious or self.failed or self.lost)


@checked
def repair_store(
    store: Store | Context,
    options: RepairOptions = RepairOptions(),  # noqa: B008  - it is immutable
    report: Report | None = None,
) -> Repaired:
    """Repair a store.

    Args:
        store: the store.
        options: the options.
        report: repair only the findings of this report; None repairs everything. Findings that no longer hold are
            skipped, because each round checks the store again.

    Raises:
        ReadOnlyStore: the store cannot be written. `check` works.
        Unsupported: root would write into an ordinary user's store; or, with `remove`, the separate image store is not
            mounted, so sound items would look damaged.
        SourceUnusable: a source does not exist.
        LockTimeout: another repair is running, or a writer held a lock for longer than the store's lock policy allows.
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
        """Run rounds until one has no step that was not tried before."""
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
                agree = self._options.agree
                if not new or (agree is not None and not agree(plan.with_(steps=tuple(new)))):
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

    def _carry_out(self, steps: Sequence[Step], repair: RepairContext) -> None:
        """Carry out the steps in order; a failure does not stop the others."""
        for step in steps:
            failure: CstoreError | None = None
            try:
                step.act(repair)
            except (CstoreError, OSError) as error:
                failure = error if isinstance(error, CstoreError) else SystemFailure("repair", step.subject.name, error)
                self._failed.append((step, failure))
            else:
                self._done.append(step)
            if self._options.told is not None:
                self._options.told(step, failure)

    def _result(self, report: Report, case: str) -> Repaired:
        return Repaired(tuple(self._plans), tuple(self._done), tuple(self._failed), report, case)
