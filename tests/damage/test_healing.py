"""Each damage is healed: nothing is wrong afterwards, every layer gives back its archive, and nothing else has changed.

What cannot be healed without a source is healed with one, and left as it is and told without. What nothing heals is
named here, with the reason.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.damage.damages import DAMAGES, Damage, cases, pairs
from tests.damage.healing import (
    ARCHIVES,
    DIGESTS,
    OWN_FILE,
    Facts,
    Records,
    differences,
    exported,
    facts,
    lost_fields,
    own_layer,
    records,
    repair,
    use_container,
)
from tests.damage.specimen import BASE, CONTAINER, IMAGE, Specimen, copy, look
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cstore.check import Finding


_ITEM = {
    "a layer's item is gone", "a layer's item is a directory", "a manifest is gone", "a config is gone",
    "a config is no config", "a config is a directory", "a config is cut",
    "a byte of a config is flipped", "the data of an image are gone", "an image has no manifest",
    "a manifest is no JSON", "a manifest names no config", "a manifest names another config",
}  # fmt: skip
"""An image's items are nowhere else in the store; for a layer's no digest is recorded."""
_TAR_SPLIT = {
    "a tar-split is gone", "a tar-split is cut", "a tar-split is empty", "a tar-split is a fifo",
    "a tar-split is another layer's", "a line of a tar-split is gone", "a line of a tar-split is garbage",
}  # fmt: skip
"""The order, the headers and the padding of an archive that another program made are nowhere else. What cstore packed
itself is packed again."""
_CONTENTS = {
    "a byte of a file is flipped", "a file is cut", "a file has grown", "a file is gone", "a directory is gone",
    "a file has become a link to the host", "a file has become a fifo", "diff is gone", "diff is a file",
    "thousands of files are gone",
}  # fmt: skip
"""With overlay each file is in one layer only; with vfs the children have it, too."""


def needs_source(driver: str, damage: Damage) -> bool:
    """Whether what is lost is nowhere else in the store."""
    always = damage.name in _ITEM | _TAR_SPLIT | {"a layer's directory is gone"}
    return always or (driver == "overlay" and damage.name in _CONTENTS)


UNREPAIRABLE = {
    "an ID leads out of the store": "a person must decide: nothing in a store is rightly called so",
    "an ID is the name of a record file": "the same",
    "a container's item is gone": "it is the only copy, and no program keeps another",
    "a container's item is a directory": "the same",
    "a file stands where a directory belongs": "a person must decide: all that was in the directory is gone",
}
"""What nothing heals, and why."""

OTHERWISE = {
    "a container's item is cut": "what is there is the only copy there is; the record is corrected to it",
    "a byte of a container's item is flipped": "the same",
    "a config is no config": "the true manifest is back; the false config stays, as an item that nothing names",
    "nobody uses a layer any more": "images and containers were removed; their data are leftovers, for gc",
    "two layers have one name": "the one that had it before has lost it already, for every program",
    "two images have one name": "the same",
}
"""What is sound afterwards, but not what it was before."""

_LAYER = {"names", "created", "compressed-diff-digest", "compressed-size"}
_IMAGE = {"names", "created", "metadata"}
_CONTAINER = {"names", "created"}
FORGOTTEN: dict[str, dict[str, set[str]]] = {
    **{
        f"{kind}.json is {what}": {kind: fields}
        for kind, fields in (("layers", _LAYER), ("images", _IMAGE), ("containers", _CONTAINER))
        for what in ("emptied", "gone", "full of NUL", "no list", "a directory")
    },
    "layers.json is cut": {"layers": {"created"}},
    "images.json is cut": {"images": {"created"}},
    "containers.json is cut": {"containers": {"created"}},
    "a field in layers.json has the wrong type": {"layers": {"names"}},
    "a field in images.json has the wrong type": {"images": {"names"}},
    "a field in containers.json has the wrong type": {"containers": {"names"}},
    "a record in layers.json has no ID": {"layers": _LAYER},
    "a record in images.json has no ID": {"images": _IMAGE},
    "a record in containers.json has no ID": {"containers": _CONTAINER},
    "an image's layer has no record": {"layers": _LAYER},
    "a layer has lost its record": {"layers": _LAYER},
    "a container's image has no record": {"images": _IMAGE},
    "an image has no manifest": {"images": {"big-data-names"}},  # the same names in another order
}
"""Fields of records of which nothing else in the store tells. Times are told by files, to the second; names, and how
archives were delivered, by nothing in this store: its manifests name no blobs, its container is no engine's."""


