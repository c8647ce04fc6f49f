"""Select the image for a platform among several (docker 18.2)."""

from __future__ import annotations

import os

from cstore.errors import UsageMistake
from cstore.oci.config import Platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", "v8"),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv8l": ("arm", "v7"),
    "ppc64le": ("ppc64le", ""),
    "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""),
    "loongarch64": ("loong64", ""),
    "mips64": ("mips64", ""),
}
"""The kernel's name of a machine → architecture and variant in images."""

_MOST_PARTS = 3


def host_platform() -> Platform:
    """Return the platform of this machine."""
    machine = os.uname().machine
    architecture, variant = _ARCHITECTURES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def parse_platform(text: str) -> Platform:
    """Read `OS/ARCHITECTURE[/VARIANT]`.

    Raises:
        UsageMistake: it is not of that form.
    """
    parts = text.split("/")
    if not 2 <= len(parts) <= _MOST_PARTS or not all(parts):
        raise UsageMistake(
            f"{text!r} is not a platform", hint="write it as OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT: linux/arm64"
        )
    os_name, architecture, variant = (*parts, "")[:_MOST_PARTS]
    return Platform(os_name, architecture, variant)


def wanted_platform(text: str) -> Platform:
    """Return the platform in `text`, or that of this machine for "".

    Raises:
        UsageMistake: it is not a platform.
    """
    return parse_platform(text) if text else host_platform()


def show_platform(platform: Platform | None) -> str:
    """Return a platform in the form `OS/ARCHITECTURE[/VARIANT]`."""
    if platform is None:
        return "unknown"
    return "/".join(part for part in (platform.os, platform.architecture, platform.variant) if part)


def suits(offered: Platform, wanted: Platform) -> bool:
    """Return whether images for `offered` run on `wanted`. Missing fields of `offered` and missing variants match."""
    if (offered.os or wanted.os, offered.architecture or wanted.architecture) != (wanted.os, wanted.architecture):
        return False
    return not offered.variant or not wanted.variant or offered.variant == wanted.variant


def best(offers: Sequence[Platform | None], wanted: Platform) -> int:
    """Return the index of the best offer: the exact variant is preferred to a missing one. -1 if none suits."""
    fitting = [place for place, offer in enumerate(offers) if offer is not None and suits(offer, wanted)]
    exact = [place for place in fitting if (offer := offers[place]) is not None and offer.variant == wanted.variant]
    return (exact or fitting or [-1])[0]
