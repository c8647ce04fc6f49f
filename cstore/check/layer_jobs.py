"""Select the layers whose contents are read, and prepare a job with everything that a worker needs for each."""

from __future__ import annotations

import gc
import mmap
import os
import stat
import struct
import time

from cstore import presence
from cstore.archive.override import is_masked
from cstore.check.contents import LayerJob, examine
from cstore.check.expected import Tolerance
from cstore.check.findings import Finding, of_layer
from cstore.check.layer_stream import OutOfTime
from cstore.digests import check_digest
from cstore.errors import CstoreError, InvalidDigest
from cstore.fs.worker import run_workers
from cstore.idmap import IDENTITY
from cstore.ids import flaw_of_part
from cstore.kernel.namespaces import in_user_namespace, own_ranges
from cstore.layout import is_blob
from cstore.records.snapshot import identity_of
from cstore.store.maps import namespace_of
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cstore.check.compare import Problem
    from cstore.check.snapshot import StoreSnapshot
    from cstore.config import StoreConfig
    from cstore.records.model import Layer


def imported_layers(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool]) -> Iterator[tuple[Layer, bool]]:
    """Yield the layers whose archive should be rebuildable, each with whether it is read-only."""
    for layer, read_only in snapshot.all_layers.values():
        if not wanted("layer", layer.id) or layer.incomplete or flaw_of_part(layer.id):
            continue
        try:
            check_digest(layer.diff_digest or layer.toc_digest)  # a partial pull may record only the latter
        except InvalidDigest:
            continue  # another finding reports it, or the layer was not imported
        if snapshot.has_tree(layer.id) and not snapshot.inspector.not_read(layer.id):
            yield layer, read_only


def not_read(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool]) -> Iterator[str]:
    """Yield a note for each layer in a form that is not read; such layers count as sound."""
    for layer, _ in snapshot.all_layers.values():
        if not wanted("layer", layer.id) or flaw_of_part(layer.id) or layer.incomplete:
            continue
        form = snapshot.inspector.not_read(layer.id)
        if form:
            yield f"layer {layer.id} was not read, because it is {form}"


def tar_split_findings(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool]) -> Iterator[Finding]:
    """Yield a finding for each imported layer without a usable tar-split file."""
    for layer, read_only in imported_layers(snapshot, wanted):
        who = f"{'read-only ' if read_only else ''}layer {layer.id}"
        path = tar_split_of(snapshot, layer.id)
        mode = presence.mode_at(path)
        if not mode:
            if layer.toc_digest:
                continue  # a partial pull: not every such blob has a tar-split
            sentence = f"its tar-split {path} is missing: the layer cannot be exported byte for byte"
            go_text = f"{who}: layer content incorrect digest"
            yield of_layer("tar-split-missing", layer.id, sentence, path=path, read_only=read_only, go_text=go_text)
            continue
        if not stat.S_ISREG(mode):
            reason = "it is not a regular file"
            sentence = f"its tar-split {path} is damaged: {reason}"
            yield of_layer("tar-split-damaged", layer.id, sentence, path=path, reason=reason, read_only=read_only)


def tar_split_of(snapshot: StoreSnapshot, layer: str) -> str:
    """Return the path of a layer's tar-split file; "" if the layer's ID allows none."""
    try:
        return snapshot.layout_of(layer).tar_split(layer)
    except CstoreError:
        return ""


def layer_jobs(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool], *, compare: bool) -> dict[str, LayerJob]:
    """Return the jobs by layer ID, in the order of the records."""
    jobs = {}
    for layer, _ in imported_layers(snapshot, wanted):
        job = layer_job(snapshot, layer, compare=compare)
        if job is not None:
            jobs[layer.id] = job
    return jobs


def layer_job(snapshot: StoreSnapshot, layer: Layer, *, compare: bool) -> LayerJob | None:
    """Return the job for one layer; None if its directory or tar-split cannot be read."""
    path, inspector = tar_split_of(snapshot, layer.id), snapshot.inspector
    try:
        roots, own = snapshot.context.driver.content_roots(layer.id), inspector.own_roots(layer.id)
        root = os.stat(own[0])
        path = path if presence.is_there(path) or not is_blob(own[0]) else ""
        status = os.lstat(path or own[0])
        id_map = layer.id_map.within(namespace_of(path or own[0]))
    except (OSError, CstoreError):
        return None  # another finding reports it
    if not stat.S_ISREG(status.st_mode):
        return None
    below = _below(snapshot, layer.id) if inspector.whole else ()
    record = tuple(map(str, layer.as_dict().values()))
    return LayerJob(
        layer=layer.id,
        digest=layer.diff_digest,
        size=layer.diff_size if layer.diff_digest else -1,
        tar_split=path,
        roots=tuple(roots),
        own_roots=tuple(own),
        below=below,
        whole=inspector.whole,
        rewritten=not inspector.whole and len(own) > 1,
        id_map=id_map,
        compare=compare,
        tolerance=tolerance_of(snapshot.context.config, layer, path or own[0], own[0]),
        identity=(identity_of(status), root.st_dev, root.st_ino, record),
    )


