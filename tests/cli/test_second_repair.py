"""A repair beside or after another one: it waits or says for whom it would have to, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cstore.check.repair import RepairOptions, repair_store
from cstore.config import Overrides, load_config
from cstore.store import open_store
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.check.repair.repairing import Repaired
    from tests.conftest import Runner, StoreRoots

FILES = ("first", "second", "third")
QUICKLY = ("--lock-timeout", "0.1")


@pytest.fixture
def damaged(run: Runner, store_roots: StoreRoots) -> Runner:
    """Three layers that hold a file which was not imported, and an image whose item is damaged."""
    for name in FILES:
        run("import-layer", "--id", name, stdin=make_tar(regular(name, b"contents"))).ok()
        with open(os.path.join(store_roots.tree(name), "stranger"), "w", encoding="ascii") as file:
            file.write(f"of {name}")
    run("create-image", "--id", "image", "--name", "img", "first").ok()
    return run


def strangers(roots: StoreRoots) -> list[str]:
    """In which layers there is still a file which was not imported."""
    return [name for name in FILES if os.path.exists(os.path.join(roots.tree(name), "stranger"))]


def cases(roots: StoreRoots) -> list[str]:
    """The cases in quarantine, the latest first."""
    return sorted(set(os.listdir(os.path.join(roots.graph, "cstore-quarantine"))) - {"lock"}, reverse=True)


def repair(roots: StoreRoots, told: Callable[[], None]) -> Repaired:
    """Repair a store, and do something after each step."""
    overrides = Overrides(graph_root=roots.graph, run_root=roots.run, driver=roots.driver)
    store = open_store(load_config(overrides, environ={"HOME": os.path.dirname(roots.graph)}))
    return repair_store(store, RepairOptions(workers=1, told=lambda *_: told()))


@pytest.mark.parametrize(
    "words",
    [("repair", "--yes"), ("repair", "--yes", "--undo", "CASE"), ("rm", "--yes", "--keep", "5", "img")],
    ids=["repair", "undo", "keep"],
)
def test_what_needs_the_quarantine_says_who_has_it(
    damaged: Runner, store_roots: StoreRoots, words: tuple[str, ...]
) -> None:
    """In a sentence with the process, and without touching anything; the first repair goes on to its end."""
    said = []

    def intrude() -> None:
        given = [cases(store_roots)[0] if word == "CASE" else word for word in words]
        said.append(damaged(*QUICKLY, *given))

    done = repair(store_roots, intrude)

    assert done.healed
    assert len(said) == len(done.done) == len(FILES)
    for each in said:
        assert each.code == 1
        assert each.stderr.startswith(f"cstore: the lock {store_roots.graph}/cstore-quarantine/lock was held by PID ")
        assert each.stderr.count("\n") == 1
    assert strangers(store_roots) == []
    assert cases(store_roots) == [done.case]
    assert damaged("images", "--quiet").ok().lines == ["image"]
    damaged("check").ok()


def test_what_only_reads_works_between_the_steps_of_a_repair(damaged: Runner, store_roots: StoreRoots) -> None:
    """The list of what is in quarantine, a check, a collection, and a plan."""
    codes: list[tuple[int, ...]] = []

    def look() -> None:
        commands = (("repair", "--list"), ("check",), ("gc",), ("repair", "--dry-run"))
        codes.append(tuple(damaged(*QUICKLY, *words).code for words in commands))

    repair(store_roots, look)

    assert codes == [(0, 1, 0, 1), (0, 1, 0, 1), (0, 0, 0, 0)]


def test_a_second_repair_waits_for_the_first(damaged: Runner, store_roots: StoreRoots, tmp_path: Path) -> None:
    """And finds nothing to do then."""
    waiting: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        if not waiting:
            words = [sys.executable, "-m", "cstore", *store_roots.options, "repair", "--yes"]
            with open(tmp_path / "said", "wb") as said:
                waiting.append(subprocess.Popen(words, stdout=said, stderr=said))

    assert repair(store_roots, begin).healed

    assert waiting[0].wait(60) == 0
    assert (tmp_path / "said").read_text().splitlines()[-1] == "nothing needs repair"
    damaged("check").ok()


@pytest.mark.parametrize("steps", [1, 2])
def test_a_repair_after_a_killed_one_does_the_rest(damaged: Runner, store_roots: StoreRoots, steps: int) -> None:
    """What the first one took out stays in its case, and both can be undone."""
    first = os.fork()
    if first == 0:
        left = iter(range(steps - 1))

        def go_on() -> None:
            if next(left, None) is None:
                os._exit(0)

        try:
            repair(store_roots, go_on)
        finally:
            os._exit(1)
    assert os.waitpid(first, 0)[1] == 0
    assert len(strangers(store_roots)) == len(FILES) - steps

    damaged("repair", "--yes").ok()

    assert strangers(store_roots) == []
    damaged("check").ok()
    assert len(cases(store_roots)) == 2
    for case in cases(store_roots):
        damaged("repair", "--yes", "--undo", case).ok()
    assert strangers(store_roots) == list(FILES)
    assert cases(store_roots) == []
