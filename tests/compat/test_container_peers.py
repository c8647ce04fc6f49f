"""Containers that cstore, Buildah, Podman and the Go tool make and use in turns, in one overlay store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import find_peer, unplaced
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Tool = Callable[..., str]

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

SHELL = os.path.realpath("/bin/sh")


@pytest.fixture
def run_root() -> Iterator[str]:
    """A run root with a short name: Podman takes no long ones."""
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as folder:
        yield folder
        detach_all(folder)


@pytest.fixture
def tool(tmp_path: Path, run_root: str) -> Iterator[Callable[[str], Tool]]:
    """Runs one of the programs on the test's store, and gives what it printed."""
    graph, run = str(tmp_path / "graph"), run_root
    config = tmp_path / "storage.conf"  # Podman 4.3 wants both roots in it, whatever the options say
    config.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{graph}"\nrunroot = "{run}"\n')
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(config)}

    def of(name: str) -> Tool:
        if name in {"cstore", "containers-storage"}:
            program = [sys.executable, "-m", "cstore"] if name == "cstore" else [find_peer(name)]
            program += ["--graph", graph, "--run", run, "--storage-driver", "overlay"]
        else:
            program = [find_peer(name), "--root", graph, "--runroot", run, "--storage-driver", "overlay"]

        def call(*words: str) -> str:
            done = subprocess.run([*program, *words], capture_output=True, text=True, env=environment, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        return call

    yield of
    detach_all(str(tmp_path))


@pytest.fixture
def image(tool: Callable[[str], Tool]) -> str:
    """An image that Buildah made of what cstore copied into Buildah's container: a shell and what it needs."""
    cstore, buildah = tool("cstore"), tool("buildah")
    buildah("from", "--name", "making", "scratch")
    layer = layer_of(cstore, "making")
    libraries = subprocess.run(["ldd", SHELL], capture_output=True, text=True, check=True).stdout
    for path in (SHELL, *re.findall(r"/\S+", libraries)):
        cstore("copy", path, f"{layer}:{'/bin/sh' if path == SHELL else path}")
    mount = cstore("mount", "making")
    for folder, _, _ in os.walk(mount):
        os.chmod(folder, 0o755)  # noqa: S103  - a file system that others can use
    cstore("unmount", "making")
    buildah("commit", "--quiet", "making", "localhost/shell")
    return "localhost/shell:latest"


def layer_of(cstore: Tool, container: str) -> str:
    """The ID of a container's own layer."""
    return next(line[7:] for line in cstore("container", container).splitlines() if line.startswith("Layer: "))


def test_in_turns(tool: Callable[[str], Tool], image: str, tmp_path: Path) -> None:
    """What one made, the others list, run, read, mount and delete."""
    cstore, buildah, podman, peer = map(tool, ("cstore", "buildah", "podman", "containers-storage"))

    buildah("from", "--name", "theirs", image)
    buildah("run", "--isolation", "chroot", "theirs", "--", "/bin/sh", "-c", "echo hello > /new")
    assert 'Add "/new"' in cstore("changes", layer_of(cstore, "theirs")).splitlines()
    cstore("copy", f"{layer_of(cstore, 'theirs')}:/new", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "hello\n"

    podman("create", "--name", "pod", image, "sh")
    directory = cstore("get-container-dir", "pod")
    assert directory.endswith("/userdata")
    cstore("set-container-data", "-f", "/etc/passwd", "pod", "item")
    podman("rm", "pod")
    assert not os.path.exists(directory)

    ours = cstore("create-container", "-n", "ours", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", image)
    assert "ours" in podman("ps", "--all", "--external", "--format", "{{.Names}}").splitlines()
    assert peer("mount", "ours") == cstore("mount", "ours")
    assert os.stat(os.path.join(peer("mount", "ours"), "bin", "sh")).st_uid == 100_000
    cstore("unmount", "--force", "ours")
    podman("rm", ours.splitlines()[0])

    cstore("delete-container", "theirs", "making")
    assert cstore("containers") == buildah("containers", "--quiet") == ""
    podman("rmi", image)
    assert cstore("layers") == peer("layers") == ""


def test_answers_about_what_each_tool_made(tool: Callable[[str], Tool], image: str, tmp_path: Path) -> None:
    """Each holder is named with its maker and that tool's command, which lets go; every byte is accounted for."""
    cstore, buildah, podman = map(tool, ("cstore", "buildah", "podman"))
    buildah("rm", "making")
    buildah("from", "--name", "theirs", image)
    podman("create", "--name", "pod", image, "sh")
    cstore("create-container", "-n", "ours", image)
    podman("mount", "pod")
    shown = podman("image", "mount", image)

    holders = json.loads(cstore("why", "--json", image))["items"][0]["held_by"]
    named = {each["names"][0]: each for each in holders if each["kind"] == "container"}
    assert {name: (each["maker"], unplaced(each["command"])) for name, each in named.items()} == {
        "theirs": ("Buildah", "buildah rm theirs"),
        "pod": ("Podman", "podman rm pod"),
        "ours": ("unknown", "cstore delete-container ours"),
    }
    (mounted,) = [each for each in named["pod"]["held_by"] if each["kind"] == "mount"]
    assert unplaced(mounted["command"]) == "podman unmount pod"
    assert shown in {each["id"] for each in holders if each["kind"] == "mount"}

    usage = json.loads(cstore("df", "--json", "-v"))
    du = subprocess.run(["du", "-sx", "--block-size=1", *usage["roots"]], capture_output=True, text=True, check=True)
    assert usage["total"] == usage["du"] == int(du.stdout.split()[0])
    assert {line["kind"] for line in usage["lines"]}.isdisjoint({"orphan", "unknown"})
    strangers = {os.path.basename(line["path"]): line["note"] for line in usage["lines"] if line["kind"] == "foreign"}
    assert strangers["libpod"] == "Podman's database"
    assert all("no tool" not in note for note in strangers.values()), strangers

    (answer,) = json.loads(cstore("whois", "--json", mounted["id"]))["answers"]
    assert {"kind": "container", "id": named["pod"]["id"], "names": ["pod"]} in answer["found"][0]["used_by"]

    podman("image", "unmount", image)
    programs = {"buildah": buildah, "podman": podman, "cstore": cstore}
    for command in (mounted["command"], *(each["command"] for each in named.values())):
        program, *words = command.split()
        programs[program](*words)
    assert cstore("why", image).endswith("nothing holds it")
    planned = json.loads(cstore("rm", "--json", "--dry-run", image))
    assert planned["freed"] > os.stat(SHELL).st_size
    assert json.loads(cstore("rm", "--json", image)) == {**planned, "dry_run": False}
    assert cstore("layers") == podman("images", "--quiet") == ""
