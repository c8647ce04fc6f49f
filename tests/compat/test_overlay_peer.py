"""One overlay store, many programs: what either made, the other lists, mounts, compares, exports and deletes alike."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import (
    differences,
    directory,
    hardlink,
    listing,
    make_tar,
    node,
    regular,
    symlink,
    tree_manifest,
    typical_tar,
    whiteout,
)
from tests.compat.test_real_layers import modern
from tests.conftest import OverlayRoots, StoreRoots, find_peer
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.compat.corpora import Corpus
    from tests.conftest import Runner, RunnerMaker

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

BASE = make_tar(
    directory("etc", mode=0o755),
    regular("etc/a", b"one"),
    regular("etc/b", b"two", uid=5, gid=6, mode=0o4755),
    directory("dir", mode=0o1777, uid=3),
    regular("dir/old", b"x"),
    directory("dir/sub", mode=0o2755),
    regular("dir/sub/deep", b"y", mtime=0),
    directory("opaque", mode=0o755),
    regular("opaque/old", b"x"),
    symlink("link", "etc"),
    hardlink("hard", "etc/a"),
    node("null", b"3", (1, 3)),
    node("fifo", b"6"),
    regular("gone", b"gone"),
    directory("gone-too", mode=0o755),
    regular("gone-too/x", b"1"),
    regular("na\u00efve", b"1"),
)
TOP = make_tar(
    whiteout("gone", uid=7),
    whiteout("gone-too"),
    directory("dir", mode=0o755),
    whiteout("dir/old"),
    directory("opaque", mode=0o755),
    regular("opaque/.wh..wh..opq"),
    regular("opaque/new", b"n"),
    regular("etc/a", b"changed"),
    directory("new", mode=0o700),
    regular("new/f", b"12345", uid=1000, gid=1000),
    regular("implied/on/the/way", b"q"),
)

_MADE_NOW = (b"implied", b"implied/on", b"implied/on/the", b"etc", b"gone", b"gone-too", b"dir/old")
"""Directories that are not in the second archive, and whiteouts: their time is that of the import."""


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[OverlayRoots]:
    """A store that nobody has opened; its mounts go with the test."""
    yield OverlayRoots(str(tmp_path / "graph"), str(tmp_path / "run"))
    detach_all(str(tmp_path))


@pytest.fixture
def theirs(tmp_path: Path) -> OverlayRoots:
    """A second store, for the peer alone. `roots` cleans up."""
    return OverlayRoots(str(tmp_path / "peer-graph"), str(tmp_path / "peer-run"))


@pytest.fixture
def ours(run_on: RunnerMaker, roots: OverlayRoots) -> Runner:
    """Our tool on the store."""
    return run_on(roots)


@pytest.fixture
def peer(peer_on: RunnerMaker, roots: OverlayRoots) -> Runner:
    """Debian's tool on the same store."""
    return peer_on(roots)


def import_two(run: Runner) -> None:
    """Import both archives, and make a third layer that is changed by hand."""
    run("import-layer", "--id", "base", "--name", "bottom", stdin=BASE).ok()
    run("import-layer", "--id", "top", "base", stdin=TOP).ok()
    run("create-layer", "--id", "hand", "top").ok()
    tree = run("mount", "hand").ok().stdout.strip()
    for name in ("null", "fifo", "etc/b"):
        os.unlink(os.path.join(tree, name))
    shutil.rmtree(os.path.join(tree, "dir"))
    os.mkdir(os.path.join(tree, "dir"))
    for name in ("dir/again", "etc/new"):
        with open(os.path.join(tree, name), "w", encoding="ascii") as file:
            file.write(name)
    os.chmod(os.path.join(tree, "new"), 0o500)
    run("unmount", "hand").ok()


