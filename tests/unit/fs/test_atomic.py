"""A file is replaced as a whole or not at all, and no temporary file survives a failure."""

from __future__ import annotations

import errno
import os
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.errors import SystemFailure
from cstore.fs.atomic import TEMPORARY_PREFIX, PendingFile, sync_directory, sync_filesystem, temporary_name, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.fs.conftest import TmpfsMaker


def test_creates_with_the_exact_mode(tmp_path: Path) -> None:
    """The umask does not count, and the default is for the owner alone."""
    old = os.umask(0o077)
    try:
        write_file(str(tmp_path / "a"), b"one")
        write_file(str(tmp_path / "b"), b"two", mode=0o644)
    finally:
        os.umask(old)

    assert (tmp_path / "a").read_bytes() == b"one"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o644
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("sync", [True, False])
def test_replaces_with_a_new_file(tmp_path: Path, sync: bool) -> None:
    """Who has the old file open keeps reading it; the status returned is that of the new one."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with open(path, "rb") as reader:
        status = write_file(str(path), [b"ne", b"", b"w"], sync=sync)
        assert reader.read() == b"old"

    assert path.read_bytes() == b"new"
    now = path.stat()
    assert (now.st_ino, now.st_mtime_ns, now.st_size) == (status.st_ino, status.st_mtime_ns, status.st_size)


def test_a_relative_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path without a directory means the working directory."""
    monkeypatch.chdir(tmp_path)
    write_file("a", b"x")

    assert os.listdir(tmp_path) == ["a"]


def test_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    """The file behind a link is not ours to change."""
    (tmp_path / "far").write_bytes(b"far")
    (tmp_path / "a").symlink_to("far")

    write_file(str(tmp_path / "a"), b"near")

    assert (tmp_path / "far").read_bytes() == b"far"
    assert not (tmp_path / "a").is_symlink()


def test_a_source_that_fails_changes_nothing(tmp_path: Path) -> None:
    """The content comes in parts; the maker of the third raises."""
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def parts() -> Iterator[bytes]:
        yield b"some"
        yield b"more"
        raise LookupError

    with pytest.raises(LookupError):
        write_file(str(path), parts())

    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("sync", [True, False])
def test_a_full_disk_changes_nothing(tmpfs: TmpfsMaker, sync: bool) -> None:
    """No space: the old content stays, no temporary file does, and the error says what to do."""
    folder = tmpfs("small", "size=64k")
    path = os.path.join(folder, "a")
    write_file(path, b"old")

    with pytest.raises(SystemFailure) as caught:
        write_file(path, (b"x" * 4096 for _ in range(100)), sync=sync)

    assert caught.value.errno == errno.ENOSPC
    assert caught.value.path == path
    assert "free some space" in caught.value.hint
    assert os.listdir(folder) == ["a"]
    with open(path, "rb") as file:
        assert file.read() == b"old"


def test_no_inode_left(tmpfs: TmpfsMaker) -> None:
    """Not even the temporary file can be made."""
    folder = tmpfs("small", "nr_inodes=3")
    path = os.path.join(folder, "a")
    write_file(path, b"old")
    os.mkdir(os.path.join(folder, "b"))

    with pytest.raises(SystemFailure, match=r"cannot create .*: No space left"):
        write_file(path, b"new")

    with open(path, "rb") as file:
        assert file.read() == b"old"


def test_a_directory_in_the_way(tmp_path: Path) -> None:
    """A rename cannot replace it; nothing is left beside it."""
    (tmp_path / "a").mkdir()

    with pytest.raises(SystemFailure, match="Is a directory"):
        write_file(str(tmp_path / "a"), b"x")

    assert os.listdir(tmp_path) == ["a"]


def test_a_missing_directory(tmp_path: Path) -> None:
    """The error names the file that was to be written, not a temporary one."""
    with pytest.raises(SystemFailure) as caught:
        write_file(str(tmp_path / "no" / "a"), b"x")

    assert caught.value.path == str(tmp_path / "no" / "a")


def test_not_permitted(tmp_path: Path, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """A directory that one may not write in gives a named error."""
    tmp_path.chmod(0o555)

    def act() -> None:
        with pytest.raises(SystemFailure, match="Permission denied"):
            write_file(str(tmp_path / "a"), b"x")

    as_ordinary(act)


def test_pending_without_commit(tmp_path: Path) -> None:
    """Leaving the context removes what was written; so does an exception inside."""
    with PendingFile(str(tmp_path / "a")) as pending:
        pending.write(b"x")
        assert len(os.listdir(tmp_path)) == 1
    assert os.listdir(tmp_path) == []

    with pytest.raises(LookupError), PendingFile(str(tmp_path / "a")) as pending:
        raise LookupError
    assert os.listdir(tmp_path) == []


def test_pending_commits_all_kinds_of_bytes(tmp_path: Path) -> None:
    """Arrays of wider items count as their bytes, and the descriptor may be used directly."""
    with PendingFile(str(tmp_path / "a"), mode=0o640) as pending:
        pending.write(bytearray(b"ab"))
        os.write(pending.fd, b"cd")
        pending.write(memoryview(b"efgh").cast("H"))
        pending.commit()

    assert (tmp_path / "a").read_bytes() == b"abcdefgh"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("base", "expected"),
    [("a.json", ".tmp-a.json7"), ("a*b", ".tmp-a7b"), ("a*b*c", ".tmp-a*b7c"), ("", ".tmp-7")],
)
def test_temporary_names_are_the_peers(base: str, expected: str) -> None:
    """The number stands at the end, or replaces the last star (store-format 2.1)."""
    assert temporary_name(base, 7) == expected


@pytest.mark.parametrize("base", ["n" * 255, "é" * 127])
def test_the_longest_names_can_be_written(tmp_path: Path, base: str) -> None:
    """A name that leaves no room for a number is written all the same."""
    write_file(str(tmp_path / base), b"x")

    assert os.listdir(tmp_path) == [base]


def test_killed_while_writing(tmp_path: Path) -> None:
    """The old content stays; what was written so far lies beside it under a name that says what it is."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    pid = os.fork()
    if pid == 0:
        pending = PendingFile(str(path))
        pending.write(b"new" * 1000)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    left = [name for name in os.listdir(tmp_path) if name != "a"]
    assert path.read_bytes() == b"old"
    assert len(left) == 1
    assert left[0].startswith(f"{TEMPORARY_PREFIX}a")


def test_many_writers_leave_one_file(tmp_path: Path) -> None:
    """Concurrent writers never mix: one of their contents is there as a whole, and nothing else."""
    path = str(tmp_path / "a")
    pids = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            for _ in range(10):
                write_file(path, bytes([65 + number]) * 5000, sync=False)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0

    with open(path, "rb") as file:
        content = file.read()
    assert content in {bytes([65 + number]) * 5000 for number in range(4)}
    assert os.listdir(tmp_path) == ["a"]


def test_syncing(tmp_path: Path) -> None:
    """A directory can be synced, and so can its file system; what is missing is named."""
    sync_directory(str(tmp_path))
    sync_filesystem(str(tmp_path))

    for sync in (sync_directory, sync_filesystem):
        with pytest.raises(SystemFailure, match=r"sync.*/no: No such file"):
            sync(str(tmp_path / "no"))
