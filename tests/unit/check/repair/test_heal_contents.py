"""Damaged files of a layer: what is set again, moved away or let be, and what the layer is made anew for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.findings import Finding, of_layer
from cstore.check.repair.heal_contents import anew, attributes, unexpected
from cstore.check.repair.plan import Step, Unrepairable
from cstore.errors import SystemFailure
from cstore.records.model import Container, Layer
from cstore.store.places import ItemKind
from tests.builders import digest, directory, regular, symlink
from tests.unit.check.tables import Tables, facts, planned, tar, write

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.check.repair.repair_view import RepairView

FILES = directory("d"), regular("d/f", b"hello"), regular("g", b"x"), symlink("l", "g")
ARCHIVE = tar(*FILES)
DIGEST = digest(ARCHIVE)
OTHER = "sha256:" + "1" * 64
RECORD = Layer(id="a", diff_digest=DIGEST, diff_size=len(ARCHIVE))


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """A layer as its archive says, and one above it with the same files."""
    tables = Tables(tmp_path, RECORD, RECORD.with_(id="b", parent="a"))
    tables.archive("a", *FILES)
    tables.archive("b", *FILES)
    return tables


def differs(path: str, *names: str, layer: str = "a") -> Finding:
    """A file whose mode, owner, … differ."""
    return of_layer("file-attributes", layer, f"{path} differs", part=path, path=path, differs=dict.fromkeys(names))


def strange(*paths: str, layer: str = "a") -> list[Finding]:
    """Files that nobody imported."""
    return [of_layer("file-unexpected", layer, f"{path} is new", part=path, path=path) for path in paths]


# ── attributes ──


def test_attributes_of_all_files_are_set_in_one_step(tables: Tables) -> None:
    """The step names each path once, and what is set."""
    (step,) = attributes(tables.view(), [differs("d", "time"), differs("d/f", "mode", "time"), differs("d/f", "uid")])

    assert isinstance(step, Step)
    assert (step.action.word, step.parts) == ("set-attributes", ("d", "d/f"))
    assert step.what == "set time, mode, uid of 'd', 'd/f' in layer a again"
    assert step.why == "d differs; 2 more of its files have the same problem"


@pytest.mark.parametrize("name", ["type", "link", "device", "size"])
def test_what_cannot_be_set_costs_the_layer(tables: Tables, name: str) -> None:
    """A type, or where a link leads, can only be made anew; then the other files come right with it."""
    found = list(attributes(tables.view(), [differs("g", "mode"), differs("l", name)]))

    assert planned(found) == [("remake-layer", "a")]


def test_attributes_are_as_the_headers_say(tables: Tables) -> None:
    """Modes and times come back; what was removed meanwhile, or is something else by now, is left alone."""
    root = tables.tree("a")
    os.chmod(f"{root}/d/f", 0o600)
    os.utime(f"{root}/d", (7, 7))
    changed = [differs("d/f", "mode"), differs("d", "time"), differs("g", "mode"), differs("l", "time")]
    steps = list(attributes(tables.view(), changed))
    os.unlink(f"{root}/g")
    os.unlink(f"{root}/l")
    os.mkdir(f"{root}/l", 0o700)

    assert tables.carry_out(*steps) == []
    assert oct(os.stat(f"{root}/d/f").st_mode) == oct(0o100644)
    assert os.stat(f"{root}/d").st_mtime == 1_600_000_000
    assert oct(os.stat(f"{root}/l").st_mode) == oct(0o040700)


def test_no_link_on_the_way_is_followed(tables: Tables, tmp_path: Path) -> None:
    """A directory that has become a link leads to files that are nobody's here."""
    write(str(tmp_path / "aside/f"), b"mine")
    os.chmod(tmp_path / "aside/f", 0o640)
    (step,) = attributes(tables.view(), [differs("d/f", "mode")])
    os.rename(f"{tables.tree('a')}/d", tmp_path / "moved")
    os.symlink(tmp_path / "aside", f"{tables.tree('a')}/d")

    with pytest.raises(SystemFailure, match="set the attributes of"):
        tables.carry_out(step)
    assert oct(os.stat(tmp_path / "aside/f").st_mode) == oct(0o100640)


# ── unexpected files ──


def test_files_that_nobody_imported_are_moved_away_together(tables: Tables) -> None:
    """What is in such a directory goes with it; a neighbor with a longer name does not."""
    (step,) = unexpected(tables.view(), strange("new/f", "new", "newer", "g/x"))

    assert isinstance(step, Step)
    assert (step.action.word, step.parts) == ("take-out-files", ("g/x", "new", "newer"))


def test_the_directory_has_its_time_again(tables: Tables) -> None:
    """Moving a file out of it is no change of the layer."""
    write(f"{tables.tree('a')}/d/new", b"")

    taken = tables.carry_out(*unexpected(tables.view(), strange("d/new")))
    assert taken == ["vfs/dir/a/d/new"]
    assert sorted(os.listdir(f"{tables.tree('a')}/d")) == ["f"]
    assert os.stat(f"{tables.tree('a')}/d").st_mtime == 1_600_000_000


