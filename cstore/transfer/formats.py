"""Which of the formats an archive is in, and what it holds of what is wanted."""

from __future__ import annotations

from contextlib import suppress

from cstore.errors import CstoreError, ImageArchiveError, UsageMistake
from cstore.oci.names import DOCKER, LOCAL, parse_name
from cstore.oci.platforms import show_platform, suits, wanted_platform
from cstore.transfer import docker_archive, oci_layout, v1_archive
from cstore.transfer.oci_layout import Choice
from cstore.transfer.plan import Naming
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.transfer.members import Members
    from cstore.transfer.plan import ImagePlan

DOCKER_FORMAT, OCI_FORMAT = "docker", "oci"
_FORMATS = ("", DOCKER_FORMAT, OCI_FORMAT)
LONGEST_CHAIN = 500
"""Layers in an image: what the drivers can stack."""


class Wanted(Value):
    """Which images of an archive are wanted, and how it is to be read.

    Attributes:
        format: "docker" or "oci" for an archive that is both; "" takes Docker's documents where there are any.
        names: only images of these names; all, if none is given.
        platform: OS/ARCHITECTURE[/VARIANT]; "" takes the one for this machine from an index.
        all_platforms: every image of an index.
        podman_names: a name without a domain is completed as Podman does, with `localhost`, and not as Docker does.
        tag: the name that the one image gets instead of its own.
    """

    format: str = ""
    names: tuple[str, ...] = ()
    platform: str = ""
    all_platforms: bool = False
    podman_names: bool = False
    tag: str = ""


def read_plans(members: Members, wanted: Wanted, warnings: list[str], *, complete: bool = True) -> list[ImagePlan]:
    """Choose among the images of an archive, and read the documents of those. `complete`: all its members are there.

    Raises:
        ArchiveError: the archive is in no known format, or a document is not what it should be.
        UsageMistake: it does not hold what is wanted.
    """
    home = LOCAL if wanted.podman_names else DOCKER
    naming = Naming(wanted.names, home, bool(wanted.tag))
    plans = _read(members, wanted, naming, warnings, complete=complete)
    if not plans and wanted.names:
        with suppress(CstoreError):  # they are read to say what there is
            plans = _read(members, wanted, naming.with_(wanted=(), forgiving=True), [], complete=False)
    if not plans and not wanted.names:
        raise ImageArchiveError(members.shown, "it contains no image")
    plans = _named(plans, naming, members.shown)
    for plan in plans:
        _judge(plan, warnings)
    return plans


def _read(members: Members, wanted: Wanted, naming: Naming, warnings: list[str], *, complete: bool) -> list[ImagePlan]:
    format_ = _format_of(members, wanted)
    if format_ == OCI_FORMAT:
        choice = Choice(wanted_platform(wanted.platform), wanted.all_platforms)
        return oci_layout.read_plans(members, choice, naming.with_(home=LOCAL), warnings, complete=complete)
    reader = docker_archive if format_ == DOCKER_FORMAT else v1_archive
    return _for_platform(reader.read_plans(members, naming), wanted, members.shown)


def check(wanted: Wanted) -> None:
    """Find mistakes in a request before anything is read.

    Raises:
        UsageMistake, InvalidName: there is one.
    """
    if wanted.format not in _FORMATS:
        raise UsageMistake(f"there is no format {wanted.format!r}", hint="choose docker or oci")
    if wanted.platform and wanted.all_platforms:
        raise UsageMistake("one platform and all platforms cannot both be wanted", hint="omit --platform or --all")
    for name in wanted.names:
        parse_name(name)
    wanted_platform(wanted.platform)


def _format_of(members: Members, wanted: Wanted) -> str:
    if wanted.format:
        return wanted.format
    if members.find(docker_archive.MANIFEST):
        return DOCKER_FORMAT
    if members.find(oci_layout.INDEX):
        return OCI_FORMAT
    if members.find(v1_archive.REPOSITORIES):
        return "v1"
    known = f"{docker_archive.MANIFEST!r}, {oci_layout.INDEX!r} or {v1_archive.REPOSITORIES!r}"
    raise ImageArchiveError(
        members.shown,
        f"it is not an archive of images: there is no {known} in it",
        hint="cstore import creates an image from a root file system's tar, cstore import-layer a layer",
    )


def _for_platform(plans: list[ImagePlan], wanted: Wanted, shown: str) -> list[ImagePlan]:
    if not wanted.platform:
        return plans
    platform = wanted_platform(wanted.platform)
    found = [plan for plan in plans if suits(plan.config.platform, platform)]
    if not found:
        offered = ", ".join(sorted({show_platform(plan.config.platform) for plan in plans}))
        raise ImageArchiveError(shown, f"it has no image for {wanted.platform}", hint=f"it has: {offered}")
    return found


def _named(plans: list[ImagePlan], naming: Naming, shown: str) -> list[ImagePlan]:
    """Keep the images that have one of the wanted names, and of their names only these."""
    if not naming.wanted:
        return plans
    kept: dict[int, list[str]] = {}
    for name in naming.wanted:
        spelled = naming.spellings(name)
        found = [(place, full) for place, plan in enumerate(plans) for full in plan.names if full in spelled]
        if not found:
            raise ImageArchiveError(
                shown, f"it has no image named {name!r}", hint=_offer(plans), go_text=f'Tag "{name}" not found'
            )
        for place, full in found:
            kept.setdefault(place, []).append(full)
    return [plans[place].with_(names=tuple(dict.fromkeys(kept[place]))) for place in sorted(kept)]


def _offer(plans: Iterable[ImagePlan]) -> str:
    offered = ", ".join(name for plan in plans for name in plan.names)
    return f"it has: {offered}" if offered else "its images have no names"


def _judge(plan: ImagePlan, warnings: list[str]) -> None:
    if len(plan.layers) > LONGEST_CHAIN:
        reason = f"it has {len(plan.layers)} layers, more than the {LONGEST_CHAIN} that can be stacked"
        raise ImageArchiveError(plan.member, reason, go_text="max depth exceeded")
    system = plan.config.platform.os
    if system and system.lower() != "linux":
        warnings.append(f"{plan.member}: the image is for {system}, so it cannot run here")
