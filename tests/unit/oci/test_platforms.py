"""Platforms: how they are written, and which of several images is the one."""

from __future__ import annotations

import pytest

from cstore.errors import InvalidOption
from cstore.oci.config import Platform
from cstore.oci.platforms import best, host_platform, parse_platform, show_platform

ARM7, ARM8, AMD = Platform("linux", "arm", "v7"), Platform("linux", "arm64", "v8"), Platform("linux", "amd64")


def test_a_platform_is_two_words_or_three() -> None:
    """System, architecture, and maybe a variant."""
    assert parse_platform("linux/arm/v7") == ARM7
    assert show_platform(parse_platform("linux/amd64")) == "linux/amd64"
    for text in ("linux", "linux/", "/amd64", "a/b/c/d", ""):
        with pytest.raises(InvalidOption):
            parse_platform(text)


def test_this_machine_has_a_platform() -> None:
    """Of Linux, with an architecture."""
    assert host_platform().os == "linux"
    assert host_platform().architecture


@pytest.mark.parametrize(
    ("offers", "wanted", "place"),
    [
        ([AMD, ARM8], "linux/arm64", 1),
        ([Platform("linux", "arm", "v6"), ARM7], "linux/arm/v7", 1),
        ([Platform("linux", "arm"), ARM7], "linux/arm/v7", 1),
        ([AMD, Platform("linux", "arm")], "linux/arm/v7", 1),
        ([Platform("windows", "amd64"), AMD], "linux/amd64", 1),
        ([None, AMD], "linux/amd64", 1),
        ([AMD], "linux/s390x", -1),
        ([], "linux/amd64", -1),
    ],
)
def test_the_best_offer_is_the_exact_one(offers: list[Platform | None], wanted: str, place: int) -> None:
    """A variant that is left open fits any; another system or architecture never does."""
    assert best(offers, parse_platform(wanted)) == place
