"""cstore repair: the plan, the question, what is said, and the way back."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine, Told
    from tests.conftest import StoreRoots

ARCHIVE = make_tar(regular("file", b"contents" * 100))


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """The layer's archive as a file."""
    path = tmp_path / "layer.tar"
    path.write_bytes(ARCHIVE)
    return str(path)


@pytest.fixture
def store(cli: CommandLine, archive: str) -> CommandLine:
    """A store with one layer."""
    cli("import-layer", "-i", "base", "-n", "name", "-f", archive).ok()
    return cli


@pytest.fixture
def emptied(store: CommandLine, store_roots: StoreRoots) -> CommandLine:
    """The same with its records lost."""
    os.truncate(store_roots.records, 0)
    return store


@pytest.fixture
def cut(store: CommandLine, store_roots: StoreRoots) -> CommandLine:
    """The same with a file that is cut, of which there is no copy."""
    os.truncate(os.path.join(store_roots.tree("base"), "file"), 5)
    return store


def test_a_sound_store(store: CommandLine) -> None:
    """There is nothing to heal, and nothing is asked."""
    assert store("repair").ok().lines == ["nothing needs repair"]
    assert store("repair", "--list").ok().lines == []


def test_a_plan(emptied: CommandLine, store_roots: StoreRoots) -> None:
    """What will be done, why, and by which evidence; and nothing is done."""
    told = emptied("repair", "--dry-run")

    assert told.code == 1
    assert told.lines[0].startswith(f"1. rebuild {store_roots.records}: ")
    assert [line.partition(":")[0] for line in told.lines[1:]] == ["\tbecause", "\tevidence", "to be planned"]
    assert os.path.getsize(store_roots.records) == 0