class Laboratory:
    """Stores to damage, what they were before, and a sound one to take lost bytes from."""

    def __init__(self, fresh: Callable[[str], Specimen], originals: Callable[[str], Specimen]) -> None:
        self._fresh, self._originals = fresh, originals

    def original(self, driver: str) -> Specimen:
        """The sound store."""
        found = self._originals(driver)
        if not os.path.exists(found.tree(own_layer(found), "own")):
            use_container(found)
        return found

    def damaged(self, driver: str, *damages: Damage) -> Specimen:
        """A damaged copy of it."""
        self.original(driver)
        specimen = self._fresh(driver)
        for damage in damages:
            damage.do(specimen)
        return specimen


@pytest.fixture
def laboratory(
    fresh: Callable[[str], Specimen], originals: Callable[[str], Specimen], tmp_path: Path
) -> Iterator[Laboratory]:
    """A laboratory in which nothing stays mounted."""
    yield Laboratory(fresh, originals)
    detach_all(str(tmp_path))


def _serious(specimen: Specimen) -> list[Finding]:
    return [one for one in specimen.check().findings if one.severity.is_serious]


def _same_container(specimen: Specimen) -> bool:
    """Whether the container's own files are what they were, if it is still known which layer is its own."""
    path = specimen.tree(own_layer(specimen), "own")
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        return file.read() == OWN_FILE and (status.st_uid, status.st_gid) == (1234, 5678)


def _leaves(damage: Damage) -> bool:
    """Whether there is nothing to heal in it: what is left over is for gc and for --remove."""
    return all(severity in {"leftover", "cosmetic"} for _, severity in damage.kinds)


A_SHORT_SEARCH = 3.0
"""Seconds to look for an archive that nothing here gives: a search that finds none takes all of its time."""


def _ids(case: object) -> str:
    return case if isinstance(case, str) else getattr(case, "name", "")


def _with(driver: str, damage: Damage) -> str:
    return "source" if needs_source(driver, damage) else "store"


HEALED = [(driver, damage) for driver, damage in cases() if damage.name not in UNREPAIRABLE]
SOURCED = [(driver, damage) for driver, damage in HEALED if needs_source(driver, damage)]


@pytest.mark.parametrize(("driver", "damage"), HEALED, ids=_ids)
def test_healed(driver: str, damage: Damage, laboratory: Laboratory) -> None:
    """Nothing is wrong any more; layers give back their archives; all the rest, records too, is what it was."""
    sound = laboratory.original(driver)
    before, told = facts(sound), records(sound)
    specimen = laboratory.damaged(driver, damage)
    damaged = facts(specimen)

    sources = (sound.graph,) if needs_source(driver, damage) else ()
    result = repair(specimen, sources=sources)

    assert result.failed == ()
    assert [one.document() for one in _serious(specimen)] == []
    assert exported(specimen) == DIGESTS
    if damage.name == "nobody uses a layer any more":
        return
    assert _same_container(specimen)
    if damage.name not in OTHERWISE:
        expected = set() if not _leaves(damage) else differences(before, damaged)
        assert differences(before, facts(specimen)) - expected <= _new_links(before, specimen)
        assert _lost(told, specimen, damage) == {}


def _new_links(before: Facts, specimen: Specimen) -> set[str]:
    """With overlay: short links, and what names them, which are as good as others."""
    paths = (path for path in before.keys() | facts(specimen).keys() if path.startswith("overlay/"))
    return {path for path in paths if path.startswith("overlay/l/") or path.endswith(("/link", "/lower"))}


def _lost(told: Records, specimen: Specimen, damage: Damage) -> dict[str, set[str]]:
    """The fields of records that have changed, and are not among those that may."""
    if _leaves(damage):
        return {}
    lost = lost_fields(told, records(specimen))
    allowed = FORGOTTEN.get(damage.name, {})
    return {kind: rest for kind, fields in lost.items() if (rest := fields - allowed.get(kind, set()))}


