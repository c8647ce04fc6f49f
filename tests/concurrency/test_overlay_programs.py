"""cstore, the Go tool, Podman and Buildah on one overlay store at once: nothing is lost, left mounted or left over."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import digest
from tests.concurrency.engines import KEPT
from tests.concurrency.test_many_writers import BASE, work
from tests.concurrency.worker import BASE_NAMES, TIMEOUT
from tests.conftest import MACHINE_ENVIRONMENT, StoreRoots, find_peer
from tests.mounts import detach_all, mounts_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunnerMaker

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

SECONDS = float(MACHINE_ENVIRONMENT.get("CONCURRENCY_SECONDS", 15))
KINDS = ["command", "command", "library", "library", "peer", "podman"]


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[StoreRoots]:
    """A store that nobody has opened; its mounts go with the test."""
    yield StoreRoots(str(tmp_path / "graph"), str(tmp_path / "run"), driver="overlay")
    detach_all(str(tmp_path))


def test_all_programs_at_once(roots: StoreRoots, run_on: RunnerMaker, peer_on: RunnerMaker, tmp_path: Path) -> None:
    """Everybody's layers, names and contents are there in the end, nobody else's, and no mount is left."""
    find_peer("podman")
    run, peer = run_on(roots), peer_on(roots)
    config = tmp_path / "storage.conf"
    config.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n')
    run("import-layer", "--id", "base", stdin=BASE).ok()

    reports = work(KINDS, SECONDS, roots, str(config))

    expected = {"base": {"names": [], "parent": "", "tar": digest(BASE)}}
    for report in reports:
        expected |= report["layers"]
    records = json.loads(run("layers", "--json").ok().stdout)
    assert records == json.loads(peer("layers", "--json").ok().stdout)
    found = {record["id"]: (record.get("names", []), record.get("parent", "")) for record in records}
    assert found == {layer: (what["names"], what["parent"]) for layer, what in expected.items()}
    for layer, what in expected.items():
        if what["tar"]:
            assert digest(run("diff", "--uncompressed", layer).ok().output) == what["tar"]
    home = os.path.join(roots.graph, "overlay")
    assert sorted(os.listdir(home)) == sorted([*expected, "l", ".has-mount-program"])
    links = [os.readlink(os.path.join(home, "l", name)) for name in os.listdir(os.path.join(home, "l"))]
    assert sorted(links) == sorted(f"../{layer}/diff" for layer in expected)
    assert run("gc", "--dry-run").ok().stdout == ""
    assert [path for path in mounts_below(home) if path.startswith(os.path.realpath(home) + "/")] == []
    run("shutdown").ok()
    assert mounts_below(str(tmp_path)) == []
    print(f"{sum(report['steps'] for report in reports)} steps by {len(KINDS)} workers in {SECONDS:g} s")


ENGINES = ["engines buildah", "engines podman", "engines caretaker", "engines caretaker"]


def test_check_repair_and_gc_beside_buildah_and_podman(
    roots: StoreRoots, run_on: RunnerMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody fails, nothing is found or put aside, an image and a working container outlast it, and nothing is left."""
    run, buildah, podman = run_on(roots), find_peer("buildah"), find_peer("podman")
    config = tmp_path / "storage.conf"
    config.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(config))
    (tmp_path / "base.tar").write_bytes(BASE)
    call([podman, "import", "--quiet", str(tmp_path / "base.tar"), KEPT])
    container = call([buildah, "from", "--pull-never", KEPT])
    with open(os.path.join(call([buildah, "mount", container]), "written"), "w", encoding="ascii") as file:
        file.write("by hand")
    before = run("layers", "--json").ok().stdout

    reports = work(ENGINES, SECONDS, roots, str(config))

    assert all(report["steps"] for report in reports)
    assert layers_of(run("layers", "--json").ok().stdout) == layers_of(before)
    run("check").ok()
    assert run("repair", "--yes").ok().lines == ["nothing needs repair"]
    assert json.loads(run("repair", "--list", "--json").ok().stdout) == []
    assert run("gc", "--dry-run").ok().stdout == ""
    with open(os.path.join(call([buildah, "mount", container]), "written"), encoding="ascii") as file:
        assert file.read() == "by hand"
    call([buildah, "rm", container])
    assert set(os.listdir(call([podman, "image", "mount", KEPT]))) >= BASE_NAMES
    call([podman, "rmi", "--force", KEPT])
    assert run("layers").ok().stdout == ""
    print({kind: report["steps"] for kind, report in zip(ENGINES, reports, strict=True)}, f"in {SECONDS:g} s")


def call(words: list[str]) -> str:
    """Run an engine, which must succeed; returns what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def layers_of(told: str) -> set[tuple[str, str]]:
    """The layers that were listed, with their parents."""
    return {(record["id"], record.get("parent", "")) for record in json.loads(told)}
