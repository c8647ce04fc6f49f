"""The plan shown is the plan done: complete, one step for a layer's files, asked for again where it grows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.repair import RepairOptions, repair_store
from cstore.check.repair.plan import Action
from cstore.errors import NotAgreed
from cstore.store import NewLayer
from cstore.store.container_creation import NewContainer
from cstore.store.quarantine import cases, keeping, undo
from tests.builders import make_tar, regular
from tests.damage.healing import differences, facts, records, repair
from tests.damage.specimen import BASE, CONTAINER, IMAGE, MIDDLE, TOP, Specimen, put
from tests.damage.test_repairing import do, serious

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.check.repair import Plan

    Maker = Callable[[str], Specimen]

MANY = "1" * 64
COUNT = 300
OLD_STORE = os.path.join(os.path.dirname(__file__), "..", "data", "stores", "vfs-repaired-by-0.1.tar.xz")


@pytest.fixture
def many(fresh: Maker) -> Specimen:
    """A store with a layer of many files."""
    specimen = fresh("overlay")
    archive = make_tar(*(regular(f"f{number}", b"%d" % number) for number in range(COUNT)))
    put(specimen.open(), NewLayer(id=MANY, parent=""), archive, specimen.root)
    return specimen


# ── one step for many files ──


def test_a_layers_wrong_files_are_one_step(many: Specimen) -> None:
    """The step has all paths; its sentence names the first and counts the others; one run heals them."""
    for number in range(COUNT):
        os.chmod(many.tree(MANY, f"f{number}"), 0o600)

    (step,) = repair(many, dry_run=True).plans[0].steps
    result = repair(many)

    assert (step.action, len(step.parts)) == (Action.SET_ATTRIBUTES, COUNT)
    assert f"and {COUNT - 3} more in layer" in step.what
    assert ([done.key for done in result.done], result.healed) == ([step.key], True)


def test_what_files_leave_behind_belongs_to_their_step(fresh: Maker) -> None:
    """Taking files out changes the time of their directory, which is not left to a plan that nobody was shown."""
    specimen = fresh("overlay")
    os.mkdir(specimen.tree(BASE, "etc", "strange"))
    for name in ("etc/strange/in", "etc/one", "two"):
        with open(specimen.tree(BASE, name), "wb"):
            pass

    when = os.lstat(specimen.tree(BASE, "bin")).st_mtime_ns
    os.utime(specimen.tree(BASE, "etc"), ns=(when, when))

    (step,) = repair(specimen, dry_run=True).plans[0].steps
    result = repair(specimen)

    assert (step.action, step.parts) == (Action.TAKE_OUT_FILES, ("etc/one", "etc/strange", "two"))
    assert ([done.key for done in result.done], result.healed) == ([step.key], True)


def test_the_journal_grows_at_its_end(fresh: Maker) -> None:
    """A hundred entries are a hundred lines more, and what was written before stays where it is."""
    context = fresh("vfs").open().context
    with keeping(context, "a test") as quarantine:
        sizes = []
        for number in range(100):
            path = os.path.join(context.layout.graph_root, f"thing-{number}")
            with open(path, "wb"):
                pass
            quarantine.keep(path, "it is in the way")
            (case,) = cases(context)
            with open(os.path.join(case.directory, "case.json"), "rb") as file:
                sizes.append((os.fstat(file.fileno()).st_ino, len(file.read().splitlines())))

    assert sizes == [(sizes[0][0], number + 2) for number in range(100)]
    assert len(undo(context, case.id).done) == 100


def test_a_line_that_was_cut_tells_of_nothing(fresh: Maker) -> None:
    """The repair was killed while it wrote it, and had not moved anything yet; all else comes back."""
    specimen = fresh("vfs")
    before = facts(specimen)
    do("a stray file has come", specimen)
    damaged = facts(specimen)
    case = repair(specimen).case
    with open(os.path.join(specimen.graph, "cstore-quarantine", case, "case.json"), "ab") as file:
        file.write(b'{"path":"/some/whe')

    undone = undo(specimen.open().context, case)

    assert (len(undone.done), undone.left) == (1, ())
    assert differences(damaged, facts(specimen)) == set()
    assert differences(before, damaged) != set()


# ── the plan ──


def test_what_comes_to_light_is_asked_for(fresh: Maker) -> None:
    """What a damaged record file hides is a plan of its own: the first one says so, and the second can be refused."""
    specimen = fresh("vfs")
    do("images.json is emptied", specimen)
    specimen.edit("containers", lambda rows: [row | {"image": "9" * 64} for row in rows])
    asked: list[Plan] = []

    def once(plan: Plan) -> bool:
        asked.append(plan)
        return len(asked) == 1

    repair_store(specimen.open().context, RepairOptions(workers=1, agree=once))

    assert [plan.complete for plan in asked] == [False, True]
    assert [[step.action for step in plan.steps] for plan in asked] == [[Action.WRITE_RECORD_FILE], [Action.SET_IMAGE]]
    assert records(specimen)["containers"][CONTAINER]["image"] == "9" * 64


def test_without_an_answer_nothing_more_is_done(fresh: Maker) -> None:
    """Whoever cannot be asked again ends the repair, and the store is as the first plan left it."""
    specimen = fresh("vfs")
    do("images.json is emptied", specimen)
    specimen.edit("containers", lambda rows: [row | {"image": "9" * 64} for row in rows])
    plans: list[Plan] = []

    def refuse_second(plan: Plan) -> bool:
        plans.append(plan)
        if len(plans) == 2:
            raise NotAgreed(len(plan.steps))
        return True

    with pytest.raises(NotAgreed):
        repair_store(specimen.open().context, RepairOptions(workers=1, agree=refuse_second))
    assert IMAGE in records(specimen)["images"]
    assert serious(specimen) == ["container-image-missing"]


@pytest.mark.parametrize("name", ["images.json is cut", "a stray file has come", "lower is garbage", "a file is gone"])
def test_a_second_run_has_nothing_to_do(name: str, fresh: Maker, originals: Maker) -> None:
    """And puts nothing into quarantine."""
    specimen = fresh("overlay")
    do(name, specimen)
    sources = (originals("overlay").graph,)
    repair(specimen, sources=sources)
    before = facts(specimen)

    again = repair(specimen, sources=sources)

    assert (again.plans[0].steps, again.done, again.case) == ((), (), "")
    assert (differences(before, facts(specimen)), len(cases(specimen.open().context))) == (set(), 1)


def test_a_lost_name_is_shown_with_the_way_to_name_it(fresh: Maker) -> None:
    """In the plan, before anything is done."""
    specimen = fresh("vfs")
    do("images.json is emptied", specimen)
    specimen.edit("containers", lambda rows: [{**row, "metadata": ""} for row in rows])

    (step,) = repair(specimen, dry_run=True).plans[0].steps

    assert f"--name {IMAGE}=NAME" in step.advice
    assert f"cstore add-names --name NAME {IMAGE}" in step.advice


# ── rows that are no JSON ──


@pytest.mark.parametrize("word", ["NaN", "-Infinity", "nul", "01", '"\\x"', "[1,,2]", "{]"])
@pytest.mark.parametrize("kind", ["layers", "images", "containers"])
def test_a_value_that_is_no_json(kind: str, word: str, fresh: Maker) -> None:
    """Repair ends, and keeps every record: what else the row says is believed as far as it can be read."""
    specimen = fresh("vfs")
    before = records(specimen)
    with open(specimen.records(kind), "rb") as file:
        raw = file.read()
    start = raw.index(b'"created":"')
    end = raw.index(b'"', start + 11) + 1
    with open(specimen.records(kind), "wb") as file:
        file.write(raw[:start] + b'"created":' + word.encode() + raw[end:])

    result = repair(specimen)

    assert (len(result.plans) <= 4, result.failed, serious(specimen)) == (True, (), [])
    assert {kind: set(rows) for kind, rows in records(specimen).items()} == {
        kind: set(rows) for kind, rows in before.items()
    }


@pytest.mark.parametrize("kind", ["images", "containers"])
def test_a_row_is_all_there_is(kind: str, fresh: Maker) -> None:
    """Of an image or a container without any file, a damaged row still tells the name and the layer."""
    specimen = fresh("vfs")
    store = specimen.open()
    from cstore.store.container_creation import NewContainer
    from cstore.store.image_creation import NewImage

    if kind == "images":
        store.images.create(NewImage(id="2" * 64, layer=TOP, names=("bare",)))
    else:
        store.containers.create(NewContainer(id="2" * 64, names=("bare",)))
    with open(specimen.records(kind), "rb") as file:
        raw = file.read()
    at = raw.rindex(b'"created":"')
    end = raw.index(b'"', at + 11) + 1
    with open(specimen.records(kind), "wb") as file:
        file.write(raw[:at] + b'"created":NaN' + raw[end:])

    repair(specimen)

    assert records(specimen)[kind]["2" * 64]["names"] == ["bare"]
    assert serious(specimen) == []


# ── where bytes are put meanwhile ──


def test_nothing_is_spooled_elsewhere(fresh: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member of an archive is copied out beside the store: the machine's /tmp may be small, or not be there."""
    specimen = fresh("overlay")
    archive = str(tmp_path / "image.tar")
    from tests.damage.specimen import BASE_TAR

    with open(archive, "wb") as file:
        file.write(make_tar(regular("layer.tar", BASE_TAR)))
    os.unlink(specimen.tree(BASE, "etc", "hosts"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no-such-directory"))

    result = repair(specimen, sources=(archive,))

    assert (result.failed, serious(specimen)) == ((), [])


# ── cases of version 0.1 ──


def test_a_case_of_version_0_1_is_undone(tmp_path: Path) -> None:
    """Its journal is one document: it is listed, and brings back what it took out and the records that it changed."""
    subprocess.run(["tar", "-xJf", OLD_STORE, "-C", str(tmp_path)], check=True)
    specimen = Specimen("vfs", str(tmp_path))
    place = os.path.join(specimen.graph, "cstore-quarantine")
    (name,) = (each for each in os.listdir(place) if each != "lock")
    journal = os.path.join(place, name, "case.json")
    with open(journal, encoding="utf-8") as file:
        text = file.read().replace("/tmp/store-of-version-0.1/", f"{tmp_path}/")
    with open(journal, "w", encoding="utf-8") as file:
        file.write(text)
    document: dict[str, Any] = json.loads(text)

    (case,) = cases(specimen.open().context)
    undone = undo(specimen.open().context, name)

    assert (case.flaw, case.by, len(case.entries)) == ("", "cstore repair", len(document["entries"]))
    assert (len(undone.done), undone.left) == (3, ())
    assert os.path.exists(specimen.tree(TOP, "intruder"))
    with open(specimen.records("containers"), encoding="utf-8") as file:
        assert [(row["id"], row["image"]) for row in json.load(file)] == [(CONTAINER, "9" * 64)]
    assert "records-damaged" in serious(specimen)
    assert not os.path.exists(os.path.dirname(journal))


@pytest.mark.parametrize(
    ("kind", "indent"), [("layers", None), ("images", None), ("containers", None), ("layers", 2), ("images", 2)]
)
def test_records_behind_one_that_is_broken(kind: str, indent: int | None, fresh: Maker) -> None:
    """Nothing is wrong with them, and not a field of theirs is lost: names, which nothing else tells, least of all."""
    specimen = fresh("overlay")
    if kind == "containers":
        specimen.open().containers.create(NewContainer(id="9" * 64, image=IMAGE, names=("other",)))
    with open(specimen.records(kind), encoding="utf-8") as file:
        rows = json.load(file)
    before = {row["id"]: row for row in rows[1:]}
    text = json.dumps([{**rows[0], "flags": {"odd": "ODD"}}, *rows[1:]], indent=indent, separators=(",", ":"))
    with open(specimen.records(kind), "w", encoding="utf-8") as file:
        file.write(text.replace('"ODD"', "nul"))

    plan = (result := repair(specimen)).plans[0]

    after = records(specimen)[kind]
    assert f"{len(before)} readable records, 1 recovered" in plan.steps[0].what
    assert (result.healed, {identifier: after.get(identifier) for identifier in before}) == (True, before)
    assert rows[0]["id"] in after


@pytest.mark.parametrize("field", ["digest", "big-data-digests"])
def test_an_image_with_what_is_no_digest(field: str, fresh: Maker) -> None:
    """No Go tool loads such a file. It is written without that, once, and the image keeps all else."""
    specimen = fresh("vfs")
    before = records(specimen)["images"]
    wrong = {"digest": "none", "big-data-digests": {"manifest": "none"}}[field]
    specimen.edit("images", lambda rows: [{**row, field: wrong} if row["id"] == IMAGE else row for row in rows])

    result = repair(specimen)

    after = records(specimen)["images"]
    assert (result.healed, repair(specimen).case) == (True, "")
    assert after[IMAGE]["digest"] == before[IMAGE]["digest"]
    assert {**after[IMAGE], field: None} == {**before[IMAGE], field: None}


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
@pytest.mark.parametrize(("layer", "parent"), [(MIDDLE, ""), (TOP, BASE)])
def test_a_record_with_a_wrong_parent(driver: str, layer: str, parent: str, fresh: Maker) -> None:
    """The layers are sound, and stay as they are: the record is mended, by what the image's config says."""
    specimen = fresh(driver)
    before = facts(specimen)
    specimen.edit("layers", lambda rows: [{**row, "parent": parent} if row["id"] == layer else row for row in rows])

    result = repair(specimen)

    assert ([step.action for step in result.done], result.healed) == ([Action.SET_PARENT], True)
    assert differences(before, facts(specimen)) == set()
    assert repair(specimen).case == ""


def test_a_sound_tree_is_left_alone_whatever_its_record_says(fresh: Maker) -> None:
    """No image tells who the parent is; but what the layer's archive does not have is just what the base has."""
    specimen = fresh("vfs")
    specimen.open().containers.delete(CONTAINER)
    for image in records(specimen)["images"]:
        shutil.rmtree(specimen.beside("images", image))
    specimen.edit("images", lambda _: [])
    specimen.edit("layers", lambda rows: [{**row, "parent": ""} if row["id"] == MIDDLE else row for row in rows])
    before = sorted(os.listdir(specimen.tree(MIDDLE)))

    result = repair(specimen)

    assert (result.healed, result.case) == (False, "")
    assert sorted(os.listdir(specimen.tree(MIDDLE))) == before


@pytest.mark.parametrize("kind", ["layers", "images", "containers"])
def test_an_id_that_is_no_name_of_a_file(kind: str, fresh: Maker) -> None:
    """It is found and said, like any other ID that cannot be used, and all else is checked and healed."""
    specimen = fresh("overlay")
    long = "9" * 256
    specimen.edit(kind, lambda rows: [*rows, {**rows[0], "id": long, "names": []}])
    do("lower is garbage", specimen)

    found = {finding.kind: finding.subject.id for finding in specimen.check().findings}
    repair(specimen)

    assert found["unsafe-id"] == long
    assert "overlay-lower" in found
    assert "overlay-lower" not in serious(specimen)
