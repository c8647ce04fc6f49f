"""Killed while a container is made or deleted: it is there with all that is its own, or nothing of it is."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, listing, make_tar, regular
from tests.crash.killer import Killer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Runner, StoreRoots

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

HITS, MOST = 8, 40
"""How often a command must be hit before it is done, and how many tries that may take."""
SEED = 20261122


@pytest.fixture
def store_roots(roots_in_memory: StoreRoots) -> StoreRoots:
    """These tests make too many files for the disk that everybody uses."""
    return roots_in_memory


@pytest.fixture
def killer(private_config: str) -> Killer:
    """One that learns how long the command takes."""
    return Killer(SEED, {**os.environ, "CONTAINERS_STORAGE_CONF": private_config})


@pytest.fixture
def store(run: Runner, store_roots: StoreRoots) -> dict[str, str]:
    """A store with an image, in which everything that stays after a container is there; its listing."""
    entries = [entry for n in range(200) for entry in (directory(f"d{n}"), regular(f"d{n}/f", b"x" * 5000))]
    run("import-layer", "--id", "base", stdin=make_tar(*entries)).ok()
    run("create-image", "--id", "image", "base").ok()
    run("create-container", "--id", "new", "image").ok()
    run("get-container-run-dir", "new").ok()
    run("mount", "new").ok()
    run("delete-container", "new").ok()
    run("gc").ok()
    return state(store_roots)


def state(roots: StoreRoots) -> dict[str, str]:
    """All that lies in both roots, by name, type and size."""
    return listing(roots.graph, roots.run)


def is_there(run: Runner, killed: str) -> bool:
    """Whether the container is there, which then has a layer that can be used; there is no other but the image's."""
    found = json.loads(run("containers", "--json").ok().stdout)
    run("remove-names", "--name", "none", "base").ok()  # any writer of layers concludes what a dead one began
    layers = [record["id"] for record in json.loads(run("layers", "--json").ok().stdout)]
    assert found == json.loads(run("containers", "--json").ok().stdout), killed
    assert layers == ["base", *(record["layer"] for record in found)], killed
    if found:
        path = run("mount", "new").ok().stdout.strip()
        assert os.path.getsize(os.path.join(path, "d199", "f")) == 5000, killed
        run("unmount", "new").ok()
    return bool(found)


def rounds(killer: Killer) -> Iterator[int]:
    """Count tries until there are enough hits."""
    for number in range(MOST):
        if killer.hits < HITS:
            yield number


def test_create(killer: Killer, store: dict[str, str], run: Runner, store_roots: StoreRoots) -> None:
    """After gc, a container that is not there takes no byte."""
    command = [
        sys.executable,
        "-m",
        "cstore",
        *store_roots.options,
        "create-container",
        "-i",
        "new",
        "-n",
        "n",
        "image",
    ]
    for _ in rounds(killer):
        done = killer.strike(command)
        if is_there(run, done):
            run("delete-container", "n").ok()
        run("gc").ok()
        assert state(store_roots) == store, done
    assert killer.hits == HITS


def test_delete(killer: Killer, store: dict[str, str], run: Runner, store_roots: StoreRoots) -> None:
    """Data and directories go with the container, or stay with it."""
    command = [sys.executable, "-m", "cstore", *store_roots.options, "delete-container", "new"]
    there = False
    for _ in rounds(killer):
        if not there:
            run("create-container", "-i", "new", "image").ok()
            run("set-container-data", "new", "item", stdin=b"data").ok()
            run("get-container-run-dir", "new").ok()
            run("mount", "new").ok()
        done = killer.strike(command)
        there = is_there(run, done)
        run("gc").ok()
        if there:
            assert run("get-container-data", "new", "item").ok().output == b"data", done
        else:
            assert state(store_roots) == store, done
    assert killer.hits == HITS
