"""No more than so many bytes a second, over all who share one limit."""

from __future__ import annotations

import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.archive.streams import ReadInto

_LONGEST = 0.5
"""Seconds of the limit that one read may take at once."""


class Rate:
    """A limit in bytes per second; 0 for no limit. Threads may share it."""

    def __init__(
        self,
        limit: int,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`now` and `sleep` are the clock."""
        self.limit = limit
        self._now, self._sleep = now, sleep
        self._lock = threading.Lock()
        self._due = 0.0

    def most(self, wanted: int) -> int:
        """How much to read at once of what is wanted."""
        return wanted if not self.limit else max(1, min(wanted, int(self.limit * _LONGEST)))

    def passed(self, count: int) -> None:
        """Wait until so many bytes more may pass."""
        if not self.limit:
            return
        with self._lock:
            now = self._now()
            self._due = max(self._due, now) + count / self.limit
            rest = self._due - now
        self._sleep(max(0.0, rest))


class Limited:
    """A reader that keeps to a limit."""

    def __init__(self, source: ReadInto, rate: Rate) -> None:
        self._source, self._rate = source, rate

    def readinto(self, buffer: memoryview, /) -> int:
        """Read once."""
        count = self._source.readinto(buffer[: self._rate.most(len(buffer))])
        self._rate.passed(count)
        return count
