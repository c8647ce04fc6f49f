"""Who writes tars how: the dialects that are tried, in the order in which layers are likely to be written in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from itertools import product

from cstore.archive.dialects.encode import Form

BLOCK_END, RECORD_END, NO_END, CUT_END = 1024, 10240, 0, -1
"""Zeros at the end: two blocks; up to a whole record of 20 blocks; none; not even the padding of the last file."""


class Order(Enum):
    """In which order a tree is written."""

    WALK = "walk"  # names of each directory by their bytes, what is in a directory right behind it
    PATH = "path"  # all paths by their bytes
    BIRTH = "birth"  # in the order of creation: the unpacking program followed the archive's order
    LISTED = "listed"  # as the file system lists them


class Owners(Enum):
    """How owners' names are written."""

    NONE = "none"
    HOST = "host"  # as this system knows them
    ROOT = "root"
    NUMBER = "number"  # as HOST, and a number where there is no name


class Time(Enum):
    """The treatment of fractions of seconds."""

    CUT = "cut"
    ROUND = "round"
    EXACT = "exact"


class Attributes(Enum):
    """Which extended attributes are written."""

    NONE = "none"
    CAPABILITY = "capability"
    CONTAINERS = "containers"  # capabilities, IMA's signatures, and users'
    ALL = "all"


class Link(Enum):
    """The link target of the second and later whiteouts, which share one device: the first one's device, or entry."""

    NONE = "none"
    DEVICE = "device"
    ENTRY = "entry"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one writer, or one way to call it, writes a layer.

    Attributes:
        name: for people.
        form: of the headers.
        order: of the entries.
        root: the name of the root's own entry; None if it has none.
        prefix: what all names begin with.
        slash: whether a directory's name ends with one.
        type_bits: whether the mode tells the type, too.
        owners, time, attributes: see there.
        whiteout_link, whiteout_mode: of a whiteout.
        whiteout_zero: its time is 1970, not that of its device.
        whiteouts_first: they come before all else.
        link_prefix: what the targets of hard links begin with.
        end: see above.
        given_only: directories that were made only for what is in them have no entry.
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
"""All of them."""
