"""Each damage is found, with the right severity, and looking for it changes nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.check import KINDS
from cstore.check.report import EXPECTED
from tests.damage.damages import DAMAGES, Damage, cases, pairs
from tests.damage.specimen import Specimen, look

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_a_sound_store_is_clean(driver: str, fresh: Callable[[str], Specimen]) -> None:
    """There is nothing to be found in what cstore makes, and finding that changes nothing."""
    specimen = fresh(driver)
    before = look(specimen.graph, specimen.run)

    report = specimen.check()

    assert report.findings == ()
    assert set(report.examined) == {"a" * 64, "b" * 64, "c" * 64}
    assert look(specimen.graph, specimen.run) == before


@pytest.mark.parametrize(("driver", "damage"), cases(), ids=lambda case: case if isinstance(case, str) else case.name)
def test_damage_is_found_and_left_as_it_is(driver: str, damage: Damage, fresh: Callable[[str], Specimen]) -> None:
    """The finding is of the kind, severity and subject that the table says, and nothing was touched."""
    specimen = fresh(driver)
    damage.do(specimen)
    before = look(specimen.graph, specimen.run)

    report = specimen.check()

    found = {(finding.kind, finding.severity.value) for finding in report.findings}
    assert set(damage.kinds) <= found, [finding.document() for finding in report.findings]
    first = [finding for finding in report.findings if finding.kind == damage.kinds[0][0]]
    assert not damage.about or damage.about in {finding.subject.name for finding in first}
    assert report.clean == all(severity == "cosmetic" or kind in EXPECTED for kind, severity in damage.kinds)
    assert look(specimen.graph, specimen.run) == before


@pytest.mark.parametrize(
    ("driver", "one", "other"), pairs(), ids=lambda case: case if isinstance(case, str) else case.name
)
def test_two_damages_at_once(driver: str, one: Damage, other: Damage, fresh: Callable[[str], Specimen]) -> None:
    """Whatever comes together, a check comes to its end, finds something, and changes nothing."""
    specimen = fresh(driver)
    one.do(specimen)
    try:
        other.do(specimen)
    except (OSError, ValueError, TypeError, KeyError, StopIteration, AttributeError):
        pytest.skip("the first has left nothing for the second")
    before = look(specimen.graph, specimen.run)

    report = specimen.check()

    serious = any(severity != "cosmetic" for damage in (one, other) for _, severity in damage.kinds)
    assert report.clean != serious
    assert look(specimen.graph, specimen.run) == before


def test_every_kind_has_its_damage() -> None:
    """What can be found is in the table, except for what takes a failing disk, one of another kind, or no damage."""
    elsewhere = {"layer-unreadable", "btrfs-subvolume", "layer-view"}
    assert set(KINDS) - {kind for damage in DAMAGES for kind, _ in damage.kinds} == elsewhere