def test_alike_steps_are_told_together(
    store: CommandLine, store_roots: StoreRoots, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As text anywhere, and on a terminal: one line for all that do the same, their count, and the first three."""
    for number in range(4):
        store("import-layer", "-i", f"l{number}", "-f", archive).ok()
    for layer in ("base", "l0", "l1", "l2", "l3"):
        os.unlink(os.path.join(store_roots.graph, "vfs-layers", f"{layer}.tar-split.gz"))
    told = store("repair", "--dry-run", "--format=text")

    assert told.code == 1
    assert told.lines[:5] == [
        "1-5: rebuild layers, and move the damaged ones into quarantine (5 steps)",
        *(f"    layer {layer}" for layer in ("base", "l0", "l1")),
        "    and 2 more",
    ]
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    monkeypatch.setenv("TERM", "dumb")
    shown = store("repair", "--dry-run").lines
    assert shown[0].split() == ["STEP", "WHAT"]
    assert sum("rebuild layers" in line for line in shown) == 1
    assert len(store("repair", "--dry-run", "--format=json").json["plans"][0]["steps"]) == 5


def test_a_plan_in_json(emptied: CommandLine) -> None:
    """The same as a document."""
    document = emptied("repair", "--dry-run", "--json").json

    (plan,) = document["plans"]
    assert [step["subject"]["kind"] for step in plan["steps"]] == ["store"]
    assert [(step["action"], step["parts"]) for step in plan["steps"]] == [("write-record-file", [])]
    assert plan["complete"] is False
    assert (plan["unhealable"], document["done"], document["case"], document["healed"]) == ([], [], "", False)


def test_nobody_to_ask(emptied: CommandLine, store_roots: StoreRoots) -> None:
    """Without a terminal --yes has to be said; the error says so, and nothing is done."""
    told = emptied("repair")
    assert (told.code, "--yes" in told.err) == (1, True)
    assert emptied("repair", "--json").error["kind"] == "NotAgreed"
    assert os.path.getsize(store_roots.records) == 0


def test_healed_and_undone(emptied: CommandLine, store_roots: StoreRoots) -> None:
    """The plan is shown before it is done; each step is told, and how to take it back, which works."""
    told = emptied("repair", "--yes").ok()
    case = emptied("repair", "--list", "--json").ok().json[0]["id"]

    assert told.lines[0].startswith("1. rebuild ")
    assert [line.split()[1] for line in told.lines if line.startswith("done: ")] == ["rebuild"]
    assert told.lines[-1] == f"to undo: cstore repair --undo {case}"
    assert emptied("layers", "-q").ok().lines == ["base"]
    assert emptied("repair", "--list").ok().lines[0] == case
    emptied("repair", "--undo", case).ok()
    assert os.path.getsize(store_roots.records) == 0
    assert emptied("repair", "--list").ok().lines == []
    assert emptied("repair", "--undo", case).code == 1


def test_in_json(emptied: CommandLine) -> None:
    """What was done, what is left, and the case; undoing too."""
    document = emptied("repair", "--yes", "--json").ok().json
    assert (len(document["done"]), document["failed"], document["left"]) == (1, [], [])
    assert document["healed"] is True
    undone = emptied("repair", "--undo", document["case"], "--json").ok().json
    assert (undone["case"], len(undone["done"]), undone["left"]) == (document["case"], 1, [])


def test_what_cannot_be_healed(cut: CommandLine) -> None:
    """It is told, with the reason and what helps; the exit status says that something is left."""
    told = cut("repair", "--yes")

    assert told.code == 1
    assert told.lines[0] == "cannot be healed: layer base"
    assert "it needs the archive sha256:" in told.out
    assert told.lines[-1] == "nothing could be healed"


def test_a_source(cut: CommandLine, archive: str) -> None:
    """It heals; one that does not fit is named; one that is not there is an error."""
    assert "the store is sound" in cut("repair", "--yes", "--from", archive).ok().out
    assert cut("check").code == 0
    assert cut("repair", "--yes", "--from", "/no/such/place").code == 1


def test_a_source_that_does_not_fit(cut: CommandLine, tmp_path: Path) -> None:
    """It is named as one that was not used, with the reason."""
    wrong = tmp_path / "wrong.tar"
    wrong.write_bytes(make_tar(regular("file", b"other")))

    told = cut("repair", "--yes", "--from", str(wrong))

    assert told.code == 1
    assert f"not used: {wrong}" in told.lines


@pytest.mark.parametrize("word", ["name", "=name", "id="])
def test_a_name_for_nothing(word: str, store: CommandLine) -> None:
    """--name needs an ID and a name."""
    assert store("repair", "--yes", "--name", word).code == 2


def _on_a_terminal(roots: StoreRoots, config: str, answer: str) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cstore", *roots.options, "repair"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "CONTAINERS_STORAGE_CONF": config}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    os.write(ours, answer.encode())
    shown = b""
    while True:
        try:
            block = os.read(ours, 1 << 16)
        except OSError:
            break
        if not block:
            break
        shown += block
    os.close(ours)
    return process.wait(timeout=60), shown.decode()


def test_a_person_is_asked(emptied: CommandLine, store_roots: StoreRoots, private_config: str) -> None:
    """The plan is shown and the question put; anything but yes leaves all as it is."""
    code, shown = _on_a_terminal(store_roots, private_config, "n\n")
    assert (code, "Apply this step? [y/N]" in shown) == (1, True)
    assert os.path.getsize(store_roots.records) == 0

    code, shown = _on_a_terminal(store_roots, private_config, "y\n")
    assert (code, "the store is sound" in shown) == (0, True)


def test_old_cases_are_thrown_away(emptied: CommandLine) -> None:
    """Only by gc, only when asked, and only those that are old enough."""
    emptied("repair", "--yes").ok()

    def cases() -> Told:
        return emptied("repair", "--list", "--json").ok()

    emptied("gc").ok()
    emptied("gc", "--quarantine", "1h").ok()
    assert len(cases().json) == 1
    emptied("gc", "--quarantine", "0s").ok()
    assert cases().json == []


def test_what_no_record_can_be_made_of_is_told(store: CommandLine, store_roots: StoreRoots, archive: str) -> None:
    """Nothing in the healed store tells of these containers any more; the exit status and the last lines do."""
    store("create-image", "-i", "image", "base").ok()
    for box in ("box", "other"):
        store("create-container", "-i", box, "image").ok()
        store("set-container-data", "-f", archive, box, "item").ok()
    os.truncate(os.path.join(store_roots.graph, "vfs-containers", "containers.json"), 0)

    told = store("repair", "--yes")

    assert told.code == 1
    assert "cannot be healed: container box" in told.lines
    assert "2 records could not be rebuilt" in told.out
    assert store("layers", "-q").lines[0] == "base"
