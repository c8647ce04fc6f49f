"""An archive put together again from a tar-split and files, whatever has become of the files."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.layer_stream import WINDOW, LayerStream, OutOfTime
from tests.builders import Entry, digest, directory, regular
from tests.unit.check.tables import put, tar, tar_split, unpack, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = directory("d"), regular("d/f", b"hello"), regular("g", b"x" * 2000), regular("empty")


class Made:
    """A tar-split, and the directories of the layer and of one below it."""

    def __init__(self, top: Path, *entries: Entry) -> None:
        self.split, self.root, self.below = (str(top / name) for name in ("split", "own", "below"))
        self.archive = tar(*entries)
        write(self.split, tar_split(*entries))
        unpack(self.root, *entries)
        os.makedirs(self.below)

    def read(self, roots: list[str] | None = None, **more: Any) -> tuple[LayerStream, bytes]:
        """Read all of it: the stream at its end, and its bytes."""
        with LayerStream(self.split, [self.root, self.below] if roots is None else roots, **more) as stream:
            parts = []
            while (window := stream.advance()) is not None:
                parts.append(bytes(window))
        return stream, b"".join(parts)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path, *FILES)


def test_sound_files_give_the_archive_back(made: Made) -> None:
    stream, data = made.read()

    assert data == made.archive
    assert (stream.digest, stream.size, stream.problems) == (digest(data), len(data), [])
    assert stream.checksums.keys() == {b"d/f", b"g"}


def test_files_larger_than_a_window(tmp_path: Path) -> None:
    big = Made(tmp_path, regular("a", b"a" * (WINDOW - 100)), regular("b", os.urandom(WINDOW * 2 + 7)))

    assert big.read()[1] == big.archive


DAMAGE: dict[str, tuple[Callable[[str], object], str, dict[str, object]]] = {
    "gone": (os.unlink, "missing", {}),
    "shorter": (lambda path: os.truncate(path, 3), "resized", {"found": 3, "recorded": 5}),
    "longer": (lambda path: write(path, b"hello!"), "resized", {"found": 6, "recorded": 5}),
    "a directory": (lambda path: put(path, "directory"), "missing", {}),
    "a link": (lambda path: put(path, "link"), "missing", {}),
    "a fifo": (lambda path: put(path, "fifo"), "missing", {}),
}  # fmt: skip


@pytest.mark.parametrize(("cause", "problem", "evidence"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_noted_and_stood_in_for(
    made: Made, cause: Callable[[str], object], problem: str, evidence: dict[str, object]
) -> None:
    """As many bytes come, so that everything behind it is judged; there is no digest of such an archive."""
    cause(os.path.join(made.root, "d/f"))

    stream, data = made.read()
    assert [(each.name, each.problem, each.evidence) for each in stream.problems] == [(b"d/f", problem, evidence)]
    assert (len(data), stream.digest) == (len(made.archive), "")
    assert data.endswith(made.archive[-4096:])


def test_other_contents_have_another_digest(made: Made) -> None:
    """All bytes are there, so there is a digest, and it is not that of the archive."""
    write(os.path.join(made.root, "d/f"), b"HELLO")

    stream, _ = made.read()
    assert [each.problem for each in stream.problems] == ["changed"]
    assert stream.digest not in {"", digest(made.archive)}


def test_the_nearest_file_of_a_name_is_the_one(made: Made) -> None:
    """A copy in a layer below does not stand in for a damaged one, but for one that the layer itself has not."""
    write(os.path.join(made.below, "d/f"), b"hello")
    write(os.path.join(made.root, "d/f"), b"HELLO")
    assert len(made.read()[0].problems) == 1
    os.unlink(os.path.join(made.root, "d/f"))

    assert made.read()[0].problems == []


def test_headers_alone(made: Made) -> None:
    """Without directories the contents are stood in for, and nothing is said of them."""
    stream, data = made.read([])

    assert (len(data), stream.problems, stream.digest) == (len(made.archive), [], "")


def test_a_name_that_leads_out_of_the_layer_is_not_followed(tmp_path: Path) -> None:
    made = Made(tmp_path, regular("f", b"hello"))
    write(made.split, tar_split(regular("../own/f", b"hello")))

    assert [each.problem for each in made.read()[0].problems] == ["missing"]


def test_time_that_has_passed(made: Made) -> None:
    with pytest.raises(OutOfTime):
        made.read(deadline=time.monotonic() - 1)


def test_every_byte_is_counted(made: Made) -> None:
    counts: list[int] = []
    made.read(tick=counts.append)

    assert sum(counts) == len(made.archive)
