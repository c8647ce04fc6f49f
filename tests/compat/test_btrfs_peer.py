"""One btrfs store, two tools: what either made, the other lists, mounts, exports to the same bytes, and deletes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cstore.kernel.mountinfo import is_mountpoint
from tests.builders import differences, digest, directory, make_tar, regular, tree_manifest, typical_tar, whiteout
from tests.conftest import StoreRoots, find_peer
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, RunnerMaker

TOP = make_tar(directory("etc"), whiteout("etc/hosts"), regular("etc/new", b"new", uid=7, mode=0o4755), regular("top"))


class BtrfsRoots(StoreRoots):
    """Roots of a store on btrfs."""

    @property
    def options(self) -> list[str]:
        """The global options that name this store."""
        return ["--graph", self.graph, "--run", self.run, "--storage-driver", "btrfs"]

    def tree(self, layer: str) -> str:
        """The subvolume of a layer."""
        return os.path.join(self.graph, "btrfs", "subvolumes", layer)


@pytest.fixture
def disk(btrfs_disk: str) -> Iterator[str]:
    """A directory on btrfs whose mounts go with the test."""
    folder = tempfile.mkdtemp(dir=btrfs_disk)
    yield folder
    detach_all(folder)


@pytest.fixture
def roots(disk: str) -> BtrfsRoots:
    """A store that nobody has opened."""
    return BtrfsRoots(os.path.join(disk, "graph"), os.path.join(disk, "run"))


@pytest.fixture
def ours(run_on: RunnerMaker, roots: BtrfsRoots) -> Runner:
    """Our tool on the store."""
    return run_on(roots)


@pytest.fixture
def peer(peer_on: RunnerMaker, roots: BtrfsRoots) -> Runner:
    """Debian's tool on the same store."""
    return peer_on(roots)


def import_three(run: Runner) -> None:
    """Import two archives, one on the other, and make a third layer that is changed by hand."""
    run("import-layer", "--id", "base", "--name", "bottom", stdin=typical_tar()).ok()
    run("import-layer", "--id", "top", "base", stdin=TOP).ok()
    run("create-layer", "--id", "hand", "top").ok()
    tree = run("mount", "hand").ok().stdout.strip()
    os.unlink(os.path.join(tree, "etc/new"))
    with open(os.path.join(tree, "by-hand"), "w", encoding="ascii") as file:
        file.write("by hand")
    run("unmount", "hand").ok()


@pytest.mark.parametrize("maker", ["ours", "peer"])
def test_both_see_the_same_in_one_store(
    maker: str, ours: Runner, peer: Runner, roots: BtrfsRoots, request: pytest.FixtureRequest
) -> None:
    """Lists, changes, sizes and exported bytes agree, whoever made the layers; the other one deletes them."""
    import_three(request.getfixturevalue(maker))

    assert json.loads(ours("layers", "--json").ok().stdout) == json.loads(peer("layers", "--json").ok().stdout)
    for layer in ("base", "top", "hand"):
        assert sorted(ours("changes", layer).ok().lines) == sorted(peer("changes", layer).ok().lines)
        assert ours("diffsize", layer).ok().stdout == peer("diffsize", layer).ok().stdout
    for layer, archive in (("base", typical_tar()), ("top", TOP)):
        exported = ours("diff", "--uncompressed", layer).ok().output
        assert digest(exported) == digest(archive)
        assert digest(peer("diff", "--uncompressed", layer).ok().output) == digest(archive)
    assert peer("mount", "hand").ok().stdout == ours("mount", "hand").ok().stdout == roots.tree("hand") + "\n"
    assert ours("unmount", "hand").ok().code == 0
    assert peer("unmount", "hand").ok().code == 0
    for layer in ("hand", "top", "base"):
        (peer if maker == "ours" else ours)("delete-layer", layer).ok()
    assert os.listdir(os.path.join(roots.graph, "btrfs", "subvolumes")) == []
    command = ["btrfs", "subvolume", "list", roots.graph]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    assert os.path.basename(os.path.dirname(roots.graph)) not in listed.stdout


def test_the_same_archives_give_the_same_trees(
    run_on: RunnerMaker, peer_on: RunnerMaker, roots: BtrfsRoots, disk: str
) -> None:
    """Every path, type, mode, owner, time and attribute, and the same files around them."""
    theirs = BtrfsRoots(os.path.join(disk, "peer-graph"), os.path.join(disk, "peer-run"))
    for run in (run_on(roots), peer_on(theirs)):
        run("import-layer", "--id", "base", stdin=typical_tar()).ok()
        run("import-layer", "--id", "top", "base", stdin=TOP).ok()

    for layer in ("base", "top"):
        mine, other = tree_manifest(roots.tree(layer)), tree_manifest(theirs.tree(layer))
        for manifest in (mine, other):
            manifest[b"."] = replace(manifest[b"."], mtime=None)
        assert differences(mine, other) == []
    homes = [sorted(os.listdir(os.path.join(at.graph, "btrfs"))) for at in (roots, theirs)]
    assert homes == [["subvolumes"], ["subvolumes"]]
    modes = [os.stat(os.path.dirname(at.tree("base"))).st_mode for at in (roots, theirs)]
    assert modes[0] == modes[1]


def test_the_store_is_found_without_a_name(peer: Runner, roots: BtrfsRoots, tmp_path: Path) -> None:
    """Whoever made it; and a directory that a failed start of another driver left does not count."""
    peer("create-layer", "--id", "theirs").ok()
    os.mkdir(os.path.join(roots.graph, "zfs"))
    config = tmp_path / "storage.conf"
    config.write_text("[storage]\n")
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(config)}
    command = [sys.executable, "-m", "cstore", "--graph", roots.graph, "--run", roots.run, "layers"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "theirs\n"), done.stderr


def test_shutdown_takes_the_peers_mount_of_the_home_away(ours: Runner, peer: Runner, roots: BtrfsRoots) -> None:
    """It binds the home to itself and leaves it so; nothing is mounted after a shutdown of either."""
    peer("create-layer", "--id", "a").ok()
    home = os.path.join(roots.graph, "btrfs")

    assert is_mountpoint(home)
    ours("shutdown").ok()
    assert not is_mountpoint(home)


def test_buildah_builds_in_our_store(ours: Runner, roots: BtrfsRoots, tmp_path: Path) -> None:
    """What it fills we mount, what it commits we export, and podman deletes it."""
    ours("import-layer", "--id", "before", stdin=typical_tar()).ok()
    (tmp_path / "file").write_text("from buildah")
    config = tmp_path / "peer.conf"
    config.write_text(f'[storage]\ndriver = "btrfs"\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n')
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(config)}

    def call(program: str, *words: str) -> str:
        command = [find_peer(program), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    name = call("buildah", "from", "scratch")
    call("buildah", "add", name, str(tmp_path / "file"), "/there")
    tree = ours("mount", name).ok().stdout.strip()
    with open(os.path.join(tree, "there"), encoding="ascii") as file:
        assert file.read() == "from buildah"
    ours("unmount", name).ok()
    call("buildah", "commit", "--quiet", name, "localhost/made:1")
    found = [record["id"] for record in json.loads(ours("layers", "--json").ok().stdout)]
    assert ['Add "/there"'] in [ours("changes", layer).ok().lines for layer in found]
    call("buildah", "rm", name)
    call("podman", "rmi", "localhost/made:1")
    assert os.listdir(os.path.join(roots.graph, "btrfs", "subvolumes")) == ["before"]
