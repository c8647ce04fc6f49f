"""Containers: found by their layer, in two files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.errors import ContainerUnknown
from cstore.idmap import IDMap, IDRange
from cstore.records.containers import CONTAINERS
from cstore.records.model import Container, Layer, to_entries
from cstore.records.table import Location, Table

from .sample_files import put, sample

if TYPE_CHECKING:
    from pathlib import Path


def containers_in(directory: Path, stable: bytes, volatile: bytes = b"[]") -> Table[Container]:
    """Load a table of containers from both its files."""
    return Table.load(
        CONTAINERS,
        {
            Location.STABLE: put(str(directory / "containers.json"), stable),
            Location.VOLATILE: put(str(directory / "volatile-containers.json"), volatile),
        },
    )


def test_a_container_is_found_by_its_layer(tmp_path: Path) -> None:
    """By the whole ID of it, after IDs and names and before prefixes of IDs."""
    table = containers_in(
        tmp_path,
        b'[{"id":"c1","image":"","layer":"l1"},{"id":"c2","names":["l1"],"image":"","layer":"l2"},'
        b'{"id":"l2x","image":"","layer":"c1"}]',
    )

    found = [table.resolve(word) for word in ("c1", "l1", "l2", "l2x", "l")]
    assert [container and container.id for container in found] == ["c1", "c2", "c2", "l2x", "l2x"]
    assert table.resolve("i") is None


def test_volatile_containers_of_the_peer(tmp_path: Path) -> None:
    """They come after the others; their file says that they are volatile."""
    table = containers_in(tmp_path, sample("containers.json"), sample("volatile-containers.json"))

    names = [container.names for container in table]

    assert names == [("box",), ("mapped",), ("vol",)]
    volatile = table.named("vol")
    assert volatile is not None
    assert table.location(volatile.id) is Location.VOLATILE
    assert volatile.flags == {"MountLabel": "", "ProcessLabel": "", "Volatile": True}
    assert isinstance(table.kind.unknown("x"), ContainerUnknown)


def test_a_duplicate_name_across_both_files_is_healed(tmp_path: Path) -> None:
    """The peer saves the wrong file and never gets rid of it."""
    stable = b'[{"id":"a","names":["n"],"image":"","layer":"l"}]'
    table = containers_in(tmp_path, stable, stable.replace(b'"a"', b'"b"'))

    table.repair_names()

    assert table.changed == {Location.STABLE}
    table.save()
    again = Table.load(
        CONTAINERS,
        {
            Location.STABLE: str(tmp_path / "containers.json"),
            Location.VOLATILE: str(tmp_path / "volatile-containers.json"),
        },
    )
    assert [container.names for container in again] == [(), ("n",)]


def test_id_maps_come_and_go(tmp_path: Path) -> None:
    """Recorded ranges are the ranges of ID arithmetic."""
    table = containers_in(tmp_path, sample("containers.json"))
    mapped = table.named("mapped")
    assert mapped is not None

    ranges = (IDRange(0, 100000, 65536),)

    assert mapped.id_map == IDMap(ranges, ranges)
    assert to_entries(ranges) == mapped.uid_map
    assert Layer(id="a", uid_map=to_entries(ranges)).id_map == IDMap(ranges, ())
