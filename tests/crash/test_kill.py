"""Killed at random points: the next command works, the store is the old one or the new one, and gc leaves no byte."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.builders import Entry, directory, listing, make_tar, regular, whiteout
from tests.crash.killer import Killer, alone

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Runner, StoreRoots

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

ROUNDS = 20
SEED = 20261121


def large_layer() -> bytes:
    """An archive that takes a while: many files, some of them large, and something to take away from a parent."""
    choice = random.Random(SEED)
    entries: list[Entry] = [whiteout("old")]
    for number in range(30):
        entries.append(directory(f"d{number}"))
        entries += [regular(f"d{number}/f{n}", choice.randbytes(choice.randrange(4000))) for n in range(30)]
        entries.append(regular(f"d{number}/large", choice.randbytes(200_000)))
    return make_tar(*entries)


LARGE = large_layer()
BASE = make_tar(directory("old"), regular("old/file", b"old"), regular("kept", b"kept"))


@pytest.fixture
def store_roots(roots_in_memory: StoreRoots) -> StoreRoots:
    """These tests make too many files for the disk that everybody uses."""
    return roots_in_memory


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """The large layer as a file."""
    path = tmp_path / "large.tar"
    path.write_bytes(LARGE)
    return str(path)


@pytest.fixture
def store(run: Runner, store_roots: StoreRoots) -> dict[str, str]:
    """A store with one layer, in which everything that stays after a mount and a deletion is there; its listing."""
    run("import-layer", "--id", "base", "--name", "old-name", stdin=BASE).ok()
    run("import-layer", "--id", "first", "base", stdin=BASE).ok()
    run("mount", "first").ok()
    run("unmount", "first").ok()
    run("delete-layer", "first").ok()
    run("gc").ok()
    return state(store_roots)


@pytest.fixture
def killer(private_config: str) -> Killer:
    """One that learns how long the command takes."""
    return Killer(SEED, {**os.environ, "CONTAINERS_STORAGE_CONF": private_config})


def state(roots: StoreRoots) -> dict[str, str]:
    """All that lies in both roots, by name, type and size."""
    return listing(roots.graph, roots.run)


def command(roots: StoreRoots, *words: str) -> list[str]:
    """A cstore command on a store."""
    return [sys.executable, "-m", "cstore", *roots.options, *words]


def layers(run: Runner) -> list[str]:
    """The IDs that a next command sees; it must work, whatever happened before."""
    return [record["id"] for record in json.loads(run("layers", "--json").ok().stdout) or []]


def test_import(killer: Killer, archive: str, store: dict[str, str], run: Runner, store_roots: StoreRoots) -> None:
    """A killed import left no layer or a whole one; gc and a deletion bring back the store that never had it."""
    for _ in range(ROUNDS):
        done = killer.strike(command(store_roots, "import-layer", "--id", "new", "--file", archive, "base"))
        found = layers(run)
        assert found in (["base"], ["base", "new"]), done
        if "new" in found:
            assert run("diff", "--uncompressed", "new").ok().output == LARGE, done
            run("delete-layer", "new").ok()
        run("gc").ok()
        assert state(store_roots) == store, done
    assert killer.hits > ROUNDS // 2


def test_delete(killer: Killer, archive: str, store: dict[str, str], run: Runner, store_roots: StoreRoots) -> None:
    """A killed deletion left the whole layer or none of it; after gc nothing of it takes space."""
    for _ in range(ROUNDS):
        if "new" not in layers(run):
            run("import-layer", "--id", "new", "--name", "name", "--file", archive, "base").ok()
            run("set-layer-data", "new", "item", stdin=b"data").ok()
        done = killer.strike(command(store_roots, "delete-layer", "name"))
        found = layers(run)
        assert found in (["base"], ["base", "new"]), done
        run("gc").ok()
        if "new" in found:
            assert run("diff", "--uncompressed", "new").ok().output == LARGE, done
            assert run("get-layer-data", "new", "item").ok().output == b"data", done
        else:
            assert state(store_roots) == store, done
    assert killer.hits > ROUNDS // 2


def test_set_names(killer: Killer, store: dict[str, str], run: Runner, store_roots: StoreRoots) -> None:
    """A killed renaming left the old names or the new ones, never some of each."""
    for number in range(ROUNDS):
        old = run("get-names", "base").ok().lines
        new = [f"new-{number:02}", f"and-{number:02}"]
        done = killer.strike(command(store_roots, "set-names", "--name", new[0], "--name", new[1], "base"))
        assert run("get-names", "base").ok().lines in (old, new), done
    run("set-names", "--name", "old-name", "base").ok()
    run("gc").ok()
    assert state(store_roots) == store


def test_copy(killer: Killer, store: dict[str, str], run: Runner, store_roots: StoreRoots, tmp_path: Path) -> None:
    """A killed copy left the whole file under its name or nothing; no half of it lies beside it for ever."""
    large = tmp_path / "large"
    large.write_bytes(random.Random(SEED).randbytes(1 << 20) * 50)
    copied = os.path.join(store_roots.tree("base"), "copied")
    others = sorted(os.listdir(store_roots.tree("base")))
    for _ in range(ROUNDS):
        done = killer.strike(command(store_roots, "copy", str(large), "base:/copied"))
        found = sorted(os.listdir(store_roots.tree("base")))
        assert found in (others, sorted([*others, "copied"])), done
        if "copied" in found:
            assert os.path.getsize(copied) == large.stat().st_size, done
            os.unlink(copied)
    assert killer.hits > ROUNDS // 2
    run("gc").ok()


def test_churn(store: dict[str, str], run: Runner, peer: Runner, store_roots: StoreRoots) -> None:
    """A program killed in the midst of many small changes leaves a store that is whole, for its peers as well."""
    choice = random.Random(SEED)
    program = [sys.executable, "-m", "tests.crash.churn", store_roots.graph, store_roots.run]
    for _ in range(ROUNDS):
        with subprocess.Popen(program, start_new_session=True, stderr=subprocess.PIPE) as process:
            time.sleep(choice.uniform(0.3, 0.9))
            assert process.poll() is None, process.communicate()
            process.kill()
            process.communicate()
        assert alone(process.pid)
        found = layers(run)
        assert {"base"} <= {*found} <= {"base", "churn0", "churn1", "churn2"}
        run("gc").ok()
        assert sorted(os.listdir(os.path.join(store_roots.graph, "vfs", "dir"))) == sorted(found)
        for layer in found:
            run("diff", "--uncompressed", layer).ok()
    for layer in layers(run)[1:]:
        run("delete-layer", layer).ok()
    run("set-names", "--name", "old-name", "base").ok()
    run("gc").ok()
    assert state(store_roots) == store
    assert json.loads(peer("layers", "--json").ok().stdout) == json.loads(run("layers", "--json").ok().stdout)
