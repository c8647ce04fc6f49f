"""check: groups, JSON, exit status, subsets, time limits."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cstore.check import KINDS, Report, Severity
from cstore.check.findings import of_layer
from cstore.check.report import EXPECTED
from cstore.cli.output import findings
from tests.builders import flip_byte_of, make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GROUPS = ("Layers", "ROLayers", "Images", "ROImages", "Containers")


@pytest.fixture
def filled(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """Two layers, one above the other, and an image on top."""
    for number, words in enumerate((["-i", "l1"], ["-i", "l2", "l1"])):
        archive = tmp_path / f"{number}.tar"
        archive.write_bytes(make_tar(regular(f"file{number}", b"contents" * 100)))
        cli("import-layer", "-f", str(archive), *words).ok()
    cli("create-image", "-i", "i1", "-n", "one", "l2").ok()
    return cli


def _harm(roots: StoreRoots, layer: str = "l1", name: str = "file0") -> None:
    flip_byte_of(os.path.join(roots.tree(layer), name))


def test_a_clean_store_says_nothing(filled: CommandLine) -> None:
    """No line, no JSON entry, exit status 0."""
    told = filled("check")

    assert (told.code, told.out, told.err) == (0, "", "")
    document = filled("check", "--json").ok().json
    assert [document[key] for key in GROUPS] == [{}] * 5
    assert [finding["kind"] for finding in document["Findings"]] == ["image-without-data"]


def test_no_store_is_clean_and_stays_away(cli: CommandLine, store_roots: StoreRoots) -> None:
    """There is nothing to be found where nothing is, and nothing is made there."""
    assert cli("check").code == 0
    assert not os.path.exists(store_roots.graph)


def test_findings_in_the_peers_groups(filled: CommandLine, store_roots: StoreRoots) -> None:
    """The Go tool's lines, each once; the counts on standard error; exit status 1."""
    os.unlink(os.path.join(store_roots.graph, "vfs-layers", "l2.tar-split.gz"))
    told = filled("check")

    line = " layer l2: layer content incorrect digest"
    assert told.code == 1
    assert told.lines == ["layer l2:", line, "image i1:"]
    assert filled("check", "--json").json["Images"] == {"i1": [line.strip()]}
    assert told.err == (
        "1 layer errors, 0 read-only layer errors, 1 image errors, 0 read-only image errors, 0 container errors\n"
        "cstore: 2 findings (1 export, 1 leftover); next: cstore repair\n"
    )


def test_a_changed_file_in_the_peers_words(filled: CommandLine, store_roots: StoreRoots) -> None:
    """As the peer has it: once for the trailer, once for the file."""
    _harm(store_roots)

    words = 'file integrity checksum failed for "file0"'
    assert filled("check", "--layer", "l1").lines == [
        "layer l1:", f" layer l1: consume any trailer after the EOF marker: {words}", f" layer l1: {words}",
    ]  # fmt: skip


