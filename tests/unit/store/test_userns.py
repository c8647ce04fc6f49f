"""ID maps that choose themselves: how many IDs, which ones, and what is left for the next container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.config import subids
from cstore.errors import InvalidOption, LayerUnknown, NoFreeIDs
from cstore.idmap import IDENTITY, IDMap, IDRange
from cstore.kernel.namespaces import in_user_namespace
from cstore.records.model import Container, Image
from cstore.records.table import Location
from cstore.store.maps import map_fields
from cstore.store.places import ItemKind
from cstore.store.session import writing
from cstore.store.userns import AutoMap, choose_map, choosing
from tests.builders import directory, make_tar, regular, symlink

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.store import Store
    from tests.unit.store.conftest import Import

FIRST = 500000
PASSWD = b"""root:x:0:0::/root:/bin/sh
# a comment
broken line
nobody:x:99999:99999::/:/bin/false
overflow:x:65534:65534::/:/bin/false
daemon:x:1500:1700::/:/bin/false
"""


@pytest.fixture(autouse=True)
def _set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs_root: None) -> None:
    """Let the system set 70,000 IDs aside for containers, in two pieces."""
    if in_user_namespace():
        pytest.skip("needs the host's own user IDs")
    for name in ("USER_FILE", "GROUP_FILE"):
        path = tmp_path / name
        path.write_text(f"other:100:50\ncontainers:{FIRST}:1000\ncontainers:{FIRST + 5000}:69000\n")
        monkeypatch.setattr(subids, name, str(path))


def choose(store: Store, request: AutoMap, image: Image | None = None) -> IDMap:
    with choosing(store._context):
        return choose_map(store._context, request, image)


def record(store: Store, identifier: str, id_map: IDMap) -> None:
    """Record a container that has a map."""
    with writing(store._context, ItemKind.CONTAINERS) as writer:
        writer.containers.add(Container(id=identifier, layer="any", **map_fields(id_map)), Location.STABLE)
        writer.save(ItemKind.CONTAINERS)


def both(*ranges: tuple[int, int, int]) -> IDMap:
    parts = tuple(IDRange(*part) for part in ranges)
    return IDMap(parts, parts)


def test_additional_ranges_leave_gaps_that_the_rest_fills(store: Store) -> None:
    """The map that the peer was seen to choose: they count towards the size, and come last (semantics 8)."""
    request = AutoMap(size=10, additional=IDMap((IDRange(3, 7, 2),)))
    assert choose(store, request) == IDMap(
        (IDRange(0, FIRST, 3), IDRange(5, FIRST + 3, 5), IDRange(3, 7, 2)), (IDRange(0, FIRST, 10),)
    )


def test_two_containers_never_share_an_id(store: Store) -> None:
    """The lowest free IDs are taken; what a deleted container had is free again."""
    one = choose(store, AutoMap(size=10))
    record(store, "one", one)
    two = choose(store, AutoMap(size=10))
    record(store, "two", two)
    assert (one, two) == (both((0, FIRST, 10)), both((0, FIRST + 10, 10)))

    with writing(store._context, ItemKind.CONTAINERS) as writer:
        writer.containers.remove("one")
        writer.save(ItemKind.CONTAINERS)
    assert choose(store, AutoMap(size=15)) == both((0, FIRST, 10), (10, FIRST + 20, 5))


def test_a_map_spans_pieces(store: Store) -> None:
    """What is set aside need not be in one piece."""
    assert choose(store, AutoMap(size=1010)) == both((0, FIRST, 1000), (1000, FIRST + 5000, 10))


def test_host_ids_of_additional_ranges_are_not_given_twice(store: Store) -> None:
    """An ID outside is one ID inside."""
    more = both((0, FIRST + 1, 1))
    assert choose(store, AutoMap(size=4, additional=more)) == both((1, FIRST, 1), (2, FIRST + 2, 2), (0, FIRST + 1, 1))


def test_too_few_ids_are_refused(store: Store) -> None:
    """With how many there are, and the line that would add the rest."""
    record(store, "one", both((0, FIRST, 900), (900, FIRST + 5000, 69000)))
    with pytest.raises(NoFreeIDs, match="the map needs 101 UIDs, but only 100") as caught:
        choose(store, AutoMap(size=101))
    assert f"the line containers:{FIRST + 74000}:1 to {subids.USER_FILE}" in caught.value.hint


@pytest.mark.parametrize(("request_", "size"), [(AutoMap(), 1024), (AutoMap(initial_size=2000), 2000)])
def test_the_size_has_a_least(store: Store, request_: AutoMap, size: int) -> None:
    """The configured one, or the caller's."""
    uids = choose(store, request_).uids
    assert sum(part.size for part in uids) == size


