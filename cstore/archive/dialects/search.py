"""Try the dialects one by one, until an archive has the recorded digest.

The recorded size excludes most candidates before any file is read. The others are tried breadth first: each dialect
with the likeliest guess about facts that the layer lacks, then each with the next guess, until the time is up. Only an
equal digest is a result; if none is found, that proves nothing about the layer.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import replace
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from cstore.archive.dialects.layout import Archive, Guess, lay_out
from cstore.archive.dialects.orders import orders
from cstore.archive.dialects.table import DIALECTS, Dialect, Link
from cstore.errors import CstoreError
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.archive.dialects.scan import Node, Scan

_MOST_SECONDS = 600
"""The longest time between the creation of a whiteout and the last change of its directory."""
_MOST_ROOTS = 800
_NEAR = 60
"""Seconds between the times of the root and of its latest directory: the same program made both."""
_ROOT_MODES = (0o755, 0o555, 0o700, 0o1777)


class Wanted(Value):
    """The archive to find: its SHA-256 digest, and its size in bytes, -1 if unknown."""

    digest: str
    size: int = -1


class _Candidate:
    """A dialect whose archive may have the recorded size, and the guesses to try in it."""

    def __init__(self, dialect: Dialect, tries: Iterator[tuple[Sequence[Node], Guess]]) -> None:
        self.dialect, self.tries = dialect, tries
        self._begun: tuple[Sequence[Node], tuple[int, int] | None, Any, int] | None = None

    def digest(self, archive: Archive, order: Sequence[Node], guess: Guess) -> str:
        """Hash an archive; the part before the first whiteout is hashed once for all guesses of their time."""
        first = next((number for number, piece in enumerate(archive.pieces) if piece.whiteout), None)
        if first is None:
            sink = _Hashing()
            archive.write(sink)
            return sink.digest
        if self._begun is None or self._begun[0] is not order or self._begun[1] != guess.root:
            sink = _Hashing()
            archive.write(sink, 0, first)
            self._begun = (order, guess.root, sink.state, first)
        sink = _Hashing(self._begun[2].copy())
        archive.write(sink, first)
        return sink.digest


class _Hashing:
    """A sink that only hashes, with a state that can be copied."""

    def __init__(self, state: Any = None) -> None:
        self.state = state or hashlib.sha256(usedforsecurity=False)

    def write(self, data: bytes | memoryview, /) -> None:
        """See `Sink`."""
        self.state.update(data)

    @property
    def digest(self) -> str:
        """The digest of the data so far."""
        return f"sha256:{self.state.hexdigest()}"


class Search:
    """One search for one layer's archive."""

    def __init__(self, scan: Scan, wanted: Wanted, seconds: float, dialects: Sequence[Dialect] = DIALECTS) -> None:
        """Prepare a search that tries `dialects` in this order, for at most `seconds`."""
        self._scan, self._wanted, self._dialects = scan, wanted, dialects
        self._end = time.monotonic() + seconds
        self._seen: set[bytes] = set()
        self._whiteouts = sum(node.whiteout for node in scan.nodes)

    def run(self) -> Archive | None:
        """Return the archive with the recorded digest; None if none was found in time.

        Raises:
            OSError: a file of the layer cannot be read.
        """
        running: list[_Candidate] = []
        for dialect in self._variants():
            if self._late:
                return None
            candidate = _Candidate(dialect, self._tries(dialect))
            found, fits = self._next(candidate)
            if found is not None:
                return found
            if fits:
                running.append(candidate)
        while running:
            for candidate in tuple(running):
                if self._late:
                    return None
                found, more = self._next(candidate)
                if found is not None:
                    return found
                if not more:
                    running.remove(candidate)
        return None

    @property
    def _late(self) -> bool:
        return time.monotonic() > self._end

    def _variants(self) -> Iterator[Dialect]:
        """Yield all dialects; then, if there are several whiteouts, each with its unusual ways to link them."""
        for dialect in self._dialects:
            yield dialect
        if self._whiteouts > 1:
            for dialect, link in product(self._dialects, Link):
                if link is not dialect.whiteout_link:
                    yield replace(dialect, whiteout_link=link)

    def _next(self, candidate: _Candidate) -> tuple[Archive | None, bool]:
        """Try a candidate's next guess; return the archive if it matches, and whether to go on with the candidate."""
        for order, guess in candidate.tries:
            try:
                archive = lay_out(self._scan, candidate.dialect, order, guess)
            except (ValueError, CstoreError):
                return None, False
            if self._wanted.size >= 0 and archive.size != self._wanted.size:
                return None, False
            mark = hashlib.blake2b(b"".join(piece.header for piece in archive.pieces), digest_size=16)
            mark.update(b"%d" % archive.size)
            if mark.digest() in self._seen:
                if self._late:
                    return None, True
                continue
            self._seen.add(mark.digest())
            try:
                digest = candidate.digest(archive, order, guess)
            except CstoreError:
                return None, False
            return (archive if digest == self._wanted.digest else None), True
        return None, False

    def _tries(self, dialect: Dialect) -> Iterator[tuple[Sequence[Node], Guess]]:
        """Yield the guesses for a dialect: each combination of root, order of the files, and time of the whiteouts."""
        seconds: list[int | None] = [None]
        if self._whiteouts and not dialect.whiteout_zero:
            marks = [node for node in self._scan.nodes if node.whiteout]
            parents = {node.parent.seconds for node in marks if node.parent is not None and node.parent.path}
            latest = sorted(parents) or [max(node.seconds for node in marks)]
            # First those before any of their directories changed.
            seconds = [*(latest[0] - back for back in range(_MOST_SECONDS)), *latest[1:]]
        roots: list[tuple[int, int] | None] = [None]
        if dialect.root is not None:
            roots += islice(self._roots(), _MOST_ROOTS)
        for root in roots:
            for order in orders(dialect.order, self._scan.nodes):
                for second in seconds:
                    yield order, Guess(root, second)

    def _roots(self) -> Iterator[tuple[int, int]]:
        """Yield possible modes and times of the root's entry, which most programs do not apply when they unpack."""
        nodes, root = self._scan.nodes, self._scan.root
        top = {node.seconds for node in nodes if b"/" not in node.path}
        folders = sorted({node.seconds for node in nodes if node.is_directory}, reverse=True)
        usual = Counter(node.seconds for node in nodes).most_common(5)
        times = [root.seconds, *sorted(top, reverse=True), *folders[:20], *(at for at, _ in usual)]
        own = [node.seconds for node in nodes if node.is_directory and b"/" not in node.path]
        latest = max(own, default=root.seconds)
        times += [latest + sign * away for away in range(1, _NEAR) for sign in (-1, 1)]
        modes = dict.fromkeys((*_ROOT_MODES[:2], root.status.st_mode & 0o7777, *_ROOT_MODES[2:]))
        yield from ((mode, at) for at in dict.fromkeys(times) for mode in modes)
