"""Records that contradict each other or the disk: which is right, by which witness, and when nobody can tell."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.findings import Finding, Subject, of_container, of_image, of_layer
from cstore.check.repair import heal_records
from cstore.check.repair.image_files import ImageFiles
from cstore.check.repair.plan import Step
from cstore.digests import digest_of
from cstore.oci.chain import next_layer_id
from cstore.records.model import Container, Image, Layer
from cstore.records.table import Location
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from tests.unit.check.tables import Tables, facts, identifier, planned, read

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND, THIRD = (f"sha256:{digit * 64}" for digit in "123")
BASE = Layer(id="base", diff_digest=FIRST)
TOP = Layer(id="top", parent="base", diff_digest=SECOND)


def layers_of(tables: Tables) -> dict[str, Layer]:
    """The layer records as they are now."""
    return {layer.id: layer for layer in Reader(tables.context).layers}


# ── doubles and names ──


def test_of_two_records_of_one_id_the_one_that_everybody_sees_stays(tmp_path: Path) -> None:
    """It stays in its place, with its own bytes' fields, and gets the names that only the other had."""
    tables = Tables(tmp_path)
    rows = [Layer(id="x"), Layer(id="a", names=("one",)), Layer(id="y"), Layer(id="a", names=("two",), metadata="m")]
    tables.records(ItemKind.LAYERS, rows)

    steps = list(heal_records.duplicate_id(tables.view(), Finding("duplicate-id", Subject("layer", "a"), "x")))
    assert planned(steps) == [("drop-duplicates", "a")]
    tables.carry_out(*steps)
    table = Reader(tables.context).layers
    assert [(layer.id, layer.names) for layer in table] == [("x", ()), ("a", ("one", "two")), ("y", ())]


def test_a_double_in_another_file_goes(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Layer(id="a"), volatile=[Layer(id="a"), Layer(id="b")])

    tables.carry_out(*heal_records.duplicate_id(tables.view(), Finding("duplicate-id", Subject("layer", "a"), "x")))
    files = tables.context.places[ItemKind.LAYERS].files
    assert b'"a"' in read(files[Location.STABLE])
    assert b'"a"' not in read(files[Location.VOLATILE])


def test_a_name_stays_with_whom_it_finds(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Layer(id="a", names=("one", "own")), Layer(id="b", names=("one",)))
    finding = Finding("duplicate-name", Subject("layer", "a"), "x", {"name": "one"})

    tables.carry_out(*heal_records.duplicate_name(tables.view(), finding))
    assert {name: layer.names for name, layer in layers_of(tables).items()} == {"a": ("own",), "b": ("one",)}


# ── parents ──

PARENTS: dict[str, tuple[str | None, str]] = {
    "another layer": ("other", "set-parent"),
    "none": ("", "set-parent"),
    "the same that is gone": ("gone", "its parent is missing"),
    "one that is gone as well": ("lost", "its parent is missing"),
    "nothing tells": (None, "nothing in the store says what its parent was"),
}
"""What tells of a layer's parent whose record names `gone`, and what is done."""


@pytest.mark.parametrize(("told", "expected"), PARENTS.values(), ids=PARENTS)
def test_a_parent_without_a_record(tmp_path: Path, told: str | None, expected: str) -> None:
    tables = Tables(tmp_path, Layer(id="top", parent="gone"), Layer(id="other"))
    finding = of_layer("parent-missing", "top", "x", parent="gone")

    outcomes = list(heal_records.wrong_parent(tables.view(parents={"top": told}), finding))
    assert planned(outcomes) == [(expected, "top")]
    if expected == "set-parent":
        tables.carry_out(*outcomes)
        assert layers_of(tables)["top"].parent == told