def test_the_same_archives_give_the_same_directories(
    run_on: RunnerMaker, peer_on: RunnerMaker, roots: OverlayRoots, theirs: OverlayRoots
) -> None:
    """Every path, type, mode, owner, time and attribute, whiteouts and opaque marks included."""
    for run in (run_on(roots), peer_on(theirs)):
        run("import-layer", "--id", "base", stdin=BASE).ok()
        run("import-layer", "--id", "top", "base", stdin=TOP).ok()

    for layer in ("base", "top"):
        mine, other = tree_manifest(roots.tree(layer)), tree_manifest(theirs.tree(layer))
        for path in _MADE_NOW:
            for manifest in (mine, other):
                if layer == "top" and path in manifest:
                    manifest[path] = replace(manifest[path], mtime=None)
        assert differences(mine, other) == []
    entry = tree_manifest(roots.tree("top"))[b"opaque"]
    assert ("trusted.overlay.opaque", b"y") in entry.xattrs


def test_the_layout_is_the_peers(
    run_on: RunnerMaker, peer_on: RunnerMaker, roots: OverlayRoots, theirs: OverlayRoots
) -> None:
    """The same files and directories with the same modes in the home, but for `tempdirs`, which newer tools have."""
    seen = []
    for run, at in ((run_on(roots), roots), (peer_on(theirs), theirs)):
        run("import-layer", "--id", "base", stdin=BASE).ok()
        run("create-layer", "--id", "child", "base").ok()
        home = os.path.join(at.graph, "overlay")
        parts = {}
        for folder, directories, files in os.walk(home):
            directories[:] = [name for name in directories if name not in {"diff", "tempdirs"}]
            for name in (*directories, *files):
                path = os.path.join(folder, name)
                shown = os.path.relpath(path, home)
                parts["l/*" if shown.startswith("l/") else shown] = oct(os.lstat(path).st_mode)
        lower = read(os.path.join(home, "child", "lower"))
        assert lower == "l/" + read(os.path.join(home, "base", "link"))
        assert os.readlink(os.path.join(home, lower)) == "../base/diff"
        seen.append(parts)

    assert seen[0] == seen[1]


def read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


@pytest.mark.parametrize("maker", ["ours", "peer"])
def test_both_see_the_same_in_one_store(
    maker: str, ours: Runner, peer: Runner, roots: OverlayRoots, request: pytest.FixtureRequest
) -> None:
    """Lists, changes in their order, sizes and exported bytes agree, whoever made the layers."""
    import_two(request.getfixturevalue(maker))

    assert json.loads(ours("layers", "--json").ok().stdout) == json.loads(peer("layers", "--json").ok().stdout)
    for layer in ("base", "top", "hand"):
        assert ours("changes", layer).ok().lines == peer("changes", layer).ok().lines
        assert ours("diffsize", layer).ok().stdout == peer("diffsize", layer).ok().stdout
        exported = ours("diff", "--uncompressed", layer).ok().output
        written = peer("diff", "--uncompressed", layer).ok().output
        assert exported == (modern(written) if layer == "hand" else written)
    assert sorted(ours("changes", "hand", "base").ok().lines) == sorted(peer("changes", "hand", "base").ok().lines)
    assert peer("mount", "hand").ok().stdout == ours("mount", "hand").ok().stdout
    assert peer("mounted", "hand").ok().stdout == "hand mounted\n"
    assert ours("unmount", "hand").ok().code == 0
    assert peer("unmount", "hand").ok().code == 0
    assert ours("mounted", "hand").ok().stdout == ""
    for layer in ("hand", "top", "base"):
        (peer if maker == "ours" else ours)("delete-layer", layer).ok()
    home = os.path.join(roots.graph, "overlay")
    assert sorted(os.listdir(home)) == [".has-mount-program", "l"]
    assert os.listdir(os.path.join(home, "l")) == []


