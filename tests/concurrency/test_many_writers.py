"""Eight processes and the Go tool on one store at once: nothing lost, no broken file, nobody waits for ever."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import digest, make_tar, regular
from tests.concurrency.worker import BASE_NAMES, TIMEOUT
from tests.conftest import MACHINE_ENVIRONMENT

if TYPE_CHECKING:
    from tests.conftest import Runner, StoreRoots

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

SECONDS = float(MACHINE_ENVIRONMENT.get("CONCURRENCY_SECONDS", 60 if MACHINE_ENVIRONMENT.get("CI") else 20))
"""How long they work: a minute in CI, less at the desk; the variable says otherwise."""

CSTORE_WORKERS = ["command"] * 4 + ["library"] * 4
PEER_WORKERS = ["peer"] * 2
BASE = make_tar(*(regular(name, b"x" * 1000) for name in sorted(BASE_NAMES)))


@pytest.mark.parametrize("kinds", [CSTORE_WORKERS, CSTORE_WORKERS + PEER_WORKERS], ids=["alone", "with-peers"])
def test_many_writers(kinds: list[str], run: Runner, store_roots: StoreRoots, private_config: str) -> None:
    """Everybody's layers, names and contents are there in the end, nobody else's, and no file is left over."""
    if "peer" in kinds and shutil.which("containers-storage") is None:
        pytest.skip("containers-storage is not installed")
    run("import-layer", "--id", "base", stdin=BASE).ok()
    seconds = SECONDS if "peer" in kinds else SECONDS / 4

    reports = work(kinds, seconds, store_roots, private_config)

    expected = {"base": {"names": [], "parent": "", "tar": digest(BASE)}}
    for report in reports:
        expected |= report["layers"]
    found = {
        record["id"]: {"names": record.get("names", []), "parent": record.get("parent", "")}
        for record in json.loads(run("layers", "--json").ok().stdout)
    }
    assert found == {layer: {"names": what["names"], "parent": what["parent"]} for layer, what in expected.items()}
    for layer, what in expected.items():
        if what["tar"]:
            assert digest(run("diff", "--uncompressed", layer).ok().output) == what["tar"]
    assert sorted(os.listdir(os.path.join(store_roots.graph, "vfs", "dir"))) == sorted(expected)
    assert run("gc", "--dry-run").ok().stdout == ""
    print(f"{sum(report['steps'] for report in reports)} steps by {len(kinds)} workers in {seconds:g} s")


@pytest.mark.peer
def test_the_peer_sees_the_same(run: Runner, peer: Runner, store_roots: StoreRoots, private_config: str) -> None:
    """After a short scramble both tools list the same records, key for key."""
    peer("import-layer", "--id", "base", stdin=BASE).ok()

    work(["command", "library", "peer"], min(SECONDS, 5), store_roots, private_config)

    assert json.loads(run("layers", "--json").ok().stdout) == json.loads(peer("layers", "--json").ok().stdout)


def program(kind: str) -> list[str]:
    """The command of a worker, but for its arguments: engines do other things than everybody else."""
    start = [sys.executable, "-m"]
    module, _, part = kind.rpartition(" ")
    if module:
        return [*start, f"tests.concurrency.{module}", part]
    return [*start, "tests.concurrency.podman"] if kind == "podman" else [*start, "tests.concurrency.worker", kind]


def work(kinds: list[str], seconds: float, roots: StoreRoots, config: str) -> list[dict[str, Any]]:
    """Start all workers, wait for them, and return what each remembers. A worker that fails or hangs fails the test."""
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": config}
    running = [
        subprocess.Popen(
            [*program(kind), f"w{number}", str(1000 + number), str(seconds), roots.graph, roots.run, roots.driver],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number, kind in enumerate(kinds)
    ]
    try:
        ended = [process.communicate(timeout=seconds + 2 * TIMEOUT) for process in running]
    finally:
        for process in running:
            process.kill()
    failures = [
        f"{kind} worker {number}: {said.strip()[-1500:]}"
        for number, (kind, process, (_, said)) in enumerate(zip(kinds, running, ended, strict=True))
        if process.returncode != 0
    ]
    assert failures == []
    return [json.loads(told) for told, _ in ended]