def image_of(put: Import, *layers: bytes) -> Image:
    """An image, not recorded, of layers on top of each other."""
    parent = ""
    for archive in layers:
        parent = put(archive, parent=parent).id
    return Image(id="image", layer=parent)


@pytest.mark.parametrize(
    ("entries", "size"),
    [
        ([regular("f", uid=1200, gid=3)], 1201),
        ([regular("f", uid=3, gid=65534)], 65535),
        ([directory("etc"), regular("etc/passwd", PASSWD)], 1701),
        ([directory("etc"), regular("etc/group", b"nogroup:x:9000:\nstaff:x:2500:a,b\n")], 2501),
        ([directory("etc"), regular("real", b"a:x:3000:4000:::\n"), symlink("etc/passwd", "/real")], 4001),
        ([directory("etc"), symlink("etc/passwd", "/../../../../../../../../etc/passwd")], 1024),
        ([directory("etc"), directory("etc/passwd")], 1024),
    ],
)
def test_an_image_gets_all_ids_that_it_names(store: Store, put: Import, entries: list[bytes], size: int) -> None:
    """Owners in any layer, users and groups; no link leads out of the image, and no oddity stops anybody."""
    image = image_of(put, make_tar(*entries), make_tar(regular("above")))
    assert sum(part.size for part in choose(store, AutoMap(), image).uids) == size


def test_given_files_stand_for_those_of_the_image(store: Store, put: Import, tmp_path: Path) -> None:
    """Whoever starts the container may know better."""
    (tmp_path / "passwd").write_bytes(PASSWD)
    (tmp_path / "group").write_bytes(b"")
    image = image_of(put, make_tar(directory("etc"), regular("etc/passwd", b"a:x:5000:5000:::\n")))
    request = AutoMap(passwd_file=str(tmp_path / "passwd"), group_file=str(tmp_path / "group"))
    assert sum(part.size for part in choose(store, request, image).uids) == 1701


def test_an_image_that_needs_too_many_is_refused(store: Store, put: Import) -> None:
    """Both numbers are told; a size that was asked for is not held against the limit."""
    image = image_of(put, make_tar(regular("f", uid=65536)))
    with pytest.raises(InvalidOption, match="65537 IDs, but an automatic one may have 65536 at most") as caught:
        choose(store, AutoMap(), image)
    assert caught.value.go_text.endswith(
        "size 65537 that is bigger than the maximum value allowed with userns=auto 65536"
    )
    assert choose(store, AutoMap(size=100), image) == both((0, FIRST, 100))
    assert choose(store, AutoMap(max_size=70000), image).uids[-1].container_id == 1000


def test_an_image_without_a_layer_is_refused(store: Store, put: Import) -> None:
    """What it needs cannot be told."""
    assert choose(store, AutoMap(size=2), Image(id="image", layer="gone")) == both((0, FIRST, 2))
    with pytest.raises(LayerUnknown) as caught:
        choose(store, AutoMap(), Image(id="image", layer="gone"))
    assert caught.value.go_text == 'cannot find layer "gone"'


def test_an_image_without_layers_needs_the_least(store: Store) -> None:
    """There is nothing to look into."""
    assert choose(store, AutoMap(), Image(id="image")) != IDENTITY
