"""File capabilities in archives: those of a mapped container name its root as the container sees it."""

from __future__ import annotations

import struct

import pytest

from cstore.archive.xattrs import CAPABILITY, capability_inside, inside
from cstore.errors import IDNotMapped
from cstore.idmap import IDENTITY, IDMap, IDRange

_MAP = IDMap((IDRange(0, 100000, 65536),), (IDRange(0, 100000, 65536),))
_SETS = struct.pack("<IIII", 0x400, 0, 0, 0)


def _with_root(root: int) -> bytes:
    return struct.pack("<I", 0x03000001) + _SETS + struct.pack("<I", root)


def test_a_capability_of_the_containers_root_names_no_id() -> None:
    """It becomes one of version 2, with the same sets and the same flag."""
    assert capability_inside(_with_root(100000), _MAP) == struct.pack("<I", 0x02000001) + _SETS


def test_another_root_is_named_by_its_id_inside() -> None:
    """A namespace inside the container has a root of its own."""
    assert capability_inside(_with_root(100007), _MAP) == _with_root(7)


def test_a_root_that_the_container_does_not_have_is_refused() -> None:
    """Any ID in the archive would be wrong."""
    with pytest.raises(IDNotMapped):
        capability_inside(_with_root(5), _MAP)


def test_what_names_no_root_stays_as_it_is() -> None:
    """So do capabilities of layers without a map, and all other attributes."""
    plain = struct.pack("<I", 0x02000001) + _SETS
    attributes = ((b"user.x", b"y"), (CAPABILITY, plain))

    assert inside(attributes, _MAP) == attributes
    assert inside(((CAPABILITY, _with_root(5)),), IDENTITY) == ((CAPABILITY, _with_root(5)),)
