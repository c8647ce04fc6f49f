"""The same long sequence of commands through cstore and through the Go tool, on two stores: no step may differ."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cstore.kernel import mount
from tests.builders import compress, directory, make_tar, regular, symlink, whiteout
from tests.compat.differential import TEST_ARCHIVES_ARE_OF, records, same_output, trees
from tests.compat.sequence import Model
from tests.conftest import StoreRoots
from tests.disk import fresh_disk
from tests.mounts import mounts_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Finished, RunnerMaker

pytestmark = pytest.mark.peer

STEPS = 60
ARCHIVES = {
    "base": make_tar(directory("d"), regular("d/f", b"hello"), symlink("d/l", "f")),
    "more": compress(make_tar(regular("new", b"12345"), directory("d", mode=0o700)), "gzip"),
    "less": make_tar(directory("d"), whiteout("d/f"), regular("new", b"54321 ")),
    "garbage": b"no archive at all" * 100,
}


@pytest.fixture(params=["vfs", "overlay"])
def two_stores(request: pytest.FixtureRequest) -> Iterator[tuple[StoreRoots, StoreRoots]]:
    """Two empty stores of one driver, for one tool each."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the peer wants it, and overlay mounts")
    with fresh_disk() as disk:
        yield (
            StoreRoots(f"{disk}/ours/graph", f"{disk}/ours/run", request.param),
            StoreRoots(f"{disk}/theirs/graph", f"{disk}/theirs/run", request.param),
        )
        for path in mounts_below(disk):
            with suppress(OSError):
                mount.unmount(path, mount.MNT_DETACH)


def make_files(place: Path) -> dict[str, str]:
    """Write what the commands read, and say where each is."""
    for name, content in {**ARCHIVES, "note": b"a note\n"}.items():
        (place / name).write_bytes(content)
    (place / "folder/sub").mkdir(parents=True)
    (place / "folder/sub/file").write_bytes(b"content")
    for path in ("note", "folder/sub/file", "folder/sub", "folder"):
        os.utime(place / path, (TEST_ARCHIVES_ARE_OF, TEST_ARCHIVES_ARE_OF))
    return {name: str(place / name) for name in (*ARCHIVES, "note", "folder")}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_sequence_gives_the_same_answers_and_the_same_records(
    two_stores: tuple[StoreRoots, StoreRoots],
    run_on: RunnerMaker,
    peer_on: RunnerMaker,
    tmp_path: Path,
    seed: int,
) -> None:
    """After every step standard output, success or failure, and all records agree; in the end all files of layers."""
    ours, theirs = two_stores
    mine, its = run_on(ours), peer_on(theirs)
    done: list[str] = []
    model = Model(seed, make_files(tmp_path), ours.driver)
    for _ in range(STEPS):
        words = model.choose()
        done.append(shlex.join(words))
        story = "\n".join(done[-5:])

        one, other = mine(*words), its(*words)

        if other.code == 0:
            model.learn(words)
        assert bool(one.code) == bool(other.code), f"{story}\n{_said(one)}\n{_said(other)}"
        assert same_output(words, one, ours, other, theirs), f"{story}\n{_said(one)}\n{_said(other)}"
        assert records(ours) == records(theirs), story
    assert trees(ours) == trees(theirs), "\n".join(done)


def _said(finished: Finished) -> str:
    return f"exit {finished.code}: {finished.stdout}{finished.stderr}"