def test_the_same_archives_for_a_mount_program(
    run_on: RunnerMaker, peer_on: RunnerMaker, roots: OverlayRoots, theirs: OverlayRoots
) -> None:
    """Whiteouts stay files for fuse-overlayfs; both tools mount and compare what either made."""
    option = ["--storage-opt", f"overlay.mount_program={find_peer('fuse-overlayfs')}"]
    for run in (run_on(roots), peer_on(theirs)):
        run(*option, "import-layer", "--id", "base", stdin=BASE).ok()
        run(*option, "import-layer", "--id", "top", "base", stdin=TOP).ok()
    mine, other = tree_manifest(roots.tree("top")), tree_manifest(theirs.tree("top"))
    for path in _MADE_NOW:
        for manifest in (mine, other):
            if path in manifest:
                manifest[path] = replace(manifest[path], mtime=None)

    assert differences(mine, other) == []
    assert b".wh.gone" in mine
    for at in (roots, theirs):
        seen = []
        for run in (run_on(at), peer_on(at)):
            tree = run(*option, "mount", "top").ok().stdout.strip()
            seen.append(tree_manifest(tree, times=False))
            assert run(*option, "unmount", "top").ok().code == 0
            assert run(*option, "diff", "--uncompressed", "top").ok().output == TOP
        assert differences(*seen) == []
        assert b"gone" not in seen[0]
        assert b"opaque/old" not in seen[0]
        mine_now = set(run_on(at)(*option, "changes", "top").ok().lines)
        theirs_now = set(peer_on(at)(*option, "changes", "top").ok().lines)
        # The peer asks for names one by one, and the program still answers for one that it does not list.
        assert mine_now - theirs_now <= {'Delete "/opaque/old"'}
        assert theirs_now <= mine_now


def test_layers_of_an_additional_store(
    run_on: RunnerMaker, peer_on: RunnerMaker, roots: OverlayRoots, theirs: OverlayRoots
) -> None:
    """A layer on top of one that the peer keeps elsewhere: both tools mount it, and the other store stays untouched."""
    peer_on(theirs)("import-layer", "--id", "base", stdin=BASE).ok()
    peer_on(theirs)("create-image", "--id", "image", "base").ok()
    peer_on(theirs)("shutdown").ok()
    before = listing(os.path.join(theirs.graph, "overlay"))
    option = ["--storage-opt", f"overlay.imagestore={theirs.graph}"]
    run_on(roots)(*option, "import-layer", "--id", "top", "base", stdin=TOP).ok()
    lines = run_on(roots)(*option, "changes", "top").ok().lines
    tree = run_on(roots)(*option, "mount", "top").ok().stdout.strip()

    assert sorted(os.listdir(tree)) == [
        "dir",
        "etc",
        "fifo",
        "hard",
        "implied",
        "link",
        "na\u00efve",
        "new",
        "null",
        "opaque",
    ]
    assert peer_on(roots)(*option, "mounted", "top").ok().stdout == "top mounted\n"
    run_on(roots)(*option, "unmount", "top").ok()
    assert peer_on(roots)(*option, "changes", "top").ok().lines == lines
    assert listing(os.path.join(theirs.graph, "overlay")) == before


def test_an_exported_layer_imported_again_is_the_same(ours: Runner, roots: OverlayRoots) -> None:
    """A diff written from the directory makes the same directory."""
    import_two(ours)
    tar = ours("diff", "--uncompressed", "hand").ok().output
    ours("import-layer", "--id", "again", "top", stdin=tar).ok()

    before, after = (tree_manifest(roots.tree(layer), times=False) for layer in ("hand", "again"))
    for manifest in (before, after):
        for path, fact in list(manifest.items()):
            marks = tuple(pair for pair in fact.xattrs if pair[0] == "trusted.overlay.opaque")
            manifest[path] = replace(fact, links=(), xattrs=marks)
    assert differences(before, after) == []