def test_nothing_is_moved_through_a_link(tables: Tables, tmp_path: Path) -> None:
    """The directory was one when the plan was made."""
    write(str(tmp_path / "aside/new"), b"mine")
    steps = list(unexpected(tables.view(), strange("d/new")))
    os.rename(f"{tables.tree('a')}/d", tmp_path / "moved")
    os.symlink(tmp_path / "aside", f"{tables.tree('a')}/d")

    assert tables.carry_out(*steps) == []
    assert (tmp_path / "aside/new").exists()


# ── doubt ──

DOUBTS: dict[str, tuple[dict[str, Any], str]] = {
    "its tar-split is gone": ({"facts": {"a": None}}, "the original archive"),
    "its tar-split gives another archive": ({"facts": {"a": facts(OTHER, 1)}}, "the original archive"),
    "a file has changed, so nothing proves the tar-split": ({"facts": {"a": facts()}}, "the original archive"),
}  # fmt: skip


@pytest.mark.parametrize("heal", [attributes, unexpected])
@pytest.mark.parametrize(("told", "reason"), DOUBTS.values(), ids=DOUBTS)
def test_a_tar_split_that_is_no_witness(tables: Tables, heal: Any, told: dict[str, Any], reason: str) -> None:
    """What it does not have may well be sound: nothing is set and nothing moved."""
    findings = [differs("g", "mode")] if heal is attributes else strange("new")

    (lost,) = heal(tables.view(**told), findings)
    assert isinstance(lost, Unrepairable)
    assert lost.reason.startswith(reason)


def test_a_layer_below_may_be_what_is_wrong(tables: Tables, tmp_path: Path) -> None:
    """On a driver of whole trees all archives of the chain must be proven; on overlay the layer's own is enough."""
    told = {"a": facts(OTHER), "b": facts(DIGEST)}

    (lost,) = unexpected(tables.view(facts=told), strange("new", layer="b"))
    assert isinstance(lost, Unrepairable)
    assert "layer a, below it" in lost.reason
    overlay = Tables(tmp_path / "overlay", RECORD, RECORD.with_(id="b", parent="a"), driver="overlay")
    assert planned(unexpected(overlay.view(facts=told), strange("new", layer="b"))) == [("take-out-files", "b")]


def test_a_containers_own_files_are_never_touched(tables: Tables) -> None:
    """They have no other copy, so nothing is taken out, set or made anew."""
    tables.records(ItemKind.CONTAINERS, [Container(id="box", layer="a")])
    view = tables.view()

    for found in (unexpected(view, strange("new")), attributes(view, [differs("g", "mode")]), anew(view, missing())):
        (lost,) = found
        assert isinstance(lost, Unrepairable)
        assert "own layer" in lost.reason


def test_a_wrong_parent_makes_sound_files_look_damaged(tables: Tables) -> None:
    """So the parent is healed first, and the files are looked at again after that."""
    other = RECORD.with_(id="c", diff_digest=OTHER)
    tables.records(ItemKind.LAYERS, [RECORD, RECORD.with_(id="b", parent="a"), other])
    view = tables.view(parents={"b": "c", "a": "", "c": ""})

    for found in (unexpected(view, strange("new", layer="b")), anew(view, missing("b"))):
        (lost,) = found
        assert isinstance(lost, Unrepairable)
        assert lost.reason.endswith("names a as its parent, but everything else points to c")


# ── anew ──


def missing(layer: str = "a", **evidence: object) -> Finding:
    """A file that is missing."""
    return of_layer("file-missing", layer, "'/g' is missing", part="g", path="g", **evidence)


def archive_of(tables: Tables, data: bytes = ARCHIVE) -> str:
    """A file with an archive."""
    path = os.path.join(tables.path, "source.tar")
    write(path, data)
    return path


def anew_reason(view: RepairView, finding: Finding) -> str:
    """Why a layer cannot be made anew."""
    (lost,) = anew(view, finding)
    assert isinstance(lost, Unrepairable)
    return lost.reason


def test_a_layer_is_made_anew_from_its_archive(tables: Tables) -> None:
    for layer in "ab":
        os.unlink(f"{tables.tree(layer)}/g")

    assert anew_reason(tables.view(), missing()) == (
        f"the contents of 'g' are not in this store; it needs the archive {DIGEST}"
    )
    assert planned(anew(tables.view(archive_of(tables)), missing())) == [("remake-layer", "a")]


def test_all_damage_of_a_layer_is_one_step(tables: Tables) -> None:
    """It is found out once how the layer is made anew."""
    view = tables.view(archive_of(tables))

    (first,), (second,) = anew(view, missing()), anew(view, of_layer("tar-split-missing", "a", "x"))
    assert first is second


def test_another_layer_may_have_the_lost_file(tables: Tables) -> None:
    """By its checksum and its name."""
    os.unlink(f"{tables.tree('a')}/d/f")
    (step,) = anew(tables.view(), missing())

    assert isinstance(step, Step)
    assert step.evidence == "its tar-split and its files, and 1 that other layers have"


def test_without_a_digest_nothing_would_prove_the_archive(tables: Tables) -> None:
    tables.records(ItemKind.LAYERS, [Layer(id="a")])

    assert anew_reason(tables.view(archive_of(tables)), missing()) == "no digest is recorded to verify its archive"
