"""A whole check: examine everything without locks, then confirm the findings under shared locks.

A check writes nothing and mounts nothing unless the caller asks for it. Writers do not wait while it reads layers. A
finding may therefore be an operation in progress, so the check looks for each finding again, briefly, with all locks
held shared: no change can be under way then. Shared locks leave no trace: the check opens existing lock files for
reading and writes no token. A missing lock file means that nobody has written yet.

The check does not read contents again under the locks. If a layer's record, tar-split file and directory are the same
as when it was read, nobody has replaced the layer and nobody is changing it. Otherwise the check reads it again.
"""

from __future__ import annotations

import stat
import time
from contextlib import ExitStack, contextmanager

from cstore import presence
from cstore.arguments import checked
from cstore.check.driver_state import notes, placed
from cstore.check.findings import KINDS, Finding, Subject
from cstore.check.layer_jobs import examine_all, layer_jobs, not_read
from cstore.check.options import CheckOptions
from cstore.check.report import Report, in_order
from cstore.check.snapshot import StoreSnapshot
from cstore.check.survey import Scope, survey
from cstore.fs.lockfile import LockFile
from cstore.store.context import context_of
from cstore.store.neighbours import passed_over
from cstore.store.places import ItemKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cstore.check.compare import Problem
    from cstore.check.contents import LayerJob
    from cstore.store import Store
    from cstore.store.context import Context

_MOST_LOOKS = 3
"""How often to read a layer that keeps changing; findings that stay unconfirmed are not reported."""


@checked
def check_store(
    store: Store | Context,
    options: CheckOptions = CheckOptions(),  # noqa: B008  - it is immutable
) -> Report:
    """Check a store, or the layers and images that `options` names.

    Raises:
        LayerUnknown, ImageUnknown: `options` names a layer or image that does not exist.
        SystemFailure: this process may not read something, so the check has no result.
        LockTimeout: a writer held a lock for longer than the store's lock policy allows.
    """
    return _Check(context_of(store), options).run()


class _Check:
    """One check."""

    def __init__(self, context: Context, options: CheckOptions) -> None:
        self._context, self._options = context, options
        limit = options.max_duration
        self._deadline = 0.0 if limit is None else time.monotonic() + limit
        self._problems: dict[str, list[Problem]] = {}
        self._jobs: dict[str, LayerJob] = {}
        self._unexamined: tuple[str, ...] = ()
        self._notes: list[str] = []

    def run(self) -> Report:
        """Check without locks, confirm under locks, return the report."""
        snapshot = StoreSnapshot(self._context)
        scope = Scope(snapshot, self._options)
        found = survey(snapshot, scope, self._options)
        self._jobs = self._jobs_of(snapshot, scope)
        self._read(self._jobs)
        if found or any(self._problems.values()):
            found, snapshot = self._confirm({finding.key for finding in found})
        if self._options.memory and self._deadline:
            from cstore.check.memory import Memory

            sound = [layer for layer, problems in self._problems.items() if not problems]
            failure = Memory(self._options.memory).keep(self._jobs.values(), sound, time.time())
            if failure:
                self._notes.append(failure)
        if self._options.layer_mountable:
            from cstore.check.mountable import unmountable

            found += unmountable(snapshot, scope.wants, self._notes)
        return self._report(snapshot, scope, found)

    def _jobs_of(self, snapshot: StoreSnapshot, scope: Scope) -> dict[str, LayerJob]:
        if not self._options.layer_digests:
            return {}
        return layer_jobs(snapshot, scope.wants, compare=self._options.layer_contents and not self._options.quick)

    # ── contents ──

    def _read(self, jobs: Mapping[str, LayerJob]) -> None:
        options = self._options
        ordered = sorted(jobs.values(), key=lambda job: -job.size)
        if options.memory and self._deadline:
            from cstore.check.memory import Memory

            ordered = Memory(options.memory).order(ordered)
        done = examine_all(ordered, workers=options.workers, deadline=self._deadline, progress=options.progress)
        self._problems.update(done.problems)
        self._unexamined = done.unexamined

    # ── confirmation ──

    def _confirm(self, keys: set[tuple[str, str, str, str]]) -> tuple[list[Finding], StoreSnapshot]:
        """Search again under the locks; drop findings that are gone, because they were work in progress."""
        for _ in range(_MOST_LOOKS):
            with shared_locks(self._context):
                snapshot = StoreSnapshot(self._context)
                scope = Scope(snapshot, self._options)
                found = survey(snapshot, scope, self._options)
                now = self._jobs_of(snapshot, scope)
            changed = self._changed(now)
            if not changed:
                break
            self._jobs |= changed
            self._read(changed)
        for layer in self._changed(now):
            self._notes.append(f"layer {layer} could not be checked, because other programs kept changing it")
            self._problems[layer] = []
        return [finding for finding in found if finding.key in keys], snapshot

    def _changed(self, now: Mapping[str, LayerJob]) -> dict[str, LayerJob]:
        """Return the layers with problems that changed since they were read; forget removed layers."""
        changed = {}
        for layer in [layer for layer, problems in self._problems.items() if problems]:
            if layer not in now:
                self._problems[layer] = []
            elif now[layer].identity != self._jobs[layer].identity:
                changed[layer] = now[layer]
        return changed

    # ── the result ──

    def _report(self, snapshot: StoreSnapshot, scope: Scope, found: list[Finding]) -> Report:
        """Return a report of the findings and of the problems of layers' contents."""
        images, findings = snapshot.all_images, list(found)
        for layer, problems in self._problems.items():
            _, foreign = snapshot.all_layers.get(layer, (None, False))
            who = f"{'read-only ' if foreign else ''}layer {layer}: "
            for kind, part, sentence, evidence, go_text in problems:
                lines = "\n".join(who + line for line in go_text.split("\n")) if go_text else ""
                proof = {"part": part, **evidence}
                findings.append(Finding(kind, Subject("layer", layer), sentence, proof, lines, read_only=foreign))
        findings = [placed(snapshot, finding) for finding in findings if finding.kind in KINDS]
        others = passed_over(self._context.layout) if scope.everything else ()
        chains = {}
        for image, _ in images.values():
            if not scope.wants("image", image.id):
                continue
            tops = filter(None, (image.layer, *image.mapped_layers))
            chains[image.id] = tuple(dict.fromkeys(layer for top in tops for layer in snapshot.chain(top)))
        read_only = {("layer", layer.id) for layer, foreign in snapshot.all_layers.values() if foreign}
        read_only |= {("image", image.id) for image, foreign in images.values() if foreign}
        return Report(
            findings=in_order(findings),
            examined=tuple(self._problems),
            unexamined=self._unexamined,
            notes=(*self._notes, *not_read(snapshot, scope.wants), *notes(findings), *others),
            layers_of_images=chains,
            images_of_containers={
                each.id: each.image for each in snapshot.containers if each.image and scope.wants("container", each.id)
            },
            read_only=frozenset(read_only),
        )


@contextmanager
def shared_locks(context: Context) -> Iterator[None]:
    """Hold all record locks shared, in lock order. Leaves no trace.

    Raises:
        LockTimeout: a writer held a lock for longer than the store's lock policy allows.
    """
    paths = [path for item_kind in ItemKind for path in context.places[item_kind].locks]
    with ExitStack() as stack:
        for path in [*paths, context.layout.mountpoints_lock]:
            if stat.S_ISREG(presence.mode_at(path)):  # anything else is a finding, and cannot be locked
                stack.enter_context(LockFile(path).shared(context.lock_policy))
        yield
