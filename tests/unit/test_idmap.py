"""Maps of IDs put into one another."""

from __future__ import annotations

import pytest

from cstore.errors import IDNotMapped, InvalidIDMap
from cstore.idmap import IDENTITY, IDMap, check_possible, parse_ranges


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0:100000:0", "size"),
        ("0:4294967290:100", "last ID"),
        ("4294967290:0:100", "last ID"),
        ("0:4294967290:6", "last ID"),
        ("0:1:10:5:100:10", "overlaps"),
        ("0:1:10:100:5:10", "overlaps"),
        (":".join(f"{number}:{number}:1" for number in range(341)), "341 ranges"),
    ],
)
def test_a_map_that_no_kernel_takes_is_refused(text: str, reason: str) -> None:
    """Of users and of groups; the sentence says what is wrong with it."""
    ranges = parse_ranges(text)
    for impossible in (IDMap(uids=ranges), IDMap(gids=ranges)):
        with pytest.raises(InvalidIDMap, match=reason):
            check_possible(impossible)


@pytest.mark.parametrize(
    "text",
    ["", "0:0:4294967295", "0:4294967290:5", "5:1:10:15:11:10", ":".join(f"{n}:{n}:1" for n in range(340))],
)
def test_a_map_at_the_kernels_limits_is_taken(text: str) -> None:
    """No more is refused than the kernel would."""
    check_possible(of(text))