def test_a_real_layer_is_written_as_the_peer_writes_it(
    corpus: Corpus, run_on: RunnerMaker, peer_on: RunnerMaker, roots: OverlayRoots, theirs: OverlayRoots, tmp_path: Path
) -> None:
    """A Debian root, an npm tree, Python wheels: the same tree, and the same bytes out of it for both tools."""
    archive = corpus.path("tar")
    run_on(roots)("import-layer", "--id", "real", "--file", archive).ok()
    peer_on(theirs)("import-layer", "--id", "real", "--file", archive).ok()
    mine, other = tree_manifest(roots.tree("real")), tree_manifest(theirs.tree("real"))
    del mine[b"."], other[b"."]  # the peer passes over what an archive says of the root, on overlay alone
    assert differences(mine, other) == []
    for number, run in enumerate((run_on(roots), peer_on(roots), run_on(theirs))):
        out = str(tmp_path / f"{number}.tar")
        run("diff", "--uncompressed", "--file", out, "real").ok()
        assert subprocess.run(["cmp", out, archive], check=False).returncode == 0
        os.unlink(out)
    assert run_on(roots)("changes", "real").ok().lines == peer_on(roots)("changes", "real").ok().lines


def call(roots: StoreRoots, program: str, *words: str) -> str:
    """Run a peer that takes its roots from storage.conf alone; returns its standard output."""
    config = os.path.join(os.path.dirname(roots.graph), "peer.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[storage]\ndriver = "overlay"\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n')
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": config}
    done = subprocess.run(
        [find_peer(program), *words], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_buildah_builds_in_our_store(ours: Runner, roots: OverlayRoots, tmp_path: Path) -> None:
    """A container from scratch is made and filled by Buildah; we mount it, compare it, and count the same mounts."""
    ours("import-layer", "--id", "before", stdin=BASE).ok()
    (tmp_path / "file").write_text("from buildah")
    name = call(roots, "buildah", "from", "scratch")
    call(roots, "buildah", "add", name, str(tmp_path / "file"), "/there")
    tree = ours("mount", name).ok().stdout.strip()

    assert read(os.path.join(tree, "there")) == "from buildah"
    ours("unmount", name).ok()
    image = call(roots, "buildah", "commit", "--quiet", name, "localhost/made:1")
    assert image in call(roots, "podman", "images", "--no-trunc", "--quiet")
    found = [record["id"] for record in json.loads(ours("layers", "--json").ok().stdout)]
    top = next(layer for layer in found if ours("changes", layer).ok().lines == ['Add "/there"'])
    assert hash_of(ours("diff", "--uncompressed", top).ok().output)
    call(roots, "buildah", "rm", name)
    call(roots, "podman", "rmi", "localhost/made:1")
    assert [record["id"] for record in json.loads(ours("layers", "--json").ok().stdout)] == ["before"]


def hash_of(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def test_an_image_of_skopeo_runs_through_both(ours: Runner, roots: OverlayRoots, tmp_path: Path) -> None:
    """What skopeo copied, we export bytewise and mount beside Podman, which still has its image afterwards."""
    layout, archive = str(tmp_path / "oci"), tmp_path / "layer.tar"
    archive.write_bytes(typical_tar())
    umoci = find_peer("umoci")
    for words in (
        ["init", "--layout", layout],
        ["new", "--image", f"{layout}:one"],
        ["raw", "add-layer", "--image", f"{layout}:one", str(archive)],
    ):
        subprocess.run([umoci, *words], check=True, capture_output=True)
    target = f"containers-storage:[overlay@{roots.graph}+{roots.run}]localhost/one:latest"
    call(roots, "skopeo", "--insecure-policy", "copy", f"oci:{layout}:one", target)
    layer = json.loads(ours("layers", "--json").ok().stdout)[0]["id"]

    assert ours("diff", "--uncompressed", layer).ok().output == typical_tar()
    theirs = call(roots, "podman", "image", "mount", "localhost/one:latest")
    assert os.path.exists(os.path.join(theirs, "etc/hosts"))
    assert ours("mounted", layer).ok().stdout == f"{layer} mounted\n"
    call(roots, "podman", "image", "unmount", "localhost/one:latest")
    assert ours("mounted", layer).ok().stdout == ""