def test_a_parent_that_was_set_meanwhile_stays(tmp_path: Path) -> None:
    """The step is for the record that was seen."""
    tables = Tables(tmp_path, Layer(id="top", parent="gone"), Layer(id="other"), Layer(id="newer"))
    finding = of_layer("parent-missing", "top", "x", parent="gone")
    steps = list(heal_records.wrong_parent(tables.view(parents={"top": "other"}), finding))
    tables.records(ItemKind.LAYERS, [Layer(id="top", parent="newer"), Layer(id="other"), Layer(id="newer")])

    tables.carry_out(*steps)
    assert layers_of(tables)["top"].parent == "newer"


# ── digests ──


def witnessed(tables: Tables, layer: str, digest: str, *, config: str = "") -> list[tuple[str, str]]:
    """What is done if a layer's archive has a digest, and a config names one."""
    view = tables.view(facts={layer: facts(digest, 7)})
    if config:
        files = ImageFiles("", "image")
        files.__dict__["diff_ids"] = (config,)
        view.survivors.__dict__["image_files"] = {"image": files}
    return planned(heal_records.wrong_digest(view, of_layer("layer-digest", layer, "x")))


def test_a_digest_is_right_if_something_bears_witness(tmp_path: Path) -> None:
    """A config that names it, or the layer's own ID; the record's, likewise, and then the archive is wrong."""
    tables = Tables(tmp_path, BASE)
    unknown = "nothing shows whether the record or the tar-split is correct"
    assert witnessed(tables, "base", SECOND) == [(unknown, "base")]
    assert witnessed(tables, "base", SECOND, config=SECOND) == [("set-digest", "base")]
    ((reason, _),) = witnessed(tables, "base", SECOND, config=FIRST)
    assert "needs the archive" in reason
    named = next_layer_id("", SECOND)
    of_id = Tables(tmp_path / "named", Layer(id=named, diff_digest=FIRST))
    assert witnessed(of_id, named, SECOND) == [("set-digest", named)]


def test_the_recorded_digest_proves_size_and_owners(tmp_path: Path) -> None:
    """Only the size is wrong; it is recorded again, unless another layer has taken its place."""
    tables = Tables(tmp_path, BASE)
    view = tables.view(facts={"base": facts(FIRST, 7)})
    steps = list(heal_records.wrong_digest(view, of_layer("layer-size", "base", "x")))
    assert planned(steps) == [("set-digest", "base")]

    tables.carry_out(*steps)
    assert layers_of(tables)["base"].diff_size == 7
    tables.records(ItemKind.LAYERS, [BASE.with_(created="2026-01-01T00:00:00Z")])
    tables.carry_out(*steps)
    assert layers_of(tables)["base"].diff_size == 0


# ── incomplete ──

HALF = Layer(id="half", flags={"incomplete": True, "other": 1})


def in_use(tree: bool = True) -> Finding:
    """A layer that is marked incomplete, and used."""
    return of_layer("layer-unfinished-in-use", "half", "x", tree=tree)


def test_a_mark_comes_off_a_whole_layer(tmp_path: Path) -> None:
    """With all other flags left; what the record does not say of the archive is added."""
    tables = Tables(tmp_path, HALF.with_(diff_digest=FIRST))
    steps = list(heal_records.unfinished_in_use(tables.view(facts={"half": facts(FIRST, 7)}), in_use()))

    assert planned(steps) == [("mark-complete", "half")]
    tables.carry_out(*steps)
    after = layers_of(tables)["half"]
    assert (after.flags, after.diff_size) == ({"other": 1}, 7)


@pytest.mark.parametrize(
    ("record", "tree", "expected"),
    [
        (HALF, True, "mark-complete"),
        (HALF, False, "it has no directory"),
        (HALF.with_(diff_digest=FIRST), True, "no known archive writer"),
    ],
    ids=["a writable layer", "without a directory", "an imported one that is not whole"],
)
def test_a_mark_on_a_layer_that_something_uses(tmp_path: Path, record: Layer, expected: str, *, tree: bool) -> None:
    ((found, _),) = planned(heal_records.unfinished_in_use(Tables(tmp_path, record).view(), in_use(tree)))

    assert found.startswith(expected)


