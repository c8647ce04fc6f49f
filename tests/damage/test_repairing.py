"""Repair under bad conditions: killed, disturbed, without space, with bad journals: nothing becomes less."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cstore.errors import LockTimeout, QuarantineDamaged, ReadOnlyStore
from cstore.idmap import IDMap, parse_ranges
from cstore.store import NewLayer
from cstore.store.container_creation import NewContainer
from cstore.store.image_creation import NewImage
from cstore.store.quarantine import cases as quarantined
from cstore.store.quarantine import keeping, undo
from tests.builders import make_tar, regular
from tests.damage.damages import DAMAGES
from tests.damage.healing import DIGESTS, differences, exported, facts, records, repair
from tests.damage.specimen import BASE, BASE_TAR, IMAGE, TOP, Specimen, copy, put
from tests.damage.test_no_false_alarms import WRITER
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Maker = Callable[[str], Specimen]

_CHANGES = {"os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "os.chmod"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def do(name: str, specimen: Specimen) -> None:
    """Do the damage of that name."""
    next(damage for damage in DAMAGES if damage.name == name).do(specimen)


def serious(specimen: Specimen) -> list[str]:
    """The kinds of all that is wrong and more than a leftover."""
    found = specimen.check().findings
    return [one.kind for one in found if one.severity.is_serious]


@pytest.fixture(autouse=True)
def _unmounted(tmp_path: Path) -> Iterator[None]:
    yield
    detach_all(str(tmp_path))


# ── killed ──


def _killed_before(step: int, specimen: Specimen, sources: tuple[str, ...]) -> int:
    """Repair in a process that dies just before that change, counted from one; returns how many there were."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        taken = 0

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal taken
            if event in _CHANGES or (event == "open" and int(arguments[2] or 0) & _WRITES):
                taken += 1
                if taken == step:
                    os._exit(9)

        sys.addaudithook(watch)
        repair(specimen, sources=sources)
        os.write(theirs, str(taken).encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    told = os.read(ours, 20)
    os.close(ours)
    return int(told or 0)


@pytest.mark.parametrize(
    ("driver", "name"),
    [
        ("vfs", "images.json is cut"),
        ("overlay", "layers.json is emptied"),
        ("vfs", "a tar-split is empty"),
        ("overlay", "a file is gone"),
        ("overlay", "lower is garbage"),
        ("vfs", "a manifest is gone"),
    ],
)
def test_killed_anywhere(driver: str, name: str, fresh: Maker, originals: Maker, tmp_path: Path) -> None:
    """The next repair ends what the first began, with nothing lost that would not have been lost without the kill."""
    sources = (originals(driver).graph,)
    damaged = fresh(driver)
    do(name, damaged)
    whole = copy(damaged, tmp_path / "whole")
    steps = _killed_before(0, whole, sources)
    wanted = _told(whole)
    assert steps > 5
    for step in range(1, steps + 1, max(1, steps // 7)):
        specimen = copy(damaged, tmp_path / str(step))
        _killed_before(step, specimen, sources)

        again = repair(specimen, sources=sources)

        assert (step, again.failed, serious(specimen), exported(specimen)) == (step, (), [], DIGESTS)
        assert _told(specimen) == wanted, step


def _told(specimen: Specimen) -> dict[str, Any]:
    """What records say, but for times."""
    return {
        kind: {name: {key: row[key] for key in row if key != "created"} for name, row in rows.items()}
        for kind, rows in records(specimen).items()
    }


@pytest.mark.parametrize("name", ["images.json is cut", "a tar-split is empty"])
def test_killed_and_undone(name: str, fresh: Maker, originals: Maker, tmp_path: Path) -> None:
    """What the first had done can be undone, whatever it was in the midst of."""
    damaged = fresh("vfs")
    do(name, damaged)
    before, sources = facts(damaged), (originals("vfs").graph,)
    with open(damaged.records("images"), "rb") as file:
        raw = file.read()
    steps = _killed_before(0, copy(damaged, tmp_path / "whole"), sources)
    for step in range(2, steps + 1, max(1, steps // 6)):
        specimen = copy(damaged, tmp_path / str(step))
        _killed_before(step, specimen, sources)
        for case in quarantined(specimen.open().context):
            if not case.flaw:
                assert (step, undo(specimen.open().context, case.id).left) == (step, ())
        changed = (path for path in differences(before, facts(specimen)) if "/.tmp-" not in path)
        assert (step, {path for path in changed if not path.startswith("cstore-staging")}) == (step, set())  # for gc
        with open(specimen.records("images"), "rb") as file:
            assert file.read() == raw


# ── disturbed ──


def test_two_at_once(fresh: Maker) -> None:
    """The second says that it waits for the first, and gives up when its lock policy ends; nothing has happened."""
    specimen = fresh("vfs")
    do("layers.json is emptied", specimen)
    with keeping(specimen.open().context, "somebody"), pytest.raises(LockTimeout) as caught:
        repair(specimen.repair_view(0.2))

    assert "cstore-quarantine" in caught.value.message
    assert os.path.getsize(specimen.records()) == 0


def test_a_store_at_work(fresh: Maker) -> None:
    """While layers come and go, what is damaged is healed, and what is in the making is left alone."""
    specimen = fresh("overlay")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, "overlay", specimen.root])
    try:
        for name in ("lower is garbage", "a mode has changed", "a config is cut"):
            do(name, specimen)
            repair(specimen, sources=())
        assert writer.poll() is None, "the writer has failed"
    finally:
        writer.kill()
        writer.wait()

    assert set(serious(specimen)) <= {"image-data-size", "image-config-broken"}
    assert exported(specimen) == DIGESTS


def test_a_read_only_store(fresh: Maker) -> None:
    """Repair refuses, in words; a dry run and a check do what they do everywhere."""
    specimen = fresh("vfs")
    do("layers.json is emptied", specimen)
    subprocess.run(["mount", "--bind", specimen.root, specimen.root], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", specimen.root], check=True)

    with pytest.raises(ReadOnlyStore):
        repair(specimen)
    assert len(repair(specimen, dry_run=True).plans[0].steps) == 1
    assert serious(specimen) != []


def test_a_full_disk(fresh: Maker, tmp_path: Path) -> None:
    """It is said, step by step; all is as it was, and with space again it heals."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    specimen = copy(fresh("overlay"), disk)
    do("an image has other layers than its config says", specimen)
    do("a tar-split is gone", specimen)
    (tmp_path / "base.tar").write_bytes(BASE_TAR)
    before, told = facts(specimen), records(specimen)
    with open(disk / "filler", "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass

    result = repair(specimen, sources=(str(tmp_path / "base.tar"),))
    assert "No space left" in " ".join(error.message for _, error in result.failed)
    assert (differences(before, facts(specimen)), records(specimen)) == (set(), told)

    os.unlink(disk / "filler")
    assert repair(specimen, sources=(str(tmp_path / "base.tar"),)).failed == ()
    assert (serious(specimen), exported(specimen)) == ([], DIGESTS)


# ── journals ──


def _case_of(specimen: Specimen) -> tuple[str, str]:
    """Heal something, and give the case and its journal."""
    do("a stray file has come", specimen)
    case = repair(specimen).case
    return case, os.path.join(specimen.graph, "cstore-quarantine", case, "case.json")


@pytest.mark.parametrize(
    "journal",
    [
        b"", b'{"version":1,"entri', b"[]", b'{"version":7}', bytes(30), b"[" * 9000,
        b'{"version":1,"entries":[{"kind":1}]}', b'{"version":2,"created":"","by":""}\n{"kind":1}\n',
        b'{"version":2,"created":"","by":""}\n{"entry":7,"successor":"x"}\n',
    ],
)  # fmt: skip
def test_a_damaged_journal(journal: bytes, fresh: Maker) -> None:
    """Its case is listed with what is wrong, cannot be undone, and keeps its things; other repairs go on."""
    specimen = fresh("vfs")
    case, path = _case_of(specimen)
    with open(path, "wb") as file:
        file.write(journal)
    kept = sorted(os.listdir(os.path.dirname(path)))

    (listed,) = quarantined(specimen.open().context)
    with pytest.raises(QuarantineDamaged):
        undo(specimen.open().context, case)

    assert (listed.id, bool(listed.flaw)) == (case, True)
    assert sorted(os.listdir(os.path.dirname(path))) == kept
    do("images.json is emptied", specimen)
    assert repair(specimen).failed == ()


@pytest.mark.parametrize("where", ["{outside}/victim", "{graph}/../victim", "{graph}/vfs/dir/{base}/door/victim"])
def test_a_hostile_journal(where: str, fresh: Maker, tmp_path: Path) -> None:
    """What it says goes nowhere outside of the store, not even through a link in a layer."""
    specimen = fresh("vfs")
    outside = tmp_path / "outside"
    outside.mkdir()
    case, path = _case_of(specimen)
    os.symlink(outside, specimen.tree(BASE, "door"))
    with open(path, encoding="utf-8") as file:
        head, *entries = map(json.loads, file)
    target = where.format(outside=outside, graph=specimen.graph, base=BASE)
    entries[0]["path"] = target
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in (head, *entries))

    undone = undo(specimen.open().context, case)

    (sentence,) = undone.left
    assert sentence.endswith(("it was not in this store", "/door is a symbolic link but should be a directory"))
    assert os.listdir(outside) == []
    assert not os.path.lexists(target)


def test_names_that_are_no_text(fresh: Maker) -> None:
    """They come back as they were."""
    specimen = fresh("vfs")
    stray = os.path.join(os.fsencode(specimen.tree(BASE, "etc")), b"\xff\n\xfe")
    with open(stray, "wb") as file:
        file.write(b"x")

    case = repair(specimen).case
    assert not os.path.lexists(stray)
    assert undo(specimen.open().context, case).left == ()
    assert os.path.isfile(stray)


# ── removing ──


def test_what_cannot_be_healed_is_taken_out(fresh: Maker) -> None:
    """Only if that is asked for, and it can be brought back."""
    specimen = fresh("vfs")
    do("an ID leads out of the store", specimen)
    before = records(specimen)

    left = repair(specimen)
    assert (left.case, records(specimen)) == ("", before)

    result = repair(specimen, remove=True)
    assert (result.failed, serious(specimen)) == ((), [])
    assert undo(specimen.open().context, result.case).left == ()
    assert records(specimen) == before


@pytest.mark.parametrize("name", ["a file is gone", "a container's item is gone", "a layer's directory is gone"])
def test_a_container_is_never_taken_out(name: str, fresh: Maker, tmp_path: Path) -> None:
    """Whatever becomes of its image: its record and its own files stay, and the image's layers below them."""
    specimen = fresh("overlay")
    do(name, specimen)
    before = facts(specimen)

    repair(specimen, remove=True)

    assert len(records(specimen)["containers"]) == 1
    assert {path for path in differences(before, facts(specimen)) if "/diff" in path} == set()


# ── mapped layers ──


@pytest.mark.parametrize(
    ("driver", "lost"), [("vfs", ("layers",)), ("overlay", ("layers",)), ("overlay", ("layers", "images"))]
)
def test_a_layer_with_other_owners(
    driver: str, lost: tuple[str, ...], fresh: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies on the layer that it was made of, and is recorded as the child of that one's parent; so it is again."""
    monkeypatch.setenv("_CONTAINERS_OVERLAY_DISABLE_IDMAP", "yes")
    specimen = fresh(driver)
    ranges = parse_ranges("0:100000:1000")
    specimen.open().containers.create(NewContainer(id="7" * 64, image=IMAGE, id_map=IDMap(ranges, ranges)))
    before, files = records(specimen), facts(specimen)
    (mapped_layer,) = before["images"][IMAGE]["mapped-layers"]
    assert serious(specimen) == []
    for kind in lost:
        with open(specimen.records(kind), "wb"):
            pass

    assert repair(specimen).failed == ()

    after = records(specimen)
    assert serious(specimen) == []
    assert differences(files, facts(specimen)) == set()
    assert after["images"][IMAGE]["mapped-layers"] == [mapped_layer]
    for layer in before["layers"]:
        told = [{key: row.get(key) for key in ("parent", "uidmap", "gidmap", "diff-digest")} for row in (
            before["layers"][layer], after["layers"][layer]
        )]  # fmt: skip
        assert told[0] == told[1]


def test_parents_of_whole_trees(tmp_path: Path) -> None:
    """Told by the trees alone; and where they do not tell, no record is made that would make sound files strays."""
    specimen = Specimen("vfs", str(tmp_path))
    store = specimen.open()
    below = make_tar(regular("caf\xe9/na\xefve", b"x"), regular("plain", b"y"), regular(b"latin\xe9", b"z"))
    put(store, NewLayer(id="lower"), below, specimen.root)
    put(store, NewLayer(id="upper", parent="lower"), make_tar(regular("more", b"z" * 9)), specimen.root)
    put(store, NewLayer(id="above", parent="upper"), make_tar(regular("plain", b"other")), specimen.root)
    before, files = records(specimen)["layers"], facts(specimen)
    with open(specimen.records(), "wb"):
        pass

    assert repair(specimen).failed == ()

    assert {name: row.get("parent") for name, row in records(specimen)["layers"].items()} == {
        name: row.get("parent") for name, row in before.items()
    }
    assert {path for path in differences(files, facts(specimen)) if path.startswith("vfs/")} == set()
    assert serious(specimen) == []


def test_what_a_mapped_layer_lies_on(fresh: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of its ancestors is written again with the layer that it was made of, whose contents it has."""
    monkeypatch.setenv("_CONTAINERS_OVERLAY_DISABLE_IDMAP", "yes")
    specimen = fresh("overlay")
    ranges = parse_ranges("0:100000:1000")
    specimen.open().containers.create(NewContainer(id="7" * 64, image=IMAGE, id_map=IDMap(ranges, ranges)))
    (mapped_layer,) = records(specimen)["images"][IMAGE]["mapped-layers"]
    lower = specimen.home(mapped_layer, "lower")
    with open(lower, encoding="utf-8") as file:
        before = file.read()
    os.unlink(lower)

    repair(specimen)

    with open(lower, encoding="utf-8") as file:
        assert file.read() == before
    with open(specimen.home(TOP, "link"), encoding="utf-8") as file:
        assert before.startswith(f"l/{file.read()}:")


def test_an_image_without_a_config_is_told_by_its_container(fresh: Maker) -> None:
    """The container's record names the image, and its layer lies on the image's top layer."""
    specimen = fresh("overlay")
    store = specimen.open()
    image = store.images.create(NewImage(id="9" * 64, names=("plain",), layer=TOP, data={"note": b"text"}))
    store.containers.create(NewContainer(id="8" * 64, image=image.id))
    os.truncate(specimen.records("images"), 0)

    repair(specimen)

    found = specimen.open().images.get(image.id)
    assert (found.layer, found.data_names, found.data_sizes) == (TOP, ("note",), {"note": 4})
    assert serious(specimen) == []
