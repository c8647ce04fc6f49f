"""The table of kinds of findings, and the finding itself."""

from __future__ import annotations

from cstore.check.findings import KINDS, Remedy, Severity, of_layer, of_store


def test_the_table_is_complete() -> None:
    """Every kind is a plain word with a severity, a meaning and something that helps."""
    for word, kind in KINDS.items():
        assert word == kind.word
        assert word.replace("-", "").isalpha()
        assert isinstance(kind.severity, Severity)
        assert kind.meaning
        assert kind.remedy.sentence


def test_a_finding_as_json() -> None:
    """Everything a program needs, in types that JSON has; a remedy of its own goes before the kind's."""
    finding = of_layer("file-missing", "l1", "'/x' is missing", part="x", path="x", go_text="layer l1: -/x")

    document = finding.document()
    assert document["subject"] == {"kind": "layer", "id": "l1"}
    assert document["severity"] == "data"
    assert document["evidence"] == {"part": "x", "path": "x"}
    assert document["remedy"] == KINDS["file-missing"].remedy.as_dict()
    assert finding.with_(advice=Remedy("wait")).document()["remedy"]["sentence"] == "wait"


def test_the_same_finding_again() -> None:
    """Kind, subject and part make it the same, whatever else was measured."""
    one = of_store("leftover-data", "/x", "it is left over", bytes=1)

    assert one.key == of_store("leftover-data", "/x", "it is left over", bytes=2).key
    assert one.key != of_store("leftover-data", "/y", "it is left over", bytes=1).key
