"""A container goes unless somebody lives in it: a mount count is nobody, a process is, and so is a mount namespace."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.errors import ContainerOccupied, ImageUsedByContainer, LayerUsedByContainer
from cstore.store import NewContainer, NewImage, NewLayer, Store, open_store
from tests.conftest import unplaced
from tests.mounts import detach_all, mounts_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An overlay store with the container `c1`, which is called web."""
    roots = Overrides(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="overlay")
    store = open_store(load_config(roots, environ={"HOME": str(tmp_path)}))
    store.layers.create(NewLayer(id="base"))
    store.images.create(NewImage(id="i1", layer="base"))
    store.containers.create(NewContainer(id="c1", image="i1", names=("web",)))
    yield store
    detach_all(str(tmp_path))


def test_a_mount_count_is_cleared(store: Store, tmp_path: Path) -> None:
    """However often it was mounted, as with the Go tool."""
    store.mount("web")
    store.mount("web")

    store.containers.delete("web")

    assert store.containers.list() == []
    assert [path for path in mounts_below(str(tmp_path)) if path.endswith("merged")] == []


@pytest.mark.parametrize("way", ["containers", "any", "wipe"])
def test_a_process_in_the_container_keeps_it(store: Store, way: str) -> None:
    """It is named, nothing changes, and once it has ended the container goes."""
    delete = {
        "containers": lambda: store.containers.delete("web"),
        "any": lambda: store.delete("web"),
        "wipe": store.wipe,
    }[way]
    path = store.mount("web")
    with subprocess.Popen(["sleep", "60"], cwd=path) as process:
        try:
            with pytest.raises(ContainerOccupied, match=rf"process {process.pid} \(sleep\) runs in it"):
                delete()
            assert os.path.ismount(path)
            assert store.containers.get("web").id == "c1"
        finally:
            process.kill()

    delete()
    assert store.containers.list() == []


def test_another_mount_namespace_keeps_it_and_force_does_not_mind(store: Store) -> None:
    """Unmounting it here would not unmount it there."""
    store.mount("web")
    program = ["unshare", "--mount", "sh", "-c", "echo ready; exec sleep 60"]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            with pytest.raises(ContainerOccupied, match="in a mount namespace where it is mounted") as caught:
                store.containers.delete("web")
            assert caught.value.pid != os.getpid()
            store.containers.delete("web", force=True)
        finally:
            process.kill()
    assert store.containers.list() == []


def test_who_asks_does_not_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell in the mount point may delete the container, as ever."""
    monkeypatch.chdir(store.mount("web"))
    store.containers.delete("web")
    assert store.containers.list() == []


@pytest.mark.parametrize(
    ("metadata", "item", "command"),
    [
        ("", "", "cstore delete-container web"),
        ('{"image-name":"alpine","image-id":"i1","name":"web","created-at":1}', "", "podman rm web"),
        ("", "buildah.json", "buildah rm web"),
        ('{"pod-name":"p","pod-id":"1","image-name":"alpine","container-name":"web"}', "", "crictl rm web"),
        ("[1]", "", "cstore delete-container web"),
        ("{" * 100_000, "", "cstore delete-container web"),
    ],
)
def test_a_hint_names_the_tool_that_made_the_container(store: Store, metadata: str, item: str, command: str) -> None:
    """Which removes all that it has elsewhere, too."""
    store.set_metadata("web", metadata)
    if item:
        with open(os.path.join(store.containers.directory("web"), item), "w", encoding="ascii"):
            pass

    with pytest.raises(ImageUsedByContainer) as by_image:
        store.images.delete("i1")
    with pytest.raises(LayerUsedByContainer) as by_layer:
        store.layers.delete(store.containers.get("web").layer)

    assert by_image.value.hint == by_layer.value.hint
    assert unplaced(by_image.value.hint) == f"delete the container first: {command}"
