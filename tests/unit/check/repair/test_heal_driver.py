"""What a driver keeps beside contents, mount counts, and the store's own places: what is made again and from what."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.check.findings import Finding, Subject, of_layer, of_store
from cstore.check.repair import heal_driver
from cstore.check.repair.plan import Step, Unrepairable
from cstore.check.repair.survivors import ExpectedLayer
from cstore.drivers.inspection import NO_SUBVOLUME, Flaw
from cstore.errors import LayersMounted, LayerUnknown
from cstore.records.model import Layer
from cstore.store.places import ItemKind
from tests.builders import digest
from tests.unit.check.tables import Tables, planned, put, read, write

if TYPE_CHECKING:
    from pathlib import Path

CHAIN = Layer(id="base"), Layer(id="middle", parent="base"), Layer(id="top", parent="middle")


@pytest.fixture
def overlay(tmp_path: Path) -> Tables:
    """Three layers of overlay of which nothing is there but the contents."""
    return Tables(tmp_path, *CHAIN, driver="overlay")


def lower(tables: Tables, layer: str) -> Finding:
    """A list of ancestors that is wrong."""
    path = os.path.join(tables.context.driver.path_of(layer), "lower")
    return of_layer("overlay-lower", layer, "x", part="lower", path=path)


def test_links_and_lists_of_ancestors_come_from_the_records(overlay: Tables) -> None:
    """A list names the short links of all ancestors, nearest first; those are made before it."""
    overlay.carry_out(*heal_driver.parts(overlay.view(), lower(overlay, "top")))

    home = overlay.context.layout.driver_home
    links = {layer: read(os.path.join(home, layer, "link")).decode() for layer in ("middle", "base")}
    assert read(os.path.join(home, "top", "lower")).decode() == f"l/{links['middle']}:l/{links['base']}"
    for layer, name in links.items():
        assert os.path.samefile(os.path.join(home, "l", name), overlay.tree(layer))


def test_a_list_cannot_name_an_ancestor_that_is_gone(overlay: Tables, tmp_path: Path) -> None:
    """Unless that one will be made again first: then the list is made after it."""
    os.rename(overlay.context.driver.path_of("base"), tmp_path / "aside")
    (lost,) = heal_driver.parts(overlay.view(), lower(overlay, "top"))
    assert isinstance(lost, Unrepairable)
    assert lost.reason == "its ancestor base has no directory"

    archive = str(tmp_path / "base.tar")
    write(archive, b"archive")
    made = {"base": ExpectedLayer("image", "", digest(b"archive"))}
    view = overlay.view(archive, expected=made)
    (step,) = heal_driver.parts(view, lower(overlay, "top"))
    assert isinstance(step, Step)
    assert step.action.name == "MAKE_PARTS_ABOVE"


def test_what_was_there_when_it_was_planned_may_be_gone(overlay: Tables, tmp_path: Path) -> None:
    """The step looks again, and changes nothing then."""
    (step,) = heal_driver.parts(overlay.view(), lower(overlay, "top"))
    os.rename(overlay.context.driver.path_of("base"), tmp_path / "aside")

    with pytest.raises(LayerUnknown):
        overlay.carry_out(step)
    assert not os.path.exists(os.path.join(overlay.context.driver.path_of("top"), "lower"))


def test_a_part_that_is_right_by_now_is_left_alone(overlay: Tables) -> None:
    (step,) = heal_driver.parts(overlay.view(), lower(overlay, "top"))
    overlay.carry_out(step)
    path = os.path.join(overlay.context.driver.path_of("top"), "lower")
    before = os.stat(path).st_ino

    assert overlay.carry_out(step) == []
    assert os.stat(path).st_ino == before


def test_a_short_link_of_a_known_layer_stays(overlay: Tables) -> None:
    """Its directory may come back; a link of nobody goes, if it still is one when the step is done."""
    home = overlay.context.layout.driver_home
    os.makedirs(os.path.join(home, "l"))
    paths = {name: os.path.join(home, "l", name) for name in ("ours", "nobodys")}
    os.symlink("../top/diff", paths["ours"])
    os.symlink("../stranger/diff", paths["nobodys"])
    ours, nobodys = (
        list(heal_driver.stray_link(overlay.view(), of_store("overlay-stray-link", paths[name], "x", found=target)))
        for name, target in (("ours", "../top/diff"), ("nobodys", "../stranger/diff"))
    )

    assert (ours, planned(nobodys)) == ([], [("take-out", paths["nobodys"])])
    overlay.carry_out(*nobodys)
    assert os.listdir(os.path.join(home, "l")) == ["ours"]


def test_a_link_that_belongs_to_somebody_by_now_is_not_taken(overlay: Tables) -> None:
    home = overlay.context.layout.driver_home
    path = os.path.join(home, "l", "A")
    os.makedirs(os.path.dirname(path))
    os.symlink("../stranger/diff", path)
    finding = of_store("overlay-stray-link", path, "x", found="../stranger/diff")
    steps = list(heal_driver.stray_link(overlay.view(), finding))
    overlay.records(ItemKind.LAYERS, [*CHAIN, Layer(id="stranger")])
    write(os.path.join(home, "stranger/link"), b"A")
    os.makedirs(os.path.join(home, "stranger/diff"))

    assert overlay.carry_out(*steps) == []
    assert os.path.islink(path)


# ── mounts ──


def test_mount_counts_are_those_of_the_kernel(overlay: Tables) -> None:
    """Nothing is mounted, so nothing counts; a table that cannot be read is written again."""
    path = overlay.context.layout.mountpoints
    finding = of_layer("mount-gone", "top", "x", path="/x")
    for text in (b'[{"id":"top","path":"/nowhere","count":3}]', b"[{", b"nonsense"):
        write(path, text)
        overlay.carry_out(*heal_driver.mounts(overlay.view(), finding))
        assert json.loads(read(path)) == []


def test_a_directory_in_the_place_of_the_mount_table_goes(overlay: Tables) -> None:
    """Nothing but counts is ever there."""
    path = overlay.context.layout.mountpoints
    write(os.path.join(path, "below"), b"")

    overlay.carry_out(*heal_driver.mounts(overlay.view(), of_store("mount-table-damaged", path, "x")))
    assert os.path.isfile(path)


def test_all_findings_about_mounts_are_one_step(overlay: Tables) -> None:
    """They are about one file."""
    findings = [of_layer("mount-gone", name, "x") for name in ("top", "base")]
    steps = [step for finding in findings for step in heal_driver.mounts(overlay.view(), finding)]

    assert len({step.key for step in steps if isinstance(step, Step)}) == 1


# ── places ──


@pytest.mark.parametrize("instead", ["link", "directory", "fifo"])
def test_a_lock_file_is_made_again(overlay: Tables, instead: str) -> None:
    """What stood in its place is in quarantine."""
    path = overlay.context.layout.images_lock
    write(path, b"")
    put(path, instead)

    steps = list(heal_driver.lock(overlay.view(), of_store("lock-wrong", path, "x")))
    assert overlay.carry_out(*steps) == [os.path.relpath(path, overlay.context.layout.graph_root)]
    assert stat.S_ISREG(os.lstat(path).st_mode)


def test_a_lock_file_that_somebody_has_made_is_left_to_them(overlay: Tables) -> None:
    """They may hold it: another file in its place would lock nobody out."""
    path = overlay.context.layout.images_lock
    steps = list(heal_driver.lock(overlay.view(), of_store("lock-missing", path, "x")))
    write(path, b"token")
    before = os.stat(path).st_ino

    assert overlay.carry_out(*steps) == []
    assert os.stat(path).st_ino == before


def test_a_thing_of_another_type_is_moved_away_if_it_still_is_one(overlay: Tables) -> None:
    path = os.path.join(overlay.context.layout.layers, "tmp")
    os.mkfifo(path)
    steps = list(heal_driver.thing(overlay.view(), of_store("thing-wrong", path, "x")))

    assert overlay.carry_out(*steps) == ["overlay-layers/tmp"]
    os.mkdir(path)
    assert overlay.carry_out(*steps) == []
    assert os.path.isdir(path)


def test_a_mode_is_set_as_the_finding_says(overlay: Tables) -> None:
    """Of a directory itself, never of what a link leads to."""
    path = overlay.context.layout.layers
    os.chmod(path, 0o777)  # noqa: S103  - what is healed
    steps = list(heal_driver.mode(overlay.view(), of_store("place-mode", path, "x", expected="0700")))

    overlay.carry_out(*steps)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700


def test_a_place_is_given_to_whom_the_store_belongs(overlay: Tables) -> None:
    (step,) = heal_driver.owner(overlay.view(), of_store("place-owner", "/g/x", "x", owner=7, expected=1000))

    assert isinstance(step, Step)
    assert (step.action.word, step.what) == ("set-owner", "give /g/x to user 1000")


def test_a_mounted_layer_is_not_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever mounted it would go on with the directory that goes."""
    tables = Tables(tmp_path, Layer(id="layer"))
    wrong = [Flaw("layer", "subvolume", tables.tree("layer"), NO_SUBVOLUME)]
    monkeypatch.setattr("cstore.drivers.inspection.WholeTrees.flaws", lambda *_: wrong)
    write(tables.context.layout.mountpoints, b'[{"id":"layer","path":"/x","count":1}]')
    before = os.stat(tables.tree("layer")).st_ino
    finding = Finding("btrfs-subvolume", Subject("layer", "layer"), "x")

    with pytest.raises(LayersMounted):
        tables.carry_out(*heal_driver.subvolume(tables.view(), finding))
    assert os.stat(tables.tree("layer")).st_ino == before
    write(tables.context.layout.mountpoints, b"[]")
    tables.carry_out(*heal_driver.subvolume(tables.view(), finding))
    assert os.stat(tables.tree("layer")).st_ino != before


def test_a_subvolume_is_made_of_the_layers_own_files(overlay: Tables) -> None:
    """Where there is nothing to convert by now, nothing is done."""
    (step,) = heal_driver.subvolume(overlay.view(), Finding("btrfs-subvolume", Subject("layer", "none"), "x"))

    assert isinstance(step, Step)
    assert (step.action.word, step.evidence) == ("make-subvolume", "its own files")
    assert overlay.carry_out(step) == []