def _below(snapshot: StoreSnapshot, layer: str) -> tuple[str, ...] | None:
    """Return the tar-split files of all ancestors, bottom first; None if one was not created from an archive alone."""
    paths = []
    for ancestor in reversed(snapshot.chain(layer)[1:]):
        record, _ = snapshot.all_layers.get(ancestor, (None, False))
        path = tar_split_of(snapshot, ancestor)
        if record is None or not record.diff_digest or not presence.is_file(path):
            return None
        paths.append(path)
    return tuple(paths)


def tolerance_of(config: StoreConfig, layer: Layer, tar_split: str, root: str) -> Tolerance:
    """Return the differences to allow in a layer, because of who wrote it, and how (semantics 18.3).

    The evidence is the layer's record, its tar-split file and its own directory, `root`.
    """
    in_namespace = in_user_namespace()
    try:
        users = in_namespace or os.stat(os.path.dirname(tar_split)).st_uid != 0
    except OSError:
        users = in_namespace
    return Tolerance(
        owners="ignore_chown_errors=true" in " ".join(config.driver_options),
        masked=is_masked(root),
        times=config.pulling.use_hard_links,
        partial=bool(layer.toc_digest),
        users=users,
        reach=own_ranges() if in_namespace else IDENTITY,
    )


# ── parallel examination ──
#
# One worker per core, each with one thread, so that each has a core to itself.

_COUNTER = struct.Struct("Q")
_BASE_COST = 1 << 20
"""The cost of a layer besides its size, in bytes."""


class Examined(Value):
    """Problems by layer ID, and the IDs of layers that there was no time for."""

    problems: dict[str, list[Problem]]
    unexamined: tuple[str, ...] = ()


def examine_all(
    jobs: Sequence[LayerJob],
    *,
    workers: int = 0,
    deadline: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Examined:
    """Examine layers, the first ones first. `workers` is 0 for one per core.

    Raises:
        SystemFailure: this process may not read a layer, or a worker could not be started.
    """
    if not jobs:
        return Examined({})
    shares = _divide(jobs, workers or len(os.sched_getaffinity(0)))
    counters = memoryview(mmap.mmap(-1, _COUNTER.size * len(shares)))
    total = sum(max(job.size, 0) for job in jobs)

    def tick() -> None:
        if progress is not None:
            done = sum(_COUNTER.unpack_from(counters, place * _COUNTER.size)[0] for place in range(len(shares)))
            progress(done, total)

    works = [_work(share, counters, place, deadline) for place, share in enumerate(shares)]
    answers = run_workers(works, tick=tick if progress is not None else None)
    problems = {layer: found for answer in answers for layer, found in answer if found is not None}
    return Examined(problems, tuple(job.layer for job in jobs if job.layer not in problems))


def _divide(jobs: Sequence[LayerJob], workers: int) -> list[list[LayerJob]]:
    """Assign each layer to the worker with the least to do."""
    shares: list[list[LayerJob]] = [[] for _ in range(min(workers, len(jobs)))]
    loads = [0] * len(shares)
    for job in jobs:
        place = loads.index(min(loads))
        shares[place].append(job)
        loads[place] += max(job.size, 0) + _BASE_COST
    return shares


def _work(
    share: Sequence[LayerJob], counters: memoryview, place: int, deadline: float
) -> Callable[[], list[tuple[str, list[Problem] | None]]]:
    def work() -> list[tuple[str, list[Problem] | None]]:
        gc.disable()  # a worker creates little garbage and exits soon
        done = 0

        def tick(count: int) -> None:
            nonlocal done
            done += count
            _COUNTER.pack_into(counters, place * _COUNTER.size, done)

        answer: list[tuple[str, list[Problem] | None]] = []
        for job in share:
            found: list[Problem] | None = None
            if not deadline or time.monotonic() < deadline:
                try:
                    found = examine(job, deadline=deadline, tick=tick)
                except OutOfTime:
                    found = None
            answer.append((job.layer, found))
        return answer

    return work
