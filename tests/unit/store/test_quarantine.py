"""What is taken out of a store can be brought back, unless something newer is in its place."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from cstore.errors import CaseUnknown, LockTimeout, QuarantineDamaged
from cstore.records.table import Location
from cstore.store import NewLayer, Store
from cstore.store.places import ItemKind
from cstore.store.quarantine import QuarantineWriter, cases, keeping, purge, undo
from cstore.store.session import writing
from tests.builders import typical_tar
from tests.unit.store.conftest import kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.store.context import Context
    from tests.unit.store.conftest import Import


@pytest.fixture
def context(store: Store) -> Context:
    """The inner side of the test's store."""
    return store._context


def take_layer_out(context: Context, layer: str, quarantine: QuarantineWriter) -> None:
    """Do to a layer what repair does: note the record, drop it, move the tree."""
    with writing(context, ItemKind.LAYERS) as writer:
        quarantine.changed(ItemKind.LAYERS, Location.STABLE, writer.layers.get(layer), None, "it is damaged")
        writer.layers.remove(layer)
        writer.save(ItemKind.LAYERS)
        quarantine.keep(writer.driver.path_of(layer), "it is damaged")
        quarantine.keep(writer.layout.tar_split(layer), "it is damaged")


def test_a_layer_taken_out_comes_back_whole(store: Store, context: Context, graph: str, put: Import) -> None:
    """Record, tree and tar-split are as they were; nothing is left of the case."""
    layer = put(typical_tar(), id="base", names=("one",))
    before = kept(graph)
    with keeping(context, "cstore repair") as quarantine:
        take_layer_out(context, "base", quarantine)
    assert store.layers.find("base") is None
    assert store.layers.trees() == []

    undone = undo(context, cases(context)[0].id)

    assert (len(undone.done), undone.left) == (3, ())
    assert store.layers.get("one") == layer
    assert {path: kind for path, kind in kept(graph).items() if not path.startswith("cstore-quarantine")} == before
    assert cases(context) == []


def test_undo_does_not_touch_what_is_newer(store: Store, context: Context, put: Import) -> None:
    """A layer of that ID was made since: it stays, the old things stay in the case, and each is told."""
    put(typical_tar(), id="base")
    with keeping(context, "cstore repair") as quarantine:
        take_layer_out(context, "base", quarantine)
    new = store.layers.create(NewLayer(id="base"))

    undone = undo(context, cases(context)[0].id)

    assert store.layers.get("base") == new
    assert len(undone.left) == 2
    assert "the record of layer base: it was changed since then" in undone.left
    assert len(cases(context)[0].entries) == 2


def test_names_that_others_got_since_stay_with_them(store: Store, context: Context, put: Import) -> None:
    """The record comes back without them."""
    put(typical_tar(), id="base", names=("one", "two"))
    with keeping(context, "cstore repair") as quarantine:
        take_layer_out(context, "base", quarantine)
    store.layers.create(NewLayer(id="other", names=("one",)))

    undo(context, cases(context)[0].id)

    assert (store.layers.get("base").names, store.layers.get("one").id) == (("two",), "other")


def test_a_file_gives_way_only_to_what_replaced_it(store: Store, context: Context, graph: str) -> None:
    """The file that repair wrote is exchanged for the old one; one that was changed since is not."""
    store.layers.create(NewLayer(id="base"))
    path = os.path.join(graph, "vfs-layers", "notes")
    for change, expected in (("", "old"), ("changed since", "newchanged since")):
        with open(path, "w", encoding="utf-8") as file:
            file.write("old")
        with keeping(context, "cstore repair") as quarantine:
            quarantine.keep(path, "it is damaged")
            with open(path, "w", encoding="utf-8") as file:
                file.write("new")
            quarantine.succeed(path)
        with open(path, "a", encoding="utf-8") as file:
            file.write(change)

        undo(context, cases(context)[-1].id)

        with open(path, encoding="utf-8") as file:
            assert file.read() == expected


def test_an_entry_whose_thing_was_never_moved_is_no_obstacle(store: Store, context: Context, put: Import) -> None:
    """A repair that was killed between journal and move left everything in its place."""
    put(typical_tar(), id="base")
    with keeping(context, "cstore repair") as quarantine:
        take_layer_out(context, "base", quarantine)
    case = cases(context)[0]
    os.rename(case.path_of(case.kept[0]), case.kept[0].path)

    assert undo(context, case.id).left == ()
    assert store.layers.find("base") is not None


def test_a_damaged_journal_is_told_and_its_things_stay(store: Store, context: Context, put: Import) -> None:
    """It is listed, not undone, and the error names the directory."""
    put(typical_tar(), id="base")
    with keeping(context, "cstore repair") as quarantine:
        take_layer_out(context, "base", quarantine)
    case = cases(context)[0]
    with open(os.path.join(case.directory, "case.json"), "w", encoding="utf-8") as file:
        file.write('{"version":1,"entr')

    assert cases(context)[0].flaw
    with pytest.raises(QuarantineDamaged, match=case.id) as caught:
        undo(context, case.id)
    assert case.directory in caught.value.hint
    assert len(os.listdir(case.directory)) == 3