@pytest.mark.parametrize(("driver", "damage"), SOURCED, ids=_ids)
def test_left_without_a_source(driver: str, damage: Damage, laboratory: Laboratory) -> None:
    """What is lost is told, with the reason, and nothing is touched: not what is damaged, and nothing else."""
    specimen = laboratory.damaged(driver, damage)
    before, told = facts(specimen), records(specimen)

    result = repair(specimen, search_time=A_SHORT_SEARCH)

    assert result.plans[-1].unrepairable != ()
    assert all(one.reason for one in result.plans[-1].unrepairable)
    assert {one.kind for one in _serious(specimen)} >= {damage.kinds[0][0]}
    assert differences(before, facts(specimen)) == set()
    assert records(specimen) == told
    assert _same_container(specimen)


@pytest.mark.parametrize("name", UNREPAIRABLE)
def test_unrepairable(name: str, laboratory: Laboratory) -> None:
    """Nothing heals it, from whatever source; it is told, and nothing is touched."""
    driver = "vfs"
    (damage,) = (damage for damage in DAMAGES if damage.name == name)
    specimen = laboratory.damaged(driver, damage)
    before, told = facts(specimen), records(specimen)

    result = repair(specimen, sources=(laboratory.original(driver).graph,))

    assert [one.reason for one in result.plans[-1].unrepairable] != []
    assert not result.healed
    assert (differences(before, facts(specimen)), records(specimen)) == (set(), told)


@pytest.mark.parametrize(("driver", "one", "other"), pairs(), ids=_ids)
def test_two_damages_at_once(driver: str, one: Damage, other: Damage, laboratory: Laboratory) -> None:
    """With a source all is healed but what nothing heals. What was sound before is the same afterwards."""
    sound = laboratory.original(driver)
    try:
        specimen = laboratory.damaged(driver, one, other)
    except (OSError, ValueError, TypeError, KeyError, StopIteration, AttributeError):
        pytest.skip("the first has left nothing for the second")
    intact = facts(sound).keys() - differences(facts(sound), facts(specimen))

    result = repair(specimen, sources=(sound.graph,))

    if not {one.name, other.name} & UNREPAIRABLE.keys():
        assert [str(error) for _, error in result.failed] == []
        assert [finding.document() for finding in _serious(specimen)] == []
        assert exported(specimen) == DIGESTS
    changed = differences(facts(sound), facts(specimen)) & intact
    assert {path for path in changed if not path.startswith("overlay/l/")} == set()


