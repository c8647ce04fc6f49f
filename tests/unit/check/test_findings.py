"""The table of kinds, and the report that findings become."""

from __future__ import annotations

from cstore.check.findings import KINDS, Finding, Remedy, Severity, Subject, of_image, of_layer, of_store
from cstore.check.report import Report, in_order


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


def test_images_repeat_their_layers_and_containers_their_image() -> None:
    """As the peer prints it; what it does not know is said in our words, and cosmetics are left out."""
    report = Report(
        findings=in_order(
            [
                of_image("image-layer-missing", "i1", "its layer l2 has no record", go_text="image i1: layer l2: …"),
                of_layer("overlay-link", "l1", "link is missing"),
                of_image("image-without-data", "i2", "it has neither a manifest nor a config"),
                of_store("lock-missing", "/g/x.lock", "it is missing"),
            ]
        ),
        layers_of_images={"i1": ("l2", "l1"), "i2": ("l3",)},
        images_of_containers={"c1": "i1", "c2": "i2"},
    )

    groups = dict(report.groups())
    of_l1, of_i1 = "layer l1: link is missing", "image i1: layer l2: …"
    assert groups["Layers"] == {"l1": [of_l1]}
    assert groups["Images"] == {"i1": [of_i1, of_l1]}
    assert groups["Containers"] == {"c1": [of_i1, of_l1]}
    assert report.others == {"/g/x.lock": ["it is missing"]}


def test_read_only_items_have_groups_of_their_own() -> None:
    """What belongs to an additional store is not mixed with the store's own."""
    foreign = Finding("tar-split-missing", Subject("layer", "l1"), "it is missing", read_only=True)
    report = Report(findings=(foreign,), layers_of_images={"i1": ("l1",)}, read_only=frozenset({("layer", "l1")}))

    groups = dict(report.groups())
    assert groups["ROLayers"] == {"l1": ["read-only layer l1: it is missing"]}
    assert groups["Layers"] == {}
    assert list(groups["Images"]) == ["i1"]


def test_only_cosmetics_are_clean() -> None:
    """They are told, and do not count; nor does an image without a manifest, which create-image makes."""
    cosmetic = of_image("image-without-data", "i1", "it has neither a manifest nor a config")

    assert Report(findings=(cosmetic,)).clean
    assert not Report(findings=(of_layer("file-time", "l1", "x"),)).clean
