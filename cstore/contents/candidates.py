"""Files that may match a search, found by reading each layer directory once, with several processes if it is large."""

from __future__ import annotations

import gc
import os
from collections import deque
from contextlib import ExitStack
from functools import cache, partial

from cstore.archive.composefs import enter_tree
from cstore.archive.whiteout import WHITEOUT_PREFIX
from cstore.contents.chain import is_renamed
from cstore.errors import CstoreError
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cstore.archive.composefs import Tree
    from cstore.archive.directories import Wanted
    from cstore.contents.chain import Chain
    from cstore.contents.finding import Criteria

    Answer = tuple[dict[int, list[bytes]], list[int], list[str]]
    """The paths that may match, by number of their directory; directories without a usable result; error sentences."""

_WORTH_SHARING = 250
"""Number of unread directories whose reading takes longer than starting processes."""
_MOST_PROCESSES = 8
_MOST = 100_000
"""Maximum number of paths kept per layer."""


class Candidates(NamedTuple):
    """The paths in one directory of a chain that may match.

    Attributes:
        paths: sorted.
        sure: whether all of them match, so that no further test is needed.
    """

    paths: list[bytes]
    sure: bool


def candidates(
    chain: Chain, numbers: Iterable[int], criteria: Criteria, problems: list[str]
) -> dict[int, Candidates | None]:
    """Search directories of a chain for files that may match, visible or not. Unreadable ones become problems.

    The result is None for a directory with too many matches or with renamed directories: then every file must be looked
    up by its path.

    Raises:
        SystemFailure: a directory cannot be opened, or a process cannot be started.
    """
    wanted = {number: _wanted(chain, number, criteria) for number in numbers}
    asked = _Asked(wanted, criteria, chain.has_files_for_marks)
    walk = _Walk({number: chain.tree(number) for number in wanted}, asked)
    pending = deque((number, b"") for number in wanted)
    walk.go(pending, _WORTH_SHARING)
    answers: list[Answer] = [walk.answer]
    processes = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
    if pending and processes == 1:
        walk.go(pending)
    elif pending:
        from cstore.fs.worker import run_workers

        roots = {number: chain.roots[number].path for number in wanted}
        folders = [*pending]
        answers += run_workers([_job(roots, asked, folders[n::processes]) for n in range(processes)])
    found: dict[int, Candidates | None] = {}
    for number in wanted:
        paths = [path for answer in answers for path in answer[0].get(number, ())]
        useless = len(paths) > _MOST or any(number in answer[1] for answer in answers)
        sure = not (chain.is_masked(number) or chain.has_files_for_marks or criteria.reads_files)
        found[number] = None if useless else Candidates(sorted(paths, key=in_order), sure)
    problems += [problem for answer in answers for problem in answer[2]]
    return found


def in_order(path: bytes) -> bytes:
    """Return a sort key for paths in walk order: a directory before its contents, and those before its next sibling."""
    return path.replace(b"/", b"\0")


def _wanted(chain: Chain, number: int, criteria: Criteria) -> Wanted:
    looked_for = criteria.in_directory(cache(partial(chain.inside, number)))
    if criteria.uid is not None or criteria.gid is not None:
        chain.map_of(number)  # read now, because the worker processes read no records
    # Types, modes and owners may be stored in attributes.
    return looked_for._replace(format=0, fits=None) if chain.is_masked(number) else looked_for


class _Asked(NamedTuple):
    """The search: by directory of the chain, and overall. `marks`: whether names may be marks."""

    wanted: Mapping[int, Wanted]
    criteria: Criteria
    marks: bool


class _Walk:
    """A walk through directories that collects paths that may match."""

    def __init__(self, trees: Mapping[int, Tree], asked: _Asked) -> None:
        self._trees, self._wanted, self._marks = trees, asked.wanted, asked.marks
        self._fits = None if asked.criteria.path is None else asked.criteria.path_test()
        self._useless: set[int] = set()
        self.answer: Answer = ({number: [] for number in trees}, [], [])

    def go(self, pending: deque[tuple[int, bytes]], most: int = 0) -> None:
        """Read pending directories and those below; with `most`, only until more than that are pending."""
        while pending and (not most or len(pending) <= most):
            number, folder = pending.popleft() if most else pending.pop()
            if number not in self._useless:
                pending += [(number, below) for below in self._read(number, folder)]

    def _read(self, number: int, folder: bytes) -> list[bytes]:
        """Add the paths of a directory that may match; return its subdirectories."""
        tree, (found, useless, problems) = self._trees[number], self.answer
        fitting = found[number]
        try:
            if len(fitting) > _MOST or is_renamed(tree, folder):
                self._useless.add(number)
                useless.append(number)
                return []
            names, folders = tree.select(folder, self._wanted[number])
        except (OSError, CstoreError) as error:
            problems.append(f"{tree.shown(folder)} cannot be read: {error}")
            return []
        above = folder + b"/" if folder else b""
        paths = [above + name for name in names if not (self._marks and name.startswith(WHITEOUT_PREFIX))]
        fitting += paths if self._fits is None else filter(self._fits, paths)
        return [above + name for name in folders]


def _job(roots: Mapping[int, str], asked: _Asked, folders: Iterable[tuple[int, bytes]]) -> Callable[[], Answer]:
    def work() -> Answer:
        gc.disable()  # a worker creates little garbage and exits soon
        pending = deque(folders)
        numbers = {number for number, _ in pending}
        with ExitStack() as stack:
            walk = _Walk({number: enter_tree(stack, roots[number]) for number in numbers}, asked)
            walk.go(pending)
        return walk.answer

    return work
