"""Many images to another place: what is equal is skipped, what fails is told, and nothing is deleted unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cstore import open_store
from cstore.errors import CstoreError, UsageMistake
from cstore.transfer import CopyRequest, copy
from cstore.transfer.syncing import SyncRequest, sync
from tests import fault_proxy as faults
from tests.registries import MANIFEST, layer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore import Store
    from cstore.transfer.registry_ends import RegistryAccess
    from tests.fault_proxy import FaultProxy
    from tests.registries import Registry

    Run = Callable[..., dict[str, str]]

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def synced(whole: RegistryAccess) -> Run:
    """Syncs, and returns what became of each image, by the end of where it went."""

    def run(source: str, destination: str, *, store: Store | None = None, **how: Any) -> dict[str, str]:
        done = sync(source, destination, SyncRequest(**how), lambda _: None, store=store, access=whole)
        return {one.destination.removeprefix("docker://").partition("/")[2]: one.outcome for one in done}

    return run


def test_a_path_of_a_registry_is_mirrored(registry: Registry, proxy: FaultProxy, synced: Run) -> None:
    """Every tag of every repository below it, with the same digests; then nothing moves; then only what is new."""
    first = registry.push("team/one:1")
    registry.push("team/two:1")
    host = proxy.host

    assert synced(f"docker://{host}/team/", f"docker://{host}/mirror") == {
        "mirror/one:1": "copied",
        "mirror/two:1": "copied",
    }
    got = registry.request("GET", "/v2/mirror/one/manifests/1", headers={"Accept": MANIFEST})
    assert got.body == first.raw

    proxy.forget()
    again = synced(f"docker://{host}/team/", f"docker://{host}/mirror")
    assert set(again.values()) == {"equal"}
    assert not proxy.requests("(GET|POST|PUT|PATCH) .*/(blobs|manifests)/")

    registry.push("team/one:2", [layer_of({"new": b"2"})])
    assert synced(f"docker://{host}/team/one:*", f"docker://{host}/mirror/team") == {
        "mirror/team/team/one:1": "copied",
        "mirror/team/team/one:2": "copied",
    }


def test_what_fails_is_told_and_the_rest_goes_on(registry: Registry, proxy: FaultProxy, synced: Run) -> None:
    """One image whose layer is wrong stops no other."""
    bad = registry.push("some/bad:1", [layer_of({"x": b"bad"})])
    registry.push("some/good:1", [layer_of({"x": b"good"})])
    proxy.fail(f"GET .*/blobs/{bad.layers[0]}", faults.flipped(600), times=9)

    assert synced(f"docker://{proxy.host}/some/", f"docker://{registry.host}/other") == {
        "other/bad:1": "failed",
        "other/good:1": "copied",
    }


def test_a_name_that_no_store_can_have_stops_no_other(registry: Registry, synced: Run, store: Store) -> None:
    """On the way back, where a part of a path becomes a registry's name."""
    registry.push("back/a__b__c/app:1")
    registry.push("back/quay.io/me/app:1")

    done = synced(f"docker://{registry.host}/back/", "containers-storage:", store=store, scoped=True)

    assert sorted(done.values()) == ["copied", "failed"]
    assert [name for image in store.images.list() for name in image.names] == ["quay.io/me/app:1"]


def test_only_what_is_gone_is_deleted_and_only_on_request(registry: Registry, synced: Run) -> None:
    """Not by default, not if the list is empty or cannot be had, and not what another tag needs."""
    host = registry.host
    registry.push("src/a:1", [layer_of({"x": b"a"})])
    for tag in ("1", "old"):
        registry.push(f"dst/a:{tag}", [layer_of({"x": tag.encode()})])
    same = registry.push("src/a:1", [layer_of({"x": b"a"})])

    assert "deleted" not in synced(f"docker://{host}/src/", f"docker://{host}/dst").values()
    for empty in ("none/", "a/nosuch"):
        with pytest.raises(CstoreError):
            synced(f"docker://{host}/{empty}", f"docker://{host}/dst", delete=True)
    with pytest.raises(UsageMistake):
        synced(f"docker://{host}/src/", "oci:/nowhere", delete=True)

    assert synced(f"docker://{host}/src/", f"docker://{host}/dst", delete=True) == {
        "dst/a:1": "equal",
        "dst/a:old": "deleted",
    }
    second = registry.push_manifest("dst/a", "second", same.raw)
    assert second == same.digest
    assert synced(f"docker://{host}/src/", f"docker://{host}/dst", delete=True)["dst/a:second"] == "kept"


def test_a_store_goes_to_a_registry_and_comes_back(
    registry: Registry, store: Store, tmp_path: Path, synced: Run, whole: RegistryAccess
) -> None:
    """With the same names and IDs; the second time nothing moves."""
    registry.push("app:1", [layer_of({"x": b"app"})])
    copy(f"docker://{registry.host}/app:1", "docker.io/library/app:1", CopyRequest(), store=store, access=whole)
    image = store.images.list()[0]
    store.add_names(image.id, ["localhost/mine:2", f"{registry.host}/odd:3"])
    back = f"docker://{registry.host}/backup"

    sent = synced("containers-storage:", back, store=store, scoped=True)
    assert set(sent.values()) <= {"copied", "equal"}
    assert len(sent) == 3
    assert set(synced("containers-storage:", back, store=store, scoped=True).values()) == {"equal"}

    other = open_store(graph_root=str(tmp_path / "g2"), run_root=str(tmp_path / "r2"), driver="vfs")
    synced(f"{back}/", "containers-storage:", store=other, scoped=True)
    names = {name: found.id for found in other.images.list() for name in found.names}
    assert names == dict.fromkeys(store.images.get(image.id).names, image.id)
    assert set(synced(f"{back}/", "containers-storage:", store=other, scoped=True).values()) == {"equal"}


def test_layouts_and_directories_are_places_too(registry: Registry, store: Store, tmp_path: Path, synced: Run) -> None:
    """Out of a registry, and into a store from there."""
    registry.push("flat/a:1", [layer_of({"x": b"a"})])
    registry.push("flat/b:1", [layer_of({"x": b"b"})])
    for place in (f"oci:{tmp_path}/layout", f"dir:{tmp_path}/dirs"):
        first = synced(f"docker://{registry.host}/flat/", place)
        assert sorted(first.values()) == ["copied", "copied"]
        assert set(synced(f"docker://{registry.host}/flat/", place).values()) == {"equal"}
        assert len(synced(place, "containers-storage:", store=store)) == 2
    assert {name for image in store.images.list() for name in image.names} == {
        f"{registry.host}/flat/a:1",
        f"{registry.host}/flat/b:1",
    }


def test_a_list_names_what_is_synced(registry: Registry, store: Store, synced: Run) -> None:
    """And nothing else; what names no registry is one of the source's, and not somebody else's of that name."""
    registry.push("listed/a:1")
    registry.push("listed/b:1")
    registry.push("listed:1")
    name = f"{registry.host}/listed/b:1"

    done = synced(f"docker://{registry.host}/", "containers-storage:", store=store, listed=(name, "listed:1"))

    assert list(done.values()) == ["copied", "copied"]
    assert {image.names for image in store.images.list()} == {(name,), (f"{registry.host}/listed:1",)}
