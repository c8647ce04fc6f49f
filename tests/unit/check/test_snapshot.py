"""The records of one moment, and what is told by several of them together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.records.model import Image, Layer
from cstore.records.table import Location
from cstore.store.places import ItemKind
from tests.unit.check.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path


def test_a_chain_ends_at_what_is_unknown_and_before_what_repeats(tmp_path: Path) -> None:
    ring = Layer(id="one", parent="two"), Layer(id="two", parent="one")
    tables = Tables(tmp_path, Layer(id="top", parent="gone"), *ring)

    assert tables.snapshot.chain("top") == ["top", "gone"]
    assert tables.snapshot.chain("one") == ["one", "two"]
    assert tables.snapshot.chain("") == []


def test_the_stores_own_records_hide_those_of_additional_stores(tmp_path: Path) -> None:
    """What only an additional store has is read-only, and its files are in that store."""
    theirs = Layer(id="both", names=("theirs",)), Layer(id="only"), Image(id="image", layer="only")
    other = Tables(tmp_path / "other", *theirs)
    elsewhere = other.context.layout.graph_root
    tables = Tables(
        tmp_path / "own", Layer(id="both", names=("ours",)), config={"driver_options": (f"vfs.imagestore={elsewhere}",)}
    )

    snapshot = tables.snapshot
    assert {name: (layer.names, foreign) for name, (layer, foreign) in snapshot.all_layers.items()} == {
        "both": (("ours",), False), "only": ((), True),
    }  # fmt: skip
    assert snapshot.all_images["image"][1]
    assert snapshot.layout_of("only").graph_root == elsewhere
    assert snapshot.layout_of("both").graph_root == tables.context.layout.graph_root


def test_which_additional_store_a_finding_is_about(tmp_path: Path) -> None:
    """Layers and images by ID, paths by the root that they are below; nobody's are the store's own."""
    other = Tables(tmp_path / "other", Layer(id="layer"), Image(id="image", layer="layer"))
    root = other.context.layout.graph_root
    snapshot = Tables(tmp_path / "own", config={"driver_options": (f"vfs.imagestore={root}",)}).snapshot

    named = {
        ("layer", "layer"): root, ("image", "image"): root, ("store", f"{root}/vfs-layers/layers.json"): root,
        ("layer", "image"): "", ("store", f"{root}-beside"): "",
    }  # fmt: skip
    for (kind, name), wanted in named.items():
        found = snapshot.store_of(kind, name)
        assert (found.graph_root if found else "") == wanted


def test_what_transient_containers_need_is_needed(tmp_path: Path) -> None:
    """Their records are in the run root, which a store that is not transient does not read."""
    tables = Tables(tmp_path, Layer(id="base"))
    run_layers = tables.context.layout.run_layers
    aside = Tables(tmp_path / "aside")
    aside.records(ItemKind.LAYERS, [Layer(id="writable", parent="base")])
    os.makedirs(run_layers, exist_ok=True)
    os.rename(
        aside.context.places[ItemKind.LAYERS].files[Location.STABLE], os.path.join(run_layers, "volatile-layers.json")
    )

    assert tables.snapshot.needed_elsewhere == {"writable", "base"}


def test_an_unsafe_id_never_has_a_directory(tmp_path: Path) -> None:
    """It could lead out of the store."""
    snapshot = Tables(tmp_path, trees=["layer"]).snapshot

    assert snapshot.has_tree("layer")
    assert not snapshot.has_tree("../dir/layer")
