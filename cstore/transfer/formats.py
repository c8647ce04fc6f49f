"""Which of the formats an archive is in, and what it holds of what is wanted."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.errors import CstoreError, ImageArchiveError, InvalidOption, UsageMistake
from cstore.oci.names import DOCKER, LOCAL, parse_name
from cstore.oci.platforms import show_platform, suits, wanted_platform
from cstore.transfer import docker_archive, oci_layout
from cstore.transfer.docker_archive import MANIFEST, REPOSITORIES
from cstore.transfer.manifests import LARGEST, load_json
from cstore.transfer.members import Catalogue, DirectoryMembers
from cstore.transfer.oci_layout import INDEX, LAYOUT, Choice
from cstore.transfer.plan import Naming
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import ExitStack

    from cstore.transfer.members import Members, Part
    from cstore.transfer.plan import ImagePlan

DOCKER_FORMAT, OCI_FORMAT = "docker", "oci"
_FORMATS = ("", DOCKER_FORMAT, OCI_FORMAT)
_TOLD_BY = {MANIFEST: DOCKER_FORMAT, INDEX: OCI_FORMAT, REPOSITORIES: "v1"}
"""The document that tells a format; the first one that is there counts."""
LONGEST_CHAIN = 500
"""Layers in an image: what the drivers can stack."""


class LoadRequest(Value):
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


def read_plans(members: Members, wanted: LoadRequest, warnings: list[str], *, complete: bool = True) -> list[ImagePlan]:
    """Choose images of an archive, and read their documents. `complete`: all members of the archive are there.

    Raises:
        ArchiveError: the archive is in no known format, or a document is damaged.
        UsageMistake: it does not hold what is wanted.
        InvalidOption: one name is wanted for several images.
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
        if len(plan.layers) > LONGEST_CHAIN:
            reason = f"it has {len(plan.layers)} layers, more than the {LONGEST_CHAIN} that can be stacked"
            raise ImageArchiveError(plan.member, reason, go_text="max depth exceeded")
        system = plan.config.platform.os
        if system and system.lower() != "linux":
            warnings.append(f"{plan.member}: the image is for {system}, so it cannot run here")
    if not wanted.tag:
        return plans
    if len(plans) > 1:
        raise InvalidOption(
            f"{len(plans)} images cannot all have the name {wanted.tag!r}", hint="choose one of them with --name"
        )
    return [plans[0].with_(names=(str(parse_name(wanted.tag, home=home)),))]


def _read(
    members: Members, wanted: LoadRequest, naming: Naming, warnings: list[str], *, complete: bool
) -> list[ImagePlan]:
    format_ = wanted.format or next((kind for name, kind in _TOLD_BY.items() if members.find(name)), "")
    if not format_:
        known = f"{MANIFEST!r}, {INDEX!r} or {REPOSITORIES!r}"
        raise ImageArchiveError(
            members.shown,
            f"it is not an archive of images: there is no {known} in it",
            hint="cstore import creates an image from a root file system's tar, cstore import-layer a layer",
        )
    if format_ == OCI_FORMAT:
        choice = Choice(wanted_platform(wanted.platform), wanted.all_platforms)
        plans = oci_layout.read_plans(members, choice, naming.with_(home=LOCAL), warnings, complete=complete)
    elif format_ == DOCKER_FORMAT:
        plans = docker_archive.read_plans(members, naming)
    else:
        from cstore.transfer import v1_archive

        plans = v1_archive.read_plans(members, naming)
    if not wanted.platform or (format_ == OCI_FORMAT and not plans):
        return plans
    platform = wanted_platform(wanted.platform)
    found = [plan for plan in plans if suits(plan.config.platform, platform)]
    if not found:
        offered = ", ".join(sorted({show_platform(plan.config.platform) for plan in plans}))
        raise ImageArchiveError(members.shown, f"it has no image for {wanted.platform}", hint=f"it has: {offered}")
    return found


def check(wanted: LoadRequest) -> None:
    """Find mistakes in a request before anything is read.

    Raises:
        UsageMistake, InvalidName: there is one.
    """
    if wanted.format not in _FORMATS:
        raise UsageMistake(f"there is no format {wanted.format!r}", hint="choose docker or oci")
    if wanted.platform and wanted.all_platforms:
        raise UsageMistake("one platform and all platforms exclude each other", hint="omit --platform or --all")
    for name in (*wanted.names, *filter(None, [wanted.tag])):
        parse_name(name)
    wanted_platform(wanted.platform)


