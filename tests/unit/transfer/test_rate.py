"""No more than so many bytes a second, over all who share a limit."""

from __future__ import annotations

from cstore.store.ends import as_reader
from cstore.transfer.rate import Limited, Rate


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def test_two_readers_together_keep_to_a_limit() -> None:
    """Ten thousand bytes at a thousand a second take ten seconds, whoever reads them."""
    clock = Clock()
    rate = Rate(1000, clock.now, clock.sleep)
    readers = [Limited(as_reader(b"x" * 5000, "some bytes"), rate) for _ in range(2)]
    buffer = memoryview(bytearray(4096))
    counts = [0, 0]

    while any(read := [reader.readinto(buffer) for reader in readers]):
        counts = [count + more for count, more in zip(counts, read, strict=True)]

    assert counts == [5000, 5000]
    assert 10.0 <= clock.time - 100.0 < 10.1


def test_without_a_limit_nobody_waits() -> None:
    """And as much is read at once as there is room for."""
    clock = Clock()
    reader = Limited(as_reader(b"x" * 5000, "some bytes"), Rate(0, clock.now, clock.sleep))

    assert reader.readinto(memoryview(bytearray(6000))) == 5000
    assert clock.time == 100.0
