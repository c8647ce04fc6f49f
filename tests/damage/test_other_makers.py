"""Stores that other programs have made: sound ones are clean, and damage in them is found as in our own."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, make_tar, regular, symlink, whiteout
from tests.conftest import find_peer
from tests.damage.specimen import Specimen, look
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer


def _run(*words: str, stdin: bytes = b"") -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


def _roots(specimen: Specimen, program: str) -> list[str]:
    graph, run = ("--graph", "--run") if program.endswith("containers-storage") else ("--root", "--runroot")
    return [program, graph, specimen.graph, run, specimen.run, "--storage-driver", specimen.driver]


@pytest.fixture(params=["vfs", "overlay"])
def specimen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Specimen]:
    """A place for a store, where nothing stays mounted."""
    if os.geteuid() != 0:
        pytest.skip("needs root: so do the programs that make the store")
    yield Specimen(request.param, str(tmp_path))
    detach_all(str(tmp_path))


def _build(specimen: Specimen) -> str:
    """Let buildah make two images and a container; returns the lower image's layer."""
    buildah = _roots(specimen, find_peer("buildah"))
    container = _run(*buildah, "from", "scratch")
    tree = _run(*buildah, "mount", container)
    os.makedirs(os.path.join(tree, "bin"))
    for name in ("bin/tool", "bin/other", "gone"):
        with open(os.path.join(tree, name), "wb") as file:
            file.write(name.encode() * 100)
    os.link(os.path.join(tree, "bin/tool"), os.path.join(tree, "bin/same"))
    os.symlink("tool", os.path.join(tree, "bin/link"))
    os.chown(os.path.join(tree, "bin/other"), 1000, 1000)
    os.chmod(os.path.join(tree, "bin/tool"), 0o4711)  # noqa: S103  - a program for everybody
    _run(*buildah, "umount", container)
    _run(*buildah, "commit", "-q", container, "base")
    _run(*buildah, "rm", container)
    container = _run(*buildah, "from", "base")
    tree = _run(*buildah, "mount", container)
    os.unlink(os.path.join(tree, "gone"))
    with open(os.path.join(tree, "more"), "wb") as file:
        file.write(b"more")
    _run(*buildah, "umount", container)
    _run(*buildah, "commit", "-q", container, "top")
    (image,) = [each for each in specimen.open().images.list() if any("base" in name for name in each.names)]
    return image.layer


def test_buildahs_store(specimen: Specimen) -> None:
    """Images, a working container, and what damage to them looks like."""
    layer = _build(specimen)
    before = look(specimen.graph, specimen.run)

    assert [finding.document() for finding in specimen.check().findings] == []
    assert look(specimen.graph, specimen.run) == before
    with open(specimen.tree(layer, "bin/other"), "r+b") as file:
        file.write(b"X")
    os.unlink(specimen.tree(layer, "bin/link"))
    found = {(finding.kind, finding.evidence["part"]) for finding in specimen.check().findings}
    assert {("file-changed", "bin/other"), ("file-missing", "bin/link")} <= found


def test_the_go_tools_store(specimen: Specimen) -> None:
    """Layers of tars, as Debian's containers-storage unpacks them."""
    peer = _roots(specimen, find_peer("containers-storage"))
    below = make_tar(
        directory("./"), directory("etc", mtime=1_500_000_000), regular("etc/a", b"a" * 700), symlink("l", "etc"),
        regular("deep/er/file", b"x"),
    )  # fmt: skip
    above = make_tar(directory("etc"), whiteout("etc/a"), regular("etc/b", b"b"), regular("etc/.wh..wh..opq"))
    for name, parent, archive in (("lower", [], below), ("upper", ["lower"], above)):
        path = os.path.join(specimen.root, name)
        with open(path, "wb") as file:
            file.write(archive)
        _run(*peer, "import-layer", "--id", name, "-f", path, *parent)

    # On overlay they leave a mark in a directory that is opaque: it shows as a broken device, which is no damage.
    found = [(finding.kind, finding.subject.id) for finding in specimen.check().findings]
    assert found == ([("layer-view", "upper")] if specimen.driver == "overlay" else [])
    os.truncate(specimen.tree("lower", "etc/a"), 3)
    assert "file-changed" in {finding.kind for finding in specimen.check().findings}
