"""One layer looked into: what is said of it, and what is not because something else explains it."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check import contents
from cstore.check.contents import LayerJob, examine
from cstore.check.layer_stream import OutOfTime
from tests.builders import Entry, digest, directory, regular
from tests.unit.check.tables import tar, tar_split, unpack, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = directory("d"), regular("d/f", b"hello"), regular("g", b"x")
ARCHIVE = tar(*FILES)


def job(top: Path, *entries: Entry, **more: Any) -> LayerJob:
    """A layer whose directory holds everything, as its archive says."""
    root, split = str(top / "root"), str(top / "split")
    write(split, tar_split(*entries))
    if not os.path.exists(root):
        unpack(root, *entries)
    archive = tar(*entries)
    made = LayerJob("layer", digest(archive), len(archive), split, (root,), (root,), whole=True)
    return made.with_(**more)


def kinds(looked: LayerJob) -> list[tuple[str, str]]:
    """Kind and path of each problem."""
    return [(kind, part) for kind, part, *_ in examine(looked)]


def test_a_sound_layer(tmp_path: Path) -> None:
    assert kinds(job(tmp_path, *FILES)) == []


RECORDS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "another digest": ({"digest": "sha256:" + "1" * 64}, [("layer-digest", "")]),
    "another size": ({"size": 7}, [("layer-size", "")]),
    "an unknown size": ({"size": -1}, []),
    "a digest of another algorithm": ({"digest": "sha512:" + "1" * 128}, []),
    "both": ({"size": 7, "digest": "sha256:" + "1" * 64}, [("layer-digest", ""), ("layer-size", "")]),
}


@pytest.mark.parametrize(("record", "found"), RECORDS.values(), ids=RECORDS)
def test_a_record_that_says_something_else(
    tmp_path: Path, record: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    assert kinds(job(tmp_path, *FILES, **record)) == found


def test_files_are_not_judged_by_the_tar_split_of_another_archive(tmp_path: Path) -> None:
    """If length and digest are another archive's, what it says of files proves nothing."""
    looked = job(tmp_path, *FILES, size=7, digest="sha256:" + "1" * 64)
    os.unlink(tmp_path / "root/g")
    write(str(tmp_path / "root/new"), b"")

    assert kinds(looked) == [("layer-size", "")]


def test_a_changed_file_says_why_the_digest_is_wrong(tmp_path: Path) -> None:
    """So the digest is no finding of its own, and neither are the file's time and size."""
    looked = job(tmp_path, *FILES)
    write(str(tmp_path / "root/d/f"), b"HELLO")
    write(str(tmp_path / "root/g"), b"longer")

    assert kinds(looked) == [("file-changed", "d/f"), ("file-changed", "g")]


def test_without_a_comparison_the_directory_is_not_walked(tmp_path: Path) -> None:
    looked = job(tmp_path, *FILES)
    write(str(tmp_path / "root/new"), b"")
    os.chmod(tmp_path / "root/g", 0o600)

    assert kinds(looked.with_(compare=False)) == []
    assert kinds(looked.with_(below=None)) == []
    assert ("file-unexpected", "new") in kinds(looked)


SPLITS: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-20],
    "no gzip": lambda _: b"text",
    "of other lines": lambda _: gzip.compress(b'{"type":9}\n'),
}


@pytest.mark.parametrize("damage", SPLITS.values(), ids=SPLITS)
def test_a_damaged_tar_split_is_all_that_is_said(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    looked = job(tmp_path, *FILES)
    write(looked.tar_split, damage(tar_split(*FILES)))

    assert kinds(looked) == [("tar-split-damaged", "")]


def test_a_layer_whose_directory_is_gone(tmp_path: Path) -> None:
    looked = job(tmp_path, *FILES, roots=(str(tmp_path / "none"),), own_roots=(str(tmp_path / "none"),))

    assert kinds(looked) == [("layer-unreadable", "")]


def test_a_whole_tree_is_compared_with_all_archives_below(tmp_path: Path) -> None:
    """Files of ancestors are missed, and their contents read; a damaged archive below ends the comparison alone."""
    root, below = str(tmp_path / "root"), str(tmp_path / "below")
    unpack(root, *FILES, regular("own", b"mine"))
    write(below, tar_split(*FILES))
    looked = job(tmp_path, regular("own", b"mine"), below=(below,))
    assert kinds(looked) == []

    with open(os.path.join(root, "g"), "wb") as file:
        file.write(b"y")
    os.utime(os.path.join(root, "g"), (1_600_000_000, 1_600_000_000))
    os.unlink(os.path.join(root, "d/f"))
    found = kinds(looked)
    assert ("file-changed", "g") in found
    assert ("file-missing", "d/f") in found
    write(below, b"nonsense")
    assert kinds(looked) == []


def test_many_problems_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones are listed; how many more there are is a problem of its own."""
    monkeypatch.setattr(contents, "MOST_PROBLEMS", 2)
    looked = job(tmp_path, *FILES)
    for number in range(5):
        write(str(tmp_path / f"root/new{number}"), b"")

    found = examine(looked)
    assert [each[0] for each in found] == [*["file-unexpected"] * 2, "files-more"]
    assert found[-1][3] == {"more": 3}


def test_a_deadline(tmp_path: Path) -> None:
    with pytest.raises(OutOfTime):
        examine(job(tmp_path, *FILES), deadline=1e-9)
