"""IDs that others have recorded: whatever they are, nothing outside their own place is touched."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import IDTaken, InvalidID, UnsafeID
from cstore.store import NewLayer, Store
from tests.builders import listing, typical_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.store.conftest import Import

CREATED = "2026-01-01T00:00:00Z"
HOSTILE = ["../../vfs-images", "../precious", "..", "/", "a/../../precious", "precious\0x"]


def record(graph: str, kind: str, **fields: object) -> None:
    """Add a record to a file of the store, as another program would."""
    path = os.path.join(graph, f"vfs-{kind}s", f"{kind}s.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    records = []
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            records = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump([*records, {"created": CREATED, **fields}], file, separators=(",", ":"))


@pytest.fixture
def precious(store: Store, graph: str, tmp_path: Path, put: Import) -> Callable[[], dict[str, str]]:
    """A store with data beside its layers; ask for what there is of it, less record files, locks and staging."""
    put(typical_tar(), id="kept")
    for directory in ("vfs-images/i1", "vfs-containers/c1", "vfs/precious", "vfs-layers/precious"):
        os.makedirs(os.path.join(graph, directory))
    record(graph, "image", id="i1")
    record(graph, "container", id="c1", image="", layer="")
    os.mkdir(tmp_path / "precious")

    def there() -> dict[str, str]:
        found = listing(str(tmp_path))
        return {
            path: kind
            for path, kind in found.items()
            if not path.endswith((".json", ".lock", "/tmp", "archive")) and "run" not in path.split("/")
        }

    return there


@pytest.mark.parametrize("hostile", HOSTILE)
def test_deleting_a_layer_of_such_an_id_drops_its_record_only(
    store: Store, graph: str, precious: Callable[[], dict[str, str]], hostile: str
) -> None:
    """No directory of the store, and none beside it, goes away."""
    record(graph, "layer", id=hostile)
    before = precious()
    store.delete(hostile)

    assert precious() == before
    assert [layer.id for layer in store.layers.list()] == ["kept"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_an_unfinished_layer_of_such_an_id_harms_nobody(
    store: Store, graph: str, tmp_path: Path, precious: Callable[[], dict[str, str]], hostile: str
) -> None:
    """The next writer forgets it, and removes nothing: an absolute ID would lead anywhere on the machine."""
    for identifier in (hostile, str(tmp_path / "precious")):
        record(graph, "layer", id=identifier, flags={"incomplete": True})
    before = precious()
    store.set_names("kept", ["name"])

    assert precious() == before
    assert store.layers.ids() == ["kept"]


@pytest.mark.parametrize("kind", ["image", "container"])
@pytest.mark.parametrize("hostile", ["../vfs-layers", "..", "images.lock", "containers.lock", "images.json"])
def test_images_and_containers_of_such_ids_take_nothing_along(
    store: Store, graph: str, precious: Callable[[], dict[str, str]], kind: str, hostile: str
) -> None:
    """Nor do they take a lock file, which everybody else would go on locking."""
    store.layers.create(NewLayer(id="own"))
    store.delete("own")
    record(graph, "layer", id="own")
    record(graph, kind, id=hostile, **({"image": "", "layer": "own"} if kind == "container" else {}))
    before = precious()
    store.delete(hostile)

    assert precious() == before
    assert os.path.exists(os.path.join(graph, f"vfs-{kind}s", f"{kind}s.lock"))
    assert os.path.exists(os.path.join(graph, f"vfs-{kind}s", f"{kind}s.json"))


def test_wiping_takes_nothing_from_outside(store: Store, graph: str, tmp_path: Path) -> None:
    """Records of all kinds go; the directory beside the store stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("text", encoding="utf-8")
    for kind, more in (("layer", {}), ("image", {}), ("container", {"image": "", "layer": ""})):
        for identifier in (str(outside), "../../outside"):
            record(graph, kind, id=identifier, **more)
    store.wipe()

    assert (store.layers.list(), store.images.list(), store.containers.list()) == ([], [], [])
    assert (outside / "file").read_text(encoding="utf-8") == "text"


def test_such_a_layer_is_listed_but_not_looked_into(store: Store, graph: str) -> None:
    """What asks for its tree or its files fails with a sentence."""
    store.layers.create(NewLayer(id="child"))
    record(graph, "layer", id="../../..")
    record(graph, "layer", id="above", parent="../../..")
    os.mkdir(os.path.join(graph, "vfs", "dir", "above"))

    assert store.layers.get("../../..").id == "../../.."
    for attempt in (
        lambda: store.mount("../../.."),
        lambda: store.layers.changes("../../.."),
        lambda: store.layers.changes("child", "../../.."),
        lambda: store.layers.diff_size("above"),
        lambda: store.layers.get_data("../../..", "key"),
        lambda: store.layers.set_data("../../..", "key", b""),
        lambda: store.layers.create(NewLayer(parent="../../..")),
    ):
        with pytest.raises(UnsafeID, match="contains '/'"):
            attempt()


def test_the_directory_that_the_peer_makes_for_an_id_with_a_slash_is_no_leftover(store: Store, graph: str) -> None:
    """Its vfs driver calls it by the last part of the ID: gc keeps it, and no new layer takes it over."""
    store.layers.create(NewLayer(id="other"))
    os.mkdir(os.path.join(graph, "vfs", "dir", "last"))
    record(graph, "layer", id="first/last")

    assert store.gc() == []
    with pytest.raises(IDTaken):
        store.layers.create(NewLayer(id="last"))
    assert store.layers.trees() == ["last", "other"]


@pytest.mark.parametrize(
    "taken", ["tmp", "layers.json", "layers.lock", "volatile-layers.json", ".tmp-x", "a.tar-split.gz", "l", "tempdirs"]
)
def test_a_new_layer_does_not_get_the_name_of_a_file_of_the_store(store: Store, taken: str) -> None:
    """Its data directory would be that file, and go away with the layer."""
    with pytest.raises(InvalidID, match="file of the store"):
        store.layers.create(NewLayer(id=taken))


@pytest.mark.parametrize("taken", ["tmp", "layers.json", "layers.lock", "volatile-layers.json"])
def test_a_recorded_layer_of_that_name_leaves_the_file_alone(store: Store, graph: str, put: Import, taken: str) -> None:
    """The peer would make such a layer: it can be deleted, and nothing but its tree goes."""
    put(typical_tar(), id="kept")
    os.mkdir(os.path.join(graph, "vfs", "dir", taken))
    record(graph, "layer", id=taken)
    store.layers.delete(taken)
    put(typical_tar(), id="new")

    assert store.layers.trees() == ["kept", "new"]
    assert [layer.id for layer in store.layers.list()] == ["kept", "new"]
