"""Hundreds of archives made to harm, each imported as root would: refused with one sentence, or kept and confined."""

from __future__ import annotations

import io
import os
import subprocess
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cstore import Compression, Overrides, load_config, open_store
from tests.builders import (
    differences,
    directory,
    listing,
    make_tar,
    make_tree,
    paths_below,
    regular,
    symlink,
    tree_manifest,
)
from tests.conftest import StoreRoots
from tests.hostile import extensions, links, names, nodes, numbers, streams, whiteouts
from tests.hostile.case import Aim, Case, Cases, Verdict

if TYPE_CHECKING:
    from cstore import Store
    from tests.builders import Fact
    from tests.conftest import Finished, Runner, RunnerMaker

pytestmark = pytest.mark.usefixtures("needs_root")

ROOMS = (names, links, nodes, numbers, extensions, whiteouts, streams)
CASES = [case for room in ROOMS for table in vars(room).values() if isinstance(table, Cases) for case in table]
RESERVED = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.", "user.containers.")
LAYER = "hostile"


@dataclass(frozen=True)
class Arena:
    """A store with one innocent layer, and beside it the canary that archives aim at."""

    base: str
    roots: StoreRoots
    run: Runner

    @property
    def aim(self) -> Aim:
        """What the archives are told."""
        return Aim(os.fsencode(os.path.join(self.base, "canary")))

    def surroundings(self) -> dict[bytes, Fact]:
        """Everything that no import may touch: what lies beside the store, and the other layer inside it."""
        beside = {b"beside/" + path: fact for path, fact in tree_manifest(self.base, skip=("graph", "run")).items()}
        inside = {b"parent/" + path: fact for path, fact in tree_manifest(self.roots.tree("parent")).items()}
        return beside | inside

    def store(self) -> dict[str, str]:
        """What lies in the store, by name, type and size."""
        return listing(self.roots.graph, self.roots.run)

    def open(self) -> Store:
        """The store as a library sees it: hundreds of programs less to start."""
        roots = Overrides(graph_root=self.roots.graph, run_root=self.roots.run, driver="vfs", sync=False)
        return open_store(load_config(roots))

    def restore(self) -> None:
        """Take the hostile layer out again."""
        store = self.open()
        if store.layers.find(LAYER):
            store.layers.delete(LAYER)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, run_on: RunnerMaker) -> Arena:
    """Make the store once; every archive leaves it as it was."""
    base = str(tmp_path_factory.mktemp("arena"))
    roots = StoreRoots(os.path.join(base, "graph"), os.path.join(base, "run"))
    canary = {"secret": b"secret", "victim": b"untouched", "folder/inside": b"untouched"}
    make_tree(os.path.join(base, "canary"), canary)
    run = run_on(roots)
    # Durability has tests of its own; without it these hundreds take a third of the time.
    made = Arena(base, roots, partial(run, "--no-sync"))
    innocent = make_tar(
        directory("kept"), regular("kept/file", b"innocent"), regular("own", b"x"), symlink("out", made.aim.canary)
    )
    made.run("import-layer", "--id", "parent", stdin=innocent).ok()
    # The first deletion makes the staging directories, which stay.
    made.run("import-layer", "--id", LAYER, stdin=innocent).ok()
    made.restore()
    return made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_tar(arena: Arena, case: Case) -> None:
    """Nothing outside the layer is touched; the archive is refused in one line, or comes back byte for byte."""
    surroundings, store = arena.surroundings(), arena.store()
    parent = ["parent"] if case.on_parent else []

    try:
        done = arena.run("import-layer", "--id", LAYER, *parent, stdin=case.build(arena.aim), timeout=20)
    except subprocess.TimeoutExpired:
        arena.run("gc").ok()
        pytest.fail("the import does not end")

    try:
        assert differences(surroundings, arena.surroundings()) == []
        if done.code == 0:
            assert case.verdict is not Verdict.REFUSED, "it should have been refused"
            check_kept(arena, case, done)
        else:
            assert case.verdict is not Verdict.KEPT, done.stderr
            check_refused(done)
    finally:
        arena.restore()
    assert arena.store() == store, "the store keeps a trace"
    assert differences(surroundings, arena.surroundings()) == []


def check_refused(done: Finished) -> None:
    """One sentence, on the right stream, with the right exit code."""
    assert done.code == 1
    assert done.output == b""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("cstore: ")
    assert "internal error" not in done.stderr


def check_kept(arena: Arena, case: Case, done: Finished) -> None:
    """The layer holds no file of anybody else, no attribute that rules an overlay, and gives its archive back."""
    assert done.stderr == ""
    tree = os.fsencode(arena.roots.tree(LAYER))
    strangers = {(about.st_dev, about.st_ino) for about in map(os.lstat, paths_below(arena.aim.canary))}
    for path in [tree, *paths_below(tree)]:
        about = os.lstat(path)
        assert (about.st_dev, about.st_ino) not in strangers, f"{path!r} is a file of somebody else"
        kept = [name for name in os.listxattr(path, follow_symlinks=False) if name.startswith(RESERVED)]
        assert kept == [], f"{path!r} carries a reserved attribute"

    exported = io.BytesIO()
    arena.open().layers.diff(LAYER, exported, compression=Compression.NONE)
    assert exported.getvalue() == case.uncompressed(arena.aim)


def test_the_canary_sings(arena: Arena) -> None:
    """Were anything outside the layer touched, the tests above would notice."""
    surroundings, store = arena.surroundings(), arena.store()
    canary = os.path.join(arena.base, "canary", "folder")
    try:
        os.utime(canary, (1, 1))
        with open(os.path.join(arena.base, "new"), "wb"), open(os.path.join(arena.roots.graph, "new"), "wb"):
            pass
        found = " ".join(differences(surroundings, arena.surroundings()))
        assert "beside/canary/folder" in found
        assert "beside/new" in found
        assert arena.store() != store
    finally:
        os.utime(canary, ns=(0, surroundings[b"beside/canary/folder"].mtime or 0))
        os.unlink(os.path.join(arena.base, "new"))
        os.unlink(os.path.join(arena.roots.graph, "new"))


def test_there_are_enough_of_them() -> None:
    """Two hundred were promised, each with a name of its own."""
    assert len({case.name for case in CASES}) == len(CASES) >= 200
