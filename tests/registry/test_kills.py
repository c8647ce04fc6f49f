"""Pull, push and sync killed at random moments: the image is there or not, and the next run ends what was begun."""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cstore import open_store
from cstore.transfer import CopyRequest, copy
from cstore.transfer.syncing import SyncRequest, sync
from tests.registries import MANIFEST, layer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore import Store
    from cstore.transfer.registry_ends import RegistryAccess
    from tests.registries import Pushed, Registry

pytestmark = pytest.mark.usefixtures("needs_root")
KILLS = 4
SLOW = 4_000_000
"""Bytes a second: what is moved takes about as long as the longest time to a kill."""
LONGEST = 0.35


def killed(work: Callable[[], object], after: float) -> None:
    """Do some work in a process of its own, and kill that, with all that it has started, after so many seconds."""
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        try:
            work()
        finally:
            os._exit(0)
    time.sleep(after)
    for process in (-pid, pid):  # the group, or the process if it has not come so far
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
        break
    os.waitpid(pid, 0)


def moments(name: str) -> list[float]:
    """When to kill, the same on every run."""
    chance = random.Random(name)
    return [chance.uniform(0, LONGEST) for _ in range(KILLS)]


@pytest.fixture(scope="module")
def large(registry: Registry) -> Pushed:
    """An image that takes a moment to move."""
    noise = random.Random(3)
    return registry.push("kills/app:1", [layer_of({f"f{n}": noise.randbytes(400_000)}) for n in range(3)])


def test_a_pull_that_is_killed_anywhere(large: Pushed, registry: Registry, store: Store, whole: RegistryAccess) -> None:
    """No half image, no layer that is not right; what is left in the end is nothing."""
    name = f"docker://{registry.host}/kills/app:1"
    for moment in moments("pull"):
        killed(lambda: copy(name, "app:1", CopyRequest(limit_rate=SLOW), store=store, access=whole), moment)
        assert all(layer.diff_digest in large.layers for layer in open_store(store.config).layers.list())

    done = copy(name, "app:1", store=store, access=whole)

    assert done.digest == large.digest
    assert [layer.diff_digest for layer in store.layers.list()] == large.layers
    assert store.check().clean
    assert not store.partial_blobs()


def test_a_push_that_is_killed_anywhere(
    large: Pushed, registry: Registry, store: Store, tmp_path: Path, whole: RegistryAccess
) -> None:
    """The registry has no manifest before all that it names, and the next push ends it."""
    copy(f"docker://{registry.host}/kills/app:1", "app:1", store=store, access=whole)
    there, accept = "/v2/other/pushed/manifests/1", {"Accept": MANIFEST}
    goal = f"docker://{registry.host}/other/pushed:1"
    for moment in moments("push"):
        killed(lambda: copy("app:1", goal, CopyRequest(limit_rate=SLOW), store=store, access=whole), moment)
        if registry.request("GET", there, headers=accept).status == 200:
            registry.request("DELETE", f"/v2/other/pushed/manifests/{large.digest}")

    pushed = copy("app:1", goal, store=store, access=whole)

    other = open_store(graph_root=str(tmp_path / "g2"), run_root=str(tmp_path / "r2"), driver="vfs")
    assert copy(goal, "back", store=other, access=whole).id == pushed.id
    assert store.check().clean


def test_a_sync_that_is_killed_anywhere(large: Pushed, registry: Registry, store: Store, whole: RegistryAccess) -> None:
    """Into a store and out of it; the next run does the rest, and the one after that has nothing to do."""
    registry.push("kills/second:1", [layer_of({"f": random.Random(4).randbytes(500_000)})])
    ways = [(f"docker://{registry.host}/kills/", "containers-storage:")]
    ways.append(("containers-storage:", f"docker://{registry.host}/synced"))

    def run(way: tuple[str, str], rate: int) -> set[str]:
        request = SyncRequest(copy=CopyRequest(limit_rate=rate))
        return {one.outcome for one in sync(*way, request, lambda _: None, store=store, access=whole)}

    for way in ways:
        for moment in moments(way[0][:3])[::2]:
            killed(partial(run, way, SLOW), moment)
        assert run(way, 0) <= {"copied", "equal"}
        assert run(way, 0) == {"equal"}
    assert store.check().clean
    assert large.digest in {image.digest for image in store.images.list()}
