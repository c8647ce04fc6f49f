"""Examine one layer: rebuild its archive and compare its directory with it. Runs in a worker process.

A worker holds no lock and knows only its `LayerJob`. Its findings describe a moment in the past; the caller confirms
that nobody was changing the layer then.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from cstore.archive.composefs import open_tree
from cstore.archive.tar.reader import TarReader
from cstore.check.compare import Comparison, Problem
from cstore.check.expected import ExpectedTree, Tolerance, stacked
from cstore.check.image_contents import content_problems, image_flaw
from cstore.check.layer_stream import FileProblem, LayerStream
from cstore.check.view import Shown, View
from cstore.errors import ArchiveError, CstoreError, SystemFailure, TarSplitDamaged
from cstore.idmap import IDENTITY, IDMap
from cstore.layout import is_blob
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

_NOT_OURS = frozenset({errno.EACCES, errno.EPERM})
MOST_PROBLEMS = 2000
"""The most problems reported of one layer; the rest is only counted."""


class LayerJob(Value):
    """One layer to examine.

    Attributes:
        layer, digest, size: fields of the record.
        tar_split: the path of its tar-split file; "" for a composefs layer without one, whose contents are named by
            their digests.
        roots: directories with the files of its archive, nearest first.
        own_roots: the roots that belong to this layer alone.
        below: tar-split files of its ancestors, bottom first, if its directory also holds their files, else (); None
            if what they contain cannot be known.
        whole: whether its directory holds all files of its ancestors.
        rewritten: whether its directory holds those files of its ancestors whose owners were changed.
        id_map: the ID map with which its owners were mapped.
        compare: whether to compare the directory with the archive.
        tolerance: differences that are not damage.
        identity: values that change when the layer's contents are replaced.
    """

    layer: str
    digest: str
    size: int
    tar_split: str
    roots: tuple[str, ...]
    own_roots: tuple[str, ...]
    below: tuple[str, ...] | None = ()
    whole: bool = False
    rewritten: bool = False
    id_map: IDMap = IDENTITY
    compare: bool = True
    tolerance: Tolerance = Tolerance()
    identity: tuple[Any, ...] = ()


def examine(job: LayerJob, *, deadline: float = 0.0, tick: Callable[[int], None] | None = None) -> list[Problem]:
    """Examine a layer and return its problems.

    Raises:
        OutOfTime: the deadline has passed.
        SystemFailure: this process may not read the layer.
    """
    problems: list[Problem] = []
    count = 0
    for problem in _problems(job, deadline, tick):
        count += 1
        if count <= MOST_PROBLEMS:
            problems.append(problem)
    if count > MOST_PROBLEMS:
        more = count - MOST_PROBLEMS
        problems.append(("files-more", "", f"{more} more of its files differ from the archive", {"more": more}, ""))
    return problems


def _problems(job: LayerJob, deadline: float, tick: Callable[[int], None] | None) -> Iterator[Problem]:
    """Check the archive, then compare the directory with it as far as the archive could be rebuilt."""
    image = next(filter(is_blob, job.own_roots), "")
    if image and (flaw := image_flaw(image)):
        yield "layer-unreadable", "", flaw, {"path": image}, ""
        return
    if not job.tar_split:
        yield from _contents_of(image, frozenset())
        return
    try:
        with LayerStream(job.tar_split, job.roots, deadline=deadline, tick=tick) as stream:
            tree = _read(stream)
            foreign = job.size >= 0 and stream.size != job.size and stream.digest != job.digest
            # An archive of another length is another archive: its file problems are no evidence about the layer.
            bad = [] if foreign else [_of_file(job, problem) for problem in stream.problems]
            verdict = list(_judge(job, stream))
    except (TarSplitDamaged, ArchiveError) as error:
        reason = error.reason if isinstance(error, TarSplitDamaged) else f"its archive is invalid: {error.message}"
        evidence: dict[str, object] = {"path": job.tar_split, "reason": reason}
        yield "tar-split-damaged", "", f"its tar-split is damaged: {reason}", evidence, error.go_text
        return
    except SystemFailure as error:
        yield _unreadable(error)
        return
    yield from bad
    yield from verdict
    if job.compare and job.below is not None and not foreign:
        named = {(problem[0], problem[1]) for problem in bad}
        changed = {problem[1] for problem in bad}
        for problem in _differences(job, tree):
            if (problem[0], problem[1]) not in named and problem[1] not in changed:
                yield problem
        if image:
            yield from _contents_of(image, changed)


def _contents_of(image: str, changed: Collection[str]) -> Iterator[Problem]:
    """Yield problems of the content files of a composefs image, except for files known to have changed."""
    try:
        yield from (problem for problem in content_problems(image) if problem[1] not in changed)
    except SystemFailure as error:
        yield _unreadable(error)


def _judge(job: LayerJob, stream: LayerStream) -> Iterator[Problem]:
    """Compare the digest and the length of a rebuilt archive with the record."""
    found = stream.digest
    # If a file has changed, the digest cannot match, so a mismatch is no further evidence.
    if job.digest.startswith("sha256:") and found != job.digest and not stream.problems:
        evidence: dict[str, object] = {"found": found, "recorded": job.digest}
        sentence = f"its files match the archive, but the archive has digest {found}, not {job.digest}"
        yield "layer-digest", "", sentence, evidence, "layer content incorrect digest"
    if job.size >= 0 and stream.size != job.size:
        evidence = {"found": stream.size, "recorded": job.size}
        go_text = f"read {stream.size} bytes instead of {job.size} bytes: layer content incorrect size"
        yield "layer-size", "", f"its archive has {stream.size} bytes instead of {job.size}", evidence, go_text


def _differences(job: LayerJob, own: ExpectedTree) -> Iterator[Problem]:
    """Compare the directory with its archive, and what a mount shows of it with both."""
    below = []
    try:
        for path in (job.below or ()) if job.whole else ():
            with LayerStream(path, ()) as stream:
                below.append(_read(stream))
        tree = stacked([*below, own]) if below else own
    except CstoreError:
        return  # reported as a finding about the ancestor
    inherited = frozenset(tree.nodes.keys() - own.nodes.keys() if below else ())
    if job.rewritten:  # the copy may be above the original, whose whiteouts still apply
        tree.vague = True
        tree.opaque.clear()
    try:
        if job.whole:
            yield from Comparison(tree, job.id_map, job.tolerance, None).run(job.own_roots, inherited)
            return
        with Shown(tree, job.roots[len(job.own_roots) :]) as shown, open_tree(job.own_roots[0]) as place:
            yield from Comparison(tree, job.id_map, job.tolerance, shown).run(job.own_roots, inherited)
            if not job.rewritten:
                yield from View(tree, place, shown, job.id_map, job.tolerance).problems()
    except SystemFailure as error:
        yield _unreadable(error)
    except ArchiveError:
        return  # reported as a finding about the layer below, whose image this is


def _read(stream: LayerStream) -> ExpectedTree:
    """Read a whole archive, and return the tree that it describes."""
    tree = ExpectedTree()
    reader = TarReader(stream, lambda _: None)  # no data is kept
    while (entry := reader.next()) is not None:
        tree.add(entry)
    for _ in reader.rest():
        pass
    tree.settle(stream.checksums)
    return tree


def _unreadable(error: SystemFailure) -> Problem:
    """Return the problem of an unreadable layer. Missing permission is no fault of the layer, so it is raised."""
    if error.errno in _NOT_OURS:
        raise error
    return "layer-unreadable", "", error.message, {"errno": error.errno}, error.go_text


def _of_file(job: LayerJob, problem: FileProblem) -> Problem:
    name = problem.name.decode(errors="surrogateescape")
    part = name.removeprefix("./").rstrip("/")
    if problem.problem == "missing":
        said = f"open {job.own_roots[0]}/{part}: no such file or directory"
    else:
        said = f'file integrity checksum failed for "{name}"'
    kind = {"missing": "file-missing", "unreadable": "layer-unreadable"}.get(problem.problem, "file-changed")
    go_text = f"consume any trailer after the EOF marker: {said}\n{said}"
    return kind, part, problem.reason, {"path": part, **problem.evidence}, go_text