def test_a_layer_in_the_making_keeps_its_mark(tmp_path: Path) -> None:
    """One that took the place of the layer that was seen."""
    tables = Tables(tmp_path, HALF)
    steps = list(heal_records.unfinished_in_use(tables.view(), in_use()))
    tables.records(ItemKind.LAYERS, [HALF.with_(created="2026-01-01T00:00:00Z")])

    tables.carry_out(*steps)
    assert layers_of(tables)["half"].incomplete


# ── images and containers ──


def differ(**evidence: Any) -> Finding:
    """An image whose config names other layers than it has."""
    return of_image("image-layers-differ", "image", "x", **{"part": "base", "layer": "base", "config": [], **evidence})


def with_config(tables: Tables, *diff_ids: str, **more: Any) -> Any:
    """A view in which the image's config names layers."""
    view = tables.view(**more)
    files = ImageFiles("", "image")
    files.__dict__["diff_ids"] = diff_ids
    view.survivors.__dict__["image_files"] = {"image": files}
    return view


def test_an_image_stands_on_the_layers_that_its_config_names(tmp_path: Path) -> None:
    """Whatever they are called. A record that somebody has changed meanwhile stays."""
    tables = Tables(tmp_path, BASE, TOP, Image(id="image", layer="base"))
    steps = list(heal_records.image_layers(with_config(tables, FIRST, SECOND), differ()))
    assert planned(steps) == [("set-layer", "image")]

    tables.carry_out(*steps)
    image = Reader(tables.context).images.get("image")
    assert image is not None
    assert image.layer == "top"
    tables.records(ItemKind.IMAGES, [Image(id="image", layer="")])
    tables.carry_out(*steps)
    image = Reader(tables.context).images.get("image")
    assert image is not None
    assert image.layer == ""


def test_parents_may_be_what_is_wrong(tmp_path: Path) -> None:
    """If the layers are those of the config once each has the parent that the store tells of."""
    tables = Tables(tmp_path, BASE, TOP.with_(parent=""), Image(id="image", layer="top"))
    finding = differ(part="top", layer="top", config=[FIRST, SECOND])

    view = with_config(tables, FIRST, SECOND, parents={"top": "base", "base": ""})
    assert planned(heal_records.image_layers(view, finding)) == [("set-parent", "top")]
    view = with_config(tables, FIRST, THIRD, parents={"top": "base", "base": ""})
    other = differ(part="top", layer="top", config=[FIRST, THIRD])
    assert planned(heal_records.image_layers(view, other)) == [("no layer in the store fits the config", "image")]


CONTAINER = Container(id="box", image="image", layer="lost")


def test_a_container_gets_the_one_layer_that_can_be_its_own(tmp_path: Path) -> None:
    """Writable, used by nobody, on the image's top layer; of two it would be a guess."""
    finding = of_container("container-layer-missing", "box", "x", layer="lost")
    layers = BASE, TOP, Layer(id="own", parent="top"), Layer(id="elsewhere", parent="base")
    tables = Tables(tmp_path, *layers, Image(id="image", layer="top"), CONTAINER)

    steps = list(heal_records.container_layer(tables.view(), finding))
    assert planned(steps) == [("set-layer", "box")]
    tables.carry_out(*steps)
    box = Reader(tables.context).containers.get("box")
    assert box is not None
    assert box.layer == "own"
    tables.records(ItemKind.LAYERS, [*layers, Layer(id="second", parent="top")])
    tables.records(ItemKind.CONTAINERS, [CONTAINER])
    ((reason, _),) = planned(heal_records.container_layer(tables.view(), finding))
    assert reason == "its files are gone, or several layers could be its own"


