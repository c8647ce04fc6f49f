"""The tar dialects of known programs, those that layers are most likely written in first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from itertools import product

from cstore.archive.dialects.encode import Form

BLOCK_END, RECORD_END, NO_END, CUT_END = 1024, 10240, 0, -1
"""Zeros at the end: two blocks; up to a whole record of 20 blocks; none; not even the padding of the last file."""


class Order(Enum):
    """The order of the entries."""

    WALK = "walk"  # depth-first, the names of each directory sorted by their bytes
    PATH = "path"  # all paths sorted by their bytes
    BIRTH = "birth"  # by creation time, which follows the archive's order after unpacking
    LISTED = "listed"  # as the file system lists them


class Owners(Enum):
    """The names of owners in headers."""

    NONE = "none"
    HOST = "host"  # the names on this host
    ROOT = "root"
    NUMBER = "number"  # as HOST, but the number if there is no name


class Time(Enum):
    """The treatment of fractions of seconds."""

    CUT = "cut"
    ROUND = "round"
    EXACT = "exact"


class Attributes(Enum):
    """The extended attributes that are written."""

    NONE = "none"
    CAPABILITY = "capability"
    CONTAINERS = "containers"  # capabilities, IMA signatures, and user attributes
    ALL = "all"


class Link(Enum):
    """The link target of all whiteouts but the first, since they share one device: its device's name, or its entry."""

    NONE = "none"
    DEVICE = "device"
    ENTRY = "entry"


@dataclass(frozen=True, slots=True)
class Dialect:
    """The way in which one program, or one invocation of it, writes a layer.

    Attributes:
        name: the program's name, for messages.
        form: the form of the headers.
        order: the order of the entries.
        root: the name of the root's entry; None if it has none.
        prefix: the prefix of all other names.
        slash: whether names of directories end with a slash.
        type_bits: whether modes include the type bits.
        owners, time, attributes: see these classes.
        whiteout_link, whiteout_mode: link target and mode of a whiteout.
        whiteout_zero: the time of a whiteout is 1970, not that of its device.
        whiteouts_first: whiteouts precede all other entries.
        link_prefix: the prefix of hard link targets.
        end: the zeros at the end, one of the constants above.
        given_only: directories that exist only for their contents have no entry.
    """

    name: str
    form: Form = Form.GO
    order: Order = Order.WALK
    root: bytes | None = None
    prefix: bytes = b""
    slash: bool = True
    type_bits: bool = False
    owners: Owners = Owners.NONE
    time: Time = Time.CUT
    attributes: Attributes = Attributes.CAPABILITY
    whiteout_link: Link = Link.NONE
    whiteout_mode: int = 0
    whiteout_zero: bool = False
    whiteouts_first: bool = False
    link_prefix: bytes = b""
    end: int = BLOCK_END
    given_only: bool = False


_UMOCI = Dialect("umoci repack", order=Order.PATH, attributes=Attributes.ALL, whiteout_zero=True)
_CONTAINERS = Dialect("Buildah, Podman", attributes=Attributes.CONTAINERS, whiteout_link=Link.ENTRY)
_DOCKER = Dialect("Docker", whiteout_mode=0o600, whiteout_link=Link.DEVICE)
_GO = (
    replace(_CONTAINERS, type_bits=True, whiteout_link=Link.DEVICE),
    _CONTAINERS,
    replace(_DOCKER, type_bits=True, owners=Owners.HOST),
    replace(_DOCKER, type_bits=True, owners=Owners.ROOT),
    replace(_DOCKER, type_bits=True),
    replace(_DOCKER, whiteout_mode=0),
    replace(_UMOCI, root=b"."),
    _UMOCI,
    replace(_UMOCI, name="umoci insert", end=NO_END),
    replace(_UMOCI, root=b".", given_only=True),
    replace(_UMOCI, given_only=True),
    replace(_UMOCI, name="umoci insert", end=CUT_END),
    replace(_UMOCI, name="umoci insert", end=CUT_END, given_only=True),
    replace(_UMOCI, name="umoci insert", end=CUT_END, given_only=True, order=Order.WALK),
)
_KANIKO = Dialect(
    "kaniko",
    order=Order.PATH,
    time=Time.ROUND,
    attributes=Attributes.NONE,
    whiteout_zero=True,
    whiteouts_first=True,
)
_OTHERS = (
    Dialect("containerd", whiteout_zero=True, order=Order.PATH),
    Dialect("containerd", whiteout_zero=True),
    Dialect("containerd", whiteout_zero=True, owners=Owners.HOST),
    replace(_KANIKO, link_prefix=b"/"),
    _KANIKO,
    Dialect("apko", time=Time.ROUND, attributes=Attributes.ALL, owners=Owners.HOST, slash=False),
    Dialect("Go", time=Time.ROUND, attributes=Attributes.NONE),
    Dialect("Go", time=Time.ROUND, attributes=Attributes.NONE, owners=Owners.HOST),
    Dialect("Go", time=Time.EXACT, attributes=Attributes.NONE),
)
_ROOTS: tuple[tuple[bytes, bytes | None], ...] = ((b"./", b"./"), (b"", None), (b"./", None))
_GNU_FORMS = ((Form.GNU, Attributes.NONE), (Form.GNU_POSIX, Attributes.NONE), (Form.GNU_POSIX, Attributes.ALL))


def _gnu_and_python() -> list[Dialect]:
    found = []
    for order, owners, (prefix, root) in product((Order.WALK, Order.BIRTH, Order.LISTED), _HOST_OR_NONE, _ROOTS):
        place = Dialect("", order=order, owners=owners, prefix=prefix, root=root, end=RECORD_END)
        for form, attributes in (*_GNU_FORMS, (Form.GNU_USTAR, Attributes.NONE)):
            time = Time.EXACT if form is Form.GNU_POSIX else Time.CUT
            found.append(replace(place, name="GNU tar", form=form, attributes=attributes, time=time))
        for form in (Form.PYTHON_PAX, Form.PYTHON_GNU):
            time = Time.EXACT if form is Form.PYTHON_PAX else Time.CUT
            found.append(replace(place, name="Python", form=form, attributes=Attributes.NONE, time=time))
    return found


def _bsd_and_busybox() -> list[Dialect]:
    found = []
    for order, owners, end in product((Order.BIRTH, Order.WALK, Order.LISTED), _HOST_OR_NONE, (BLOCK_END, RECORD_END)):
        for prefix, root in _ROOTS[:2]:
            place = Dialect("bsdtar", order=order, owners=owners, prefix=prefix, root=root, end=end)
            for kept in (Attributes.ALL, Attributes.NONE):
                found += [replace(place, form=Form.BSD_PAX, attributes=kept, time=Time.EXACT)]
            found += [replace(place, form=form, attributes=Attributes.NONE) for form in (Form.BSD_USTAR, Form.BSD_GNU)]
    for order, (prefix, root) in product((Order.BIRTH, Order.WALK, Order.LISTED), _ROOTS[:2]):
        place = Dialect("busybox", Form.PYTHON_GNU, order, root, prefix, owners=Owners.NUMBER)
        found.append(replace(place, attributes=Attributes.NONE))
    return found


_HOST_OR_NONE = (Owners.HOST, Owners.NONE)
DIALECTS: tuple[Dialect, ...] = (*_GO, *_gnu_and_python(), *_bsd_and_busybox(), *_OTHERS)
"""All dialects, in the order in which they are tried."""
