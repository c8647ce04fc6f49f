"""The report that findings become: their order, the Go tool's groups, and what the exit status counts."""

from __future__ import annotations

import itertools

from cstore.check.findings import Finding, Subject, of_container, of_image, of_layer, of_store
from cstore.check.report import Report, in_order, lines_of


def test_layers_come_first_and_the_worst_of_each_item_before_the_rest() -> None:
    """Then images, containers, and the store itself; those of additional stores behind the store's own."""
    ordered = [
        of_layer("file-missing", "a", "x", part="1"),
        of_layer("file-missing", "a", "x", part="2"),
        of_layer("file-time", "a", "x"),
        of_layer("file-missing", "b", "x"),
        of_layer("file-missing", "a", "x", read_only=True),
        of_image("image-layer-missing", "a", "x"),
        of_container("container-image-missing", "a", "x"),
        of_store("lock-missing", "/a", "x"),
    ]

    for order in itertools.islice(itertools.permutations(ordered), 0, None, 1009):
        assert in_order(list(order)) == tuple(ordered)


def test_images_repeat_their_layers_and_containers_their_image() -> None:
    """As the Go tool prints it; what it does not know is said in our words, and cosmetics are left out."""
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


def test_a_line_of_the_go_tool_stands_as_it_is() -> None:
    """What it does not find is said in the same form: whose it is, and what is wrong."""
    assert lines_of(of_layer("file-missing", "l", "x", go_text="one\ntwo")) == ["one", "two"]
    assert lines_of(of_layer("file-missing", "l", "gone", read_only=True)) == ["read-only layer l: gone"]
    assert lines_of(of_store("lock-missing", "/x", "gone")) == ["store /x: gone"]