def test_a_container_that_was_changed_meanwhile_stays(tmp_path: Path) -> None:
    """Its layer, or its image, is not the one that was lost any more."""
    own = Layer(id="own", parent="base")
    found = of_container("x", "box", "x", layer="lost", image="lost")
    box = CONTAINER.with_(image="lost", layer="lost")
    tables = Tables(tmp_path, BASE, own, Image(id="image", layer="base"), Layer(id="newer"))
    for name, heal in (("layer", heal_records.container_layer), ("image", heal_records.container_image)):
        lacking = box.with_(image="image") if name == "layer" else box.with_(layer="own")
        tables.records(ItemKind.CONTAINERS, [lacking])
        steps = list(heal(tables.view(), found))
        assert planned(steps) == [(f"set-{name}", "box")]
        tables.records(ItemKind.CONTAINERS, [lacking.with_(**{name: "newer"})])
        tables.carry_out(*steps)

        after = Reader(tables.context).containers.get("box")
        assert after is not None
        assert getattr(after, name) == "newer"


def test_a_container_gets_the_image_that_its_layer_stands_on(tmp_path: Path) -> None:
    """Without such an image it is told that the container works all the same."""
    finding = of_container("container-image-missing", "box", "x", image="lost")
    box = CONTAINER.with_(image="lost", layer="own")
    tables = Tables(tmp_path, BASE, Layer(id="own", parent="base"), Image(id="image", layer="base"), box)

    assert planned(heal_records.container_image(tables.view(), finding)) == [("set-image", "box")]
    tables.records(ItemKind.IMAGES, [])
    ((reason, _),) = planned(heal_records.container_image(tables.view(), finding))
    assert reason.endswith("works without it")


# ── lost records ──


def test_a_lost_record_is_made_from_what_survives(tmp_path: Path) -> None:
    """Whichever finding asks for it; and only while what it describes is there."""
    name = identifier("lost")
    tables = Tables(tmp_path, Image(id="image", layer=name), trees=[name])
    finding = of_image("image-layer-missing", "image", "x", layer=name)

    (step,) = heal_records.lost_record(tables.view(), finding)
    assert isinstance(step, Step)
    assert (step.action.word, step.subject) == ("add-record", Subject("layer", name))
    os.rmdir(tables.tree(name))
    tables.carry_out(step)
    assert layers_of(tables) == {}
    os.mkdir(tables.tree(name))
    tables.carry_out(step)
    assert layers_of(tables).keys() == {name}


def test_an_image_without_names_is_told_how_to_name(tmp_path: Path) -> None:
    """Its config tells everything else; nothing in the store has its names."""
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [FIRST]}}).encode()
    name = digest_of(config).removeprefix("sha256:")
    tables = Tables(tmp_path, BASE)
    tables.item("image", name, digest_of(config), config)

    finding = Finding("image-record-lost", Subject("image", name), "x")
    for names, advice in (({}, f"cstore add-names --name NAME {name}"), ({name[:12]: ["mine"]}, "")):
        (step,) = heal_records.lost_record(tables.view(names=names), finding)
        assert isinstance(step, Step)
        assert step.advice.endswith(advice) if advice else step.advice == ""
    tables.carry_out(step)
    image = Reader(tables.context).images.get(name)
    assert image is not None
    assert (image.names, image.layer) == (("mine",), "base")


def test_a_container_gets_its_record_again(tmp_path: Path) -> None:
    """While its directory is there."""
    own, box = identifier("own"), identifier("box")
    tables = Tables(tmp_path, Layer(id=own))
    tables.item("container", box, "state", own.encode())

    (step,) = heal_records.lost_record(tables.view(), Finding("container-record-lost", Subject("container", box), "x"))
    tables.carry_out(step)
    container = Reader(tables.context).containers.get(box)
    assert container is not None
    assert container.layer == own


def test_of_what_nothing_remains_no_record_can_be_made(tmp_path: Path) -> None:
    tables = Tables(tmp_path)

    outcomes = heal_records.lost_record(tables.view(), of_layer("layer-record-lost", "x", "x"))
    assert planned(outcomes) == [("nothing of it remains in the store", "x")]
