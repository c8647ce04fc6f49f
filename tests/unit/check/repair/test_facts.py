"""What a record says of an archive, read from a tar-split and files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.check.repair.facts import archive_facts
from tests.builders import digest, directory, regular, whiteout
from tests.unit.check.tables import USER, tar, tar_split, unpack, write

if TYPE_CHECKING:
    from pathlib import Path

FILES = directory("d"), regular("d/f", b"hello"), whiteout("d/gone")


def test_the_archive_of_sound_files(tmp_path: Path) -> None:
    """Digest, length, and the owners of all that is no whiteout."""
    root, split = unpack(str(tmp_path / "root"), *FILES[:2]), str(tmp_path / "split")
    write(split, tar_split(*FILES))

    facts = archive_facts(split, [root])
    assert facts is not None
    assert (facts.digest, facts.size, facts.problems) == (digest(tar(*FILES)), len(tar(*FILES)), ())
    assert (facts.uids, facts.gids) == ((USER,), (os.getegid(),))


def test_owners_of_whiteouts_do_not_count(tmp_path: Path) -> None:
    split = str(tmp_path / "split")
    write(split, tar_split(whiteout("gone")))

    facts = archive_facts(split, [str(tmp_path)])
    assert facts is not None
    assert (facts.uids, facts.gids) == ((), ())


def test_with_a_file_that_has_changed_there_is_no_digest(tmp_path: Path) -> None:
    """Which one is told; the length is known all the same."""
    root, split = unpack(str(tmp_path / "root"), *FILES[:2]), str(tmp_path / "split")
    write(split, tar_split(*FILES))
    write(os.path.join(root, "d/f"), b"HELLO")

    facts = archive_facts(split, [root])
    assert facts is not None
    assert (facts.digest, facts.size) == ("", len(tar(*FILES)))
    assert [problem.name for problem in facts.problems] == [b"d/f"]


def test_a_tar_split_that_cannot_be_read_tells_nothing(tmp_path: Path) -> None:
    split = str(tmp_path / "split")
    assert archive_facts(split, [str(tmp_path)]) is None
    write(split, tar_split(*FILES)[:-9])

    assert archive_facts(split, [str(tmp_path)]) is None
