"""Maps of IDs put into one another."""

from __future__ import annotations

import pytest

from cstore.errors import IDNotMapped
from cstore.idmap import IDENTITY, IDMap, parse_ranges


def of(text: str) -> IDMap:
    return IDMap(parse_ranges(text), parse_ranges(text))


def test_a_map_is_looked_at_from_outside_its_namespace() -> None:
    """Each ID goes through both maps; one that the outer map does not cover is covered no more."""
    inner, outer = of("0:1:10"), of("0:1000:1:1:100000:5")
    seen = inner.within(outer)

    assert [seen.to_host(number, number)[0] for number in range(5)] == [100000, 100001, 100002, 100003, 100004]
    with pytest.raises(IDNotMapped):
        seen.to_host(5, 5)


def test_no_map_changes_nothing() -> None:
    """Where there is no map, the other one is all there is."""
    assert of("0:5:10").within(IDENTITY) == of("0:5:10")
    assert IDENTITY.within(of("0:5:10")) == of("0:5:10")