def _named(plans: list[ImagePlan], naming: Naming, shown: str) -> list[ImagePlan]:
    """Keep the images that have one of the wanted names, and of their names only these."""
    if not naming.wanted:
        return plans
    kept: dict[int, list[str]] = {}
    for name in naming.wanted:
        spelled = naming.spellings(name)
        found = [(place, full) for place, plan in enumerate(plans) for full in plan.names if full in spelled]
        if not found:
            offered = ", ".join(full for plan in plans for full in plan.names)
            hint = f"it has: {offered}" if offered else "its images have no names"
            raise ImageArchiveError(
                shown, f"it has no image named {name!r}", hint=hint, go_text=f'Tag "{name}" not found'
            )
        for place, full in found:
            kept.setdefault(place, []).append(full)
    return [plans[place].with_(names=tuple(dict.fromkeys(kept[place]))) for place in sorted(kept)]


# ── in a directory of an archive ──
#
# Images in a subdirectory of an archive, as `tar c layout` packs them, or of a directory.
#
# The top of an archive takes precedence; lower directories are searched only if the top is not an image archive.
# One is taken in its place. Several are named, and so is one in a root file system, which is hardly what was meant.

_DEEPEST = 2
_OF_SYSTEMS = frozenset({"bin", "etc", "lib", "proc", "sbin", "usr", "var"})
"""Names at the top of a root file system."""
_MOST_NAMED = 3


def settled(members: Members, opened: ExitStack) -> Members:
    """The members that make an archive of images: these, or those of the one directory in which there is one.

    What has to be opened for that is closed with `opened`.

    Raises:
        ImageArchiveError: several directories have one, or one of a root file system.
    """
    for name in _TOLD_BY:
        try:
            if members.find(name) is not None:
                return members
        except CstoreError:
            return members  # its reader reports what is wrong with it
    names = members.names() if isinstance(members, Catalogue) else ()
    if isinstance(members, DirectoryMembers):
        names = list(members.names(_DEEPEST))
    folders = sorted({name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in _TOLD_BY} - {""})
    found = [folder for folder in folders if _holds_images(_Below(members, folder))]
    if not found:
        return members
    tops = {name.partition("/")[0] for name in names}
    if len(found) == 1 and found[0].count("/") < _DEEPEST and not tops & _OF_SYSTEMS:
        if not isinstance(members, DirectoryMembers):
            return _Below(members, found[0])
        fd = members.enter(found[0])
        opened.callback(os.close, fd)
        return DirectoryMembers(fd, os.path.join(members.shown, found[0]))
    shown = ", ".join(map(repr, found[:_MOST_NAMED]))
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    there = isinstance(members, DirectoryMembers)
    way_out = f"cstore load {os.path.join(members.shown if there else 'DIRECTORY', found[0])}"
    raise ImageArchiveError(
        members.shown,
        f"it is not an image archive, but contains {'one' if len(found) == 1 else 'some'}: {shown}{more}",
        hint=f"choose one: {way_out}" if there else f"unpack it into a directory, and choose one: {way_out}",
    )


def _holds_images(members: _Below) -> bool:
    """Whether a directory has documents of images, and no others that are only called alike."""
    with suppress(CstoreError):
        if members.find(INDEX) is not None and members.find(LAYOUT) is not None:
            return True
        part = members.find(MANIFEST)
        if part is not None:
            items = load_json(part.read(LARGEST), MANIFEST)
            return isinstance(items, list) and all(isinstance(item, dict) and "Config" in item for item in items)
        part = members.find(REPOSITORIES)
        if part is not None:
            tags = load_json(part.read(LARGEST), REPOSITORIES)
            return isinstance(tags, dict) and all(isinstance(each, dict) for each in tags.values())
    return False


class _Below:
    """The members in a directory of an archive."""

    def __init__(self, members: Members, folder: str) -> None:
        self._members, self._folder = members, folder
        self.shown = members.shown

    def find(self, name: str) -> Part | None:
        """See `Members.find`."""
        part = self._members.find(f"{self._folder}/{name}")
        return part.with_(name=name) if part is not None and part.fd >= 0 else part