def test_alike_findings_are_told_together(
    filled: CommandLine, store_roots: StoreRoots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As text anywhere, and on a terminal: one line for all that are alike, their count, and the first three paths."""
    for number in range(5):
        with open(os.path.join(store_roots.tree("l1"), f"stray{number}"), "w", encoding="utf-8"):
            pass
    _harm(store_roots)
    told = filled("check", "--format", "text", "--layer", "l1")

    assert told.code == 1
    assert told.lines == [
        "1 data: 'file0' has other contents",
        "    layer l1",
        f"    {advice_for('file-changed')}",
        f"5 data: {KINDS['file-unexpected'].meaning}",
        *(f"    l1:/stray{number}" for number in range(3)),
        "    and 2 more",
        f"    {advice_for('file-unexpected')}",
        "6 findings (6 data); the contents of 1 layer was read",
        "next: cstore repair --dry-run",
    ]
    assert told.err == ""
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "100")
    shown = filled("check", "--layer", "l1").lines
    assert [line.split()[:2] for line in shown[:1]] == [["COUNT", "SEVERITY"]]
    assert [line.strip() for line in shown if "stray" in line][2:] == ["l1:/stray2"]
    assert [line.strip() for line in shown if "more" in line] == ["and 2 more"]
    assert filled("check", "--format", "json", "--layer", "l1").json == filled("check", "--json", "--layer", "l1").json
    assert filled("check", "--format", "xml").code == 2


def advice_for(kind: str) -> str:
    """What a kind of finding says that helps."""
    remedy = KINDS[kind].remedy
    return f"{remedy.sentence}: {remedy.command}"


def test_a_severity_has_one_meaning() -> None:
    """The table of the manual and the documents, and what check and repair make of each."""
    with open(os.path.join(ROOT, "docs", "semantics.md"), encoding="utf-8") as file:
        rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in file if line.startswith("| `")]
    table = {row[0].strip("`"): row[1:] for row in rows if row[0].strip("`") in {each.value for each in Severity}}

    assert list(table) == [each.value for each in Severity]
    for severity in Severity:
        kind = next(kind for kind, row in KINDS.items() if row.severity is severity and kind not in EXPECTED)
        report = Report((of_layer(kind, "l1", "wrong"),))
        meaning, checked, repaired, piped = table[severity.value]
        assert (meaning, checked) == (severity.meaning, "0" if report.clean else "1")
        assert repaired == ("1 if it remains" if severity.is_serious else "0")
        assert piped == ("yes" if list(findings.plain(report)) else "no")


def test_json_has_text_and_types(filled: CommandLine, store_roots: StoreRoots) -> None:
    """The peer's keys hold the lines; the findings come with severity, subject, evidence and remedy."""
    _harm(store_roots)
    told = filled("check", "-j", "--layer", "l1")

    assert told.code == 1
    assert told.json["Layers"]["l1"][1] == 'layer l1: file integrity checksum failed for "file0"'
    (finding,) = told.json["Findings"]
    assert (finding["kind"], finding["severity"]) == ("file-changed", "data")
    assert finding["subject"] == {"kind": "layer", "id": "l1"}
    assert finding["evidence"]["path"] == "file0"
    assert finding["remedy"]["command"].startswith("cstore repair")


def test_quick_leaves_directories_alone(filled: CommandLine, store_roots: StoreRoots) -> None:
    """A stray file is found by the full check only; a changed one by both."""
    with open(os.path.join(store_roots.tree("l1"), "stray"), "w", encoding="utf-8"):
        pass

    assert filled("check").code == 1
    assert filled("check", "--quick").code == 0
    _harm(store_roots)
    assert filled("check", "-q").code == 1


def test_subsets(filled: CommandLine, store_roots: StoreRoots) -> None:
    """A layer alone; an image with all its layers."""
    _harm(store_roots, "l2", "file1")

    assert filled("check", "--layer", "l1").code == 0
    assert filled("check", "--layer", "l2").code == 1
    assert filled("check", "--image", "one").code == 1


def test_could_not_check(filled: CommandLine) -> None:
    """What is not there cannot be checked: exit status 3, which is neither clean nor damaged."""
    told = filled("check", "--image", "nobody")

    assert (told.code, told.out) == (3, "")
    assert "could not be checked" in told.err
    assert filled("check", "--json", "--layer", "x").error["kind"] == "NotChecked"


@pytest.mark.parametrize("text", ["bogus", "5", "5d", "-", "1h x"])
def test_durations_are_gos(filled: CommandLine, text: str) -> None:
    """A duration that is none is a mistake of usage."""
    assert filled("check", f"--max={text}").code == 2


def test_unused_layers_by_age(filled: CommandLine) -> None:
    """A layer that nothing uses is a finding once it is old enough."""
    filled("create-layer", "-i", "idle").ok()

    assert filled("check").code == 0
    told = filled("check", "-m", "0")
    assert told.lines == ["layer idle:", " layer idle: layer not referenced by any images or containers"]
    assert filled("check", "--max", "-1h").code == 1


def test_a_time_limit_goes_on_next_time(
    filled: CommandLine, store_roots: StoreRoots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without time nothing is read, which is said; what was read is remembered with the user, not in the store."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    told = filled("check", "--max-duration", "0s")
    assert (told.code, "no time for 2 layers" in told.err) == (0, True)
    assert filled("check", "--max-duration", "1h").ok().err == ""
    (name,) = os.listdir(tmp_path / "state" / "cstore")
    remembered = json.loads((tmp_path / "state" / "cstore" / name).read_text())
    assert all(when > 0 for when in remembered["layers"].values())
    _harm(store_roots)
    assert filled("check", "--max-duration", "1h").code == 1
    damaged = json.loads((tmp_path / "state" / "cstore" / name).read_text())["layers"]
    assert min(damaged, key=damaged.__getitem__).startswith("l1 ")


def test_a_damaged_store_can_be_checked(filled: CommandLine, store_roots: StoreRoots) -> None:
    """A record file that cannot be read is a finding, told once."""
    with open(store_roots.records, "w", encoding="utf-8"):
        pass
    told = filled("check")

    assert told.code == 1
    assert f"store {store_roots.records}:" in told.lines
    assert told.err.count("\n") == 2