# ── sources ──


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A directory with the archives of all layers, one of them compressed."""
    import gzip

    path = tmp_path / "archives"
    path.mkdir()
    for layer, archive in ARCHIVES.items():
        (path / f"{layer[0]}.tar").write_bytes(archive)
    (path / "a.tar").unlink()
    (path / "a.tar.gz").write_bytes(gzip.compress(ARCHIVES[BASE]))
    return str(path)


@pytest.mark.parametrize("name", ["a tar-split is gone", "a layer's directory is gone", "a file is gone"])
@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_a_directory_of_archives(name: str, driver: str, laboratory: Laboratory, folder: str) -> None:
    """Any file in it may be what is lost; it is known by its digest."""
    (damage,) = (damage for damage in DAMAGES if damage.name == name)
    specimen = laboratory.damaged(driver, damage)

    result = repair(specimen, sources=(folder,))

    assert (result.failed, _serious(specimen), exported(specimen)) == ((), [], DIGESTS)


def test_a_source_that_is_not_what_is_lost(laboratory: Laboratory, tmp_path: Path) -> None:
    """It is named as one that does not help, and nothing is taken from it."""
    from tests.builders import make_tar, regular

    (damage,) = (damage for damage in DAMAGES if damage.name == "a tar-split is gone")
    specimen = laboratory.damaged("overlay", damage)
    wrong = tmp_path / "wrong.tar"
    wrong.write_bytes(make_tar(regular("etc/hosts", b"127.0.0.1 localhost\n")))
    before = facts(specimen)

    result = repair(specimen, sources=(str(wrong),), search_time=A_SHORT_SEARCH)

    assert result.plans[-1].unused == (str(wrong),)
    assert differences(before, facts(specimen)) == set()


def test_a_damaged_store_as_source(laboratory: Laboratory, tmp_path: Path) -> None:
    """What it records is not believed: a changed item or layer of it does not come into this store."""
    flipped, gone = (
        next(damage for damage in DAMAGES if damage.name == name)
        for name in ("a byte of a config is flipped", "a config is gone")
    )
    source = copy(laboratory.original("overlay"), tmp_path / "source")
    flipped.do(source)
    specimen = laboratory.damaged("overlay", gone)
    before, told = facts(specimen), records(specimen)

    result = repair(specimen, sources=(source.graph,))

    assert result.plans[-1].unrepairable != ()
    assert (differences(before, facts(specimen)), records(specimen)) == (set(), told)


# ── undo ──

UNDONE = [
    ("overlay", "layers.json is emptied"), ("vfs", "images.json is cut"), ("overlay", "containers.json is a directory"),
    ("vfs", "a layer ID occurs twice"), ("overlay", "an image ID occurs twice"), ("vfs", "a parent has no record"),
    ("overlay", "a used layer counts as unfinished"), ("overlay", "a layer has lost its record"),
    ("vfs", "a byte of a file is flipped"), ("overlay", "a file is gone"), ("vfs", "a stray file has come"),
    ("overlay", "a tar-split is empty"), ("vfs", "a tar-split is gone"), ("overlay", "a config is cut"),
    ("vfs", "a manifest is gone"), ("overlay", "link is garbage"), ("overlay", "lower is garbage"),
    ("overlay", "a short link leads out"), ("overlay", "diff is a file"), ("vfs", "a byte of a config is flipped"),
]  # fmt: skip


def _everything(specimen: Specimen) -> tuple[Facts, dict[str, bytes]]:
    """Everything but locks and quarantine, record files by their bytes."""
    raw: dict[str, bytes] = {}
    for kind in ("layers", "images", "containers"):
        path = specimen.records(kind)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                raw[kind] = file.read()
    return facts(specimen), raw


@pytest.mark.parametrize(("driver", "name"), UNDONE)
def test_undone(driver: str, name: str, laboratory: Laboratory) -> None:
    """Undoing gives back the damaged store, byte for byte, and nothing stays in quarantine; repair heals it again."""
    from cstore.store.quarantine import cases as quarantined
    from cstore.store.quarantine import undo

    damage = next(damage for damage in DAMAGES if damage.name == name)
    specimen = laboratory.damaged(driver, damage)
    sources = (laboratory.original(driver).graph,)
    before = _everything(specimen)

    case = repair(specimen, sources=sources).case
    undone = undo(specimen.open().context, case)
    after = _everything(specimen)
    again = repair(specimen, sources=sources)

    assert undone.left == ()
    assert {path for path in differences(before[0], after[0]) if not path.startswith("overlay/l/")} == set()
    assert {kind: _rows(raw) for kind, raw in after[1].items()} == {kind: _rows(raw) for kind, raw in before[1].items()}
    assert [one.id for one in quarantined(specimen.open().context)] == [again.case]
    assert (again.failed, _serious(specimen), exported(specimen)) == ((), [], DIGESTS)


def _rows(raw: bytes) -> object:
    """A record file as what it says, if it says something: a record that goes and comes back may stand elsewhere."""
    try:
        rows = json.loads(raw)
    except ValueError:
        return raw
    return sorted(json.dumps(row, sort_keys=True) for row in rows) if isinstance(rows, list) else rows


def test_a_dry_run_changes_nothing(laboratory: Laboratory) -> None:
    """It plans as the repair would, and touches nothing at all."""
    (damage,) = (damage for damage in DAMAGES if damage.name == "layers.json is emptied")
    specimen = laboratory.damaged("overlay", damage)
    before = look(specimen.graph, specimen.run)

    result = repair(specimen, dry_run=True)

    assert len(result.plans[0].steps) == 1
    assert (result.done, result.case, look(specimen.graph, specimen.run)) == ((), "", before)


def test_names_by_hand(laboratory: Laboratory) -> None:
    """A name that nothing tells is given by the beginning of the image's ID."""
    (damage,) = (damage for damage in DAMAGES if damage.name == "images.json is emptied")
    specimen = laboratory.damaged("vfs", damage)

    repair(specimen, names={IMAGE[:12]: ["quay.example/again:2"]})

    assert records(specimen)["images"][IMAGE]["names"] == ["quay.example/again:2"]
    assert records(specimen)["containers"][CONTAINER]["image"] == IMAGE
