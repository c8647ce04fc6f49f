"""The page of a report made of facts: it stays small in a large store, and draws what should not be."""

from __future__ import annotations

import re

import pytest

from cstore.cli.output.page.document import page
from cstore.report import Block, ImageFacts, LayerFacts, Report, Slice

NOW = 1.7e9


def report(images: int, *, layers: tuple[LayerFacts, ...] = (), deep: int = 12) -> Report:
    """A store of images with as many layers each, whose names and commands are long."""
    facts = tuple(
        ImageFacts(
            id=f"{number:064x}",
            names=(f"registry.example.com/some/team/project/image-{number}:1.0", "n" * 100_000),
            size=1000 * number,
            unique=1000,
            shared=1000 * number - 1000,
            created=NOW - 3600.0 * number,
            containers=tuple(f"container-{each}" for each in range(number % 50)),
            slices=tuple(
                Slice(f"{number * 1000 + each:064x}", 50_000, "RUN " + "x" * 5000, 10, 20) for each in range(deep)
            ),
        )
        for number in range(images)
    )
    blocks = tuple(Block("shared", "layer", each.id, (), 100) for each in facts)
    total = sum(block.size for block in blocks)
    notes = ("note",) * 900
    return Report("/graph", "overlay", NOW, False, None, total, blocks, facts, 3, layers, None, notes, (), ())


@pytest.mark.parametrize(("images", "deep", "most"), [(500, 30, 3_000_000), (5000, 12, 7_000_000)])
def test_the_page_of_a_large_store_stays_small(images: int, deep: int, most: int) -> None:
    """What is small or long is cut or left out, and the page says so."""
    made = page(report(images, deep=deep), "1.0")

    assert len(made.encode()) < most
    assert "left out" in made
    assert "850 more notes" in made
    assert f"image-{images - 1}:1.0" in made
    targets = set(re.findall('id="(w[0-9]+)"', made))
    assert targets == set(re.findall('href="#(w[0-9]+)"', made))


def test_layers_that_are_their_own_ancestors_are_drawn() -> None:
    """A ring has no root; each of its layers is in the page once."""
    ring = tuple(LayerFacts(f"ring-{one}", f"ring-{other}", (), 5, 1, 0) for one, other in ((1, 2), (2, 3), (3, 1)))
    lone = LayerFacts("lone", "", ("its-name",), -1, 0, 0)

    made = page(report(0, layers=(*ring, lone)), "1.0")

    for text in (*(f"ring-{each} 5 B, 1 image" for each in (1, 2, 3)), "its-name not recorded, not used"):
        assert made.count(text) == 1
