"""Durations as Go reads them."""

from __future__ import annotations

import pytest

from cstore.check.durations import parse_duration
from cstore.errors import InvalidDuration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("24h", 86400), ("1h30m", 5400), ("1.5h", 5400), ("300ms", 0.3), (".5s", 0.5), ("-2m", -120),
        ("+1s", 1), ("5us", 5e-6), ("5µs", 5e-6), ("7ns", 7e-9), ("1.s", 1),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    """All units, several of them, fractions, signs."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("bogus", 'time: invalid duration "bogus"'),
        ("5", 'time: missing unit in duration "5"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
        ("", 'time: invalid duration ""'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
    ],
)
def test_no_durations(text: str, peer: str) -> None:
    """The peer's words are kept for those who compare them."""
    with pytest.raises(InvalidDuration) as caught:
        parse_duration(text)
    assert caught.value.go_text == peer
    assert caught.value.exit_code == 2