def test_what_a_journal_that_was_cut_does_not_name_is_told_and_stays(
    store: Store, context: Context, put: Import
) -> None:
    """The rest is brought back; nobody can know where the other things were."""
    put(typical_tar(), id="base")
    with keeping(context, "cstore repair") as quarantine:
        take_layer_out(context, "base", quarantine)
    (case,) = cases(context)
    journal = os.path.join(case.directory, "case.json")
    with open(journal, "rb") as file:
        lines = file.readlines()
    os.truncate(journal, sum(map(len, lines[:-1])) + 7)  # within the line of the tar-split

    undone = undo(context, case.id)

    assert len(undone.done) == 2
    assert undone.left == (f"2-base.tar-split.gz in {case.directory}: the journal does not say where it was",)
    assert os.path.exists(os.path.join(case.directory, "2-base.tar-split.gz"))
    assert store.layers.find("base") is not None
    assert undo(context, case.id).left == undone.left


@pytest.mark.parametrize("path", ["/etc/passwd", "{graph}/../elsewhere"])
def test_a_journal_cannot_lead_out_of_the_store(store: Store, context: Context, graph: str, path: str) -> None:
    """Whatever somebody wrote into it, things go back into the store's own roots only."""
    store.layers.create(NewLayer(id="base"))
    with keeping(context, "cstore repair") as quarantine:
        quarantine.keep(os.path.join(graph, "vfs-layers", "layers.json"), "a test")
    journal = os.path.join(cases(context)[0].directory, "case.json")
    with open(journal, encoding="utf-8") as file:
        text = file.read().replace(os.path.join(graph, "vfs-layers", "layers.json"), path.format(graph=graph))
    with open(journal, "w", encoding="utf-8") as file:
        file.write(text)

    assert undo(context, cases(context)[0].id).left


def test_an_unknown_case_is_refused(context: Context) -> None:
    """As is the beginning of several."""
    with pytest.raises(CaseUnknown):
        undo(context, "nope")


def test_two_repairs_do_not_work_at_once(store: Store, reopen: Callable[[], Store], context: Context) -> None:
    """The second waits, and says who holds the lock when its lock policy ends."""
    store.layers.create(NewLayer())
    other = reopen()._context
    other.lock_policy = other.lock_policy.with_(timeout=0.05)
    with keeping(context, "one"), pytest.raises(LockTimeout), keeping(other, "two"):
        pass


def test_only_old_cases_are_thrown_away_and_only_when_asked(store: Store, context: Context, put: Import) -> None:
    """The age counts from when the case was opened."""
    put(typical_tar(), id="base")
    with keeping(context, "cstore repair") as quarantine:
        take_layer_out(context, "base", quarantine)
    store.gc()

    assert purge(context, 3600) == []
    assert len(purge(context, 0, dry_run=True)) == 1
    assert [case.id for case in purge(context, 0)] == [quarantine.case.id if quarantine.case else ""]
    assert cases(context) == []


@pytest.mark.usefixtures("needs_root")
def test_a_mount_between_store_and_quarantine_is_no_obstacle(context: Context, put: Import, graph: str) -> None:
    """Container engines mount a driver's home onto itself, where a plain rename ends."""
    put(typical_tar(), id="base")
    home = os.path.join(graph, "vfs")
    subprocess.run(["mount", "--bind", home, home], check=True)
    try:
        with keeping(context, "cstore repair") as quarantine:
            take_layer_out(context, "base", quarantine)
        assert len(cases(context)[0].kept) == 2
        assert undo(context, cases(context)[0].id).left == ()
        assert os.path.isdir(os.path.join(home, "dir", "base"))
    finally:
        subprocess.run(["umount", home], check=True)


def test_a_case_says_what_it_takes_on_the_disk(context: Context, put: Import) -> None:
    """So that somebody can decide what to throw away."""
    put(typical_tar(), id="base")
    with keeping(context, "cstore repair") as quarantine:
        take_layer_out(context, "base", quarantine)

    assert cases(context)[0].bytes > 10_000
    assert cases(context)[0].created[:4] == time.strftime("%Y", time.gmtime())


def test_what_a_killed_repair_left_half_goes(store: Store, context: Context, put: Import, tmp_path: Path) -> None:
    """A case that was not begun is none, and gc removes it; not what is not ours, nor while a repair is at work."""
    put(typical_tar(), id="base")
    with keeping(context, "cstore repair") as quarantine:
        take_layer_out(context, "base", quarantine)
    begun = cases(context)
    top = context.layout.quarantine
    unbegun = os.path.join(top, "20260101T000000-abcdef")
    os.mkdir(unbegun)
    halves = [os.path.join(folder, ".tmp-case.json123") for folder in (unbegun, begun[0].directory, str(tmp_path))]
    for path in halves:
        with open(path, "w", encoding="utf-8"):
            pass
    os.symlink(tmp_path, os.path.join(top, "20260102T000000-abcdef"))

    assert cases(context) == begun
    assert {leftover.path for leftover in store.gc(dry_run=True)} == {*halves[:2], unbegun}
    with keeping(context, "cstore repair"):
        assert store.gc() == []
    assert {leftover.path for leftover in store.gc()} == {*halves[:2], unbegun}
    assert [os.path.exists(path) for path in (*halves, unbegun)] == [False, False, True, False]
    assert cases(context) == begun
    assert undo(context, begun[0].id).left == ()
