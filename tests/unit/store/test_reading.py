"""Who has a store open sees what others write to it, without being told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cstore.config import Overrides, load_config
from cstore.insight import plan_removal, remove, summary
from cstore.records.section import Section
from cstore.store import NewImage, NewLayer, Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def test_a_record_file_that_was_replaced_is_read_again(store: Store, reopen: Callable[[], Store]) -> None:
    """Of each kind, also after it was read once."""
    other = reopen()
    store.layers.create(NewLayer(id="one"))
    assert [layer.id for layer in other.layers.list()] == ["one"]
    store.layers.create(NewLayer(id="two"))
    store.images.create(NewImage(id="image", layer="two"))

    assert [layer.id for layer in other.layers.list()] == ["one", "two"]
    assert [image.id for image in other.images.list()] == ["image"]
    store.images.delete("image")
    assert other.images.list() == []


def test_so_is_that_of_an_additional_store(store: Store, graph: str, tmp_path: Path) -> None:
    """Its owner may change it at any time."""
    roots = Overrides(graph_root=str(tmp_path / "own"), run_root=str(tmp_path / "own-run"), driver="vfs")
    config = load_config(roots, environ={"HOME": str(tmp_path)})
    store.layers.create(NewLayer(id="one"))
    above = open_store(config.with_(driver_options=(f"vfs.imagestore={graph}",)))
    assert [layer.id for layer in above.layers.list()] == ["one"]
    store.layers.create(NewLayer(id="two"))

    assert [layer.id for layer in above.layers.list()] == ["one", "two"]


def count_readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the record files of layers that are read from now on."""
    original, found = Section.read, list[str]()

    def noted(self: Section[Any], *, whole: bool) -> None:
        found.extend([self.path] if os.path.basename(self.path) == "layers.json" and self.identity else [])
        original(self, whole=whole)

    monkeypatch.setattr(Section, "read", noted)
    return found


def test_a_plan_and_its_removal_read_the_records_once(
    reopen: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be very large: who resolves the name, who plans and who removes share what was read."""
    store = reopen()
    for name in ("one", "two"):
        store.layers.create(NewLayer(id=name))
    store = reopen()
    read = count_readings(monkeypatch)

    remove(store, plan_removal(store, [store.resolve("one")]))

    assert len(read) == 1
    assert reopen().layers.ids() == ["two"]


def test_what_somebody_wrote_after_the_plan_is_seen(reopen: Callable[[], Store]) -> None:
    """What was read is only shared as long as it is what the file says: nothing that came to be used goes."""
    store, other = reopen(), reopen()
    store.layers.create(NewLayer(id="base"))
    plan = plan_removal(store, [store.resolve("base")])
    other.layers.create(NewLayer(id="child", parent="base"))

    removed = remove(store, plan)

    assert [str(error) for _, error in removed.failed] != []
    assert reopen().layers.ids() == ["base", "child"]


def test_a_dry_run_of_gc_reads_the_records_once(reopen: Callable[[], Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for what it says of foreign files after that."""
    reopen().layers.create(NewLayer(id="one"))
    store = reopen()
    read = count_readings(monkeypatch)

    assert (store.gc(dry_run=True), store.foreign()) == ([], [])

    assert len(read) == 1


def test_what_is_damaged_stays_known_when_all_is_read_at_once(store: Store, graph: str) -> None:
    """A program that lists a damaged store and then sums it up still learns what is damaged."""
    store.images.create(NewImage(layer=store.layers.create(NewLayer()).id))
    records = os.path.join(graph, "vfs-images", "images.json")
    with open(records, "w") as file:
        file.write("nonsense")
    degraded = open_store(store.config, degraded=True)
    assert degraded.images.list() == []

    summary(degraded.context)

    assert [flaw.path for flaw in degraded.flaws] == [records]
