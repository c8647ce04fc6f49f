"""Who holds what is mounted and lived in, on overlay; and what a removal of it says."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.errors import ContainerOccupied
from cstore.insight import freed_by, holders, plan_removal, usage
from cstore.store import NewContainer, NewImage, NewLayer, Store, open_store
from tests.builders import make_tar, regular
from tests.conftest import unplaced
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")


def du(path: str) -> int:
    """The bytes that du counts in a directory, without what is mounted there."""
    done = subprocess.run(["du", "-sx", "--block-size=1", path], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An overlay store with two layers, an image of them, and a container that is called web."""
    roots = Overrides(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="overlay")
    store = open_store(load_config(roots, environ={"HOME": str(tmp_path)}))
    store.layers.put(NewLayer(id="base"), make_tar(regular("a", b"a" * 50_000)))
    store.layers.put(NewLayer(id="top", parent="base"), make_tar(regular("b", b"b" * 20_000)))
    store.images.create(NewImage(id="i1", layer="top", names=("img",)))
    store.containers.create(NewContainer(id="c1", image="i1", names=("web",)))
    yield store
    detach_all(str(tmp_path))


def test_the_process_in_a_container_is_named(store: Store) -> None:
    """The image is held by the container, that by its mount and by who lives there; both say how to let go."""
    path = store.mount("web")
    with subprocess.Popen(["sleep", "60"], cwd=path) as process:
        try:
            (container,) = holders(store.context, store.resolve("img")).holders
            kinds = {each.kind: each for each in container.held_by}
            plan = plan_removal(store.context, [store.resolve("img")], force=True)
        finally:
            process.kill()

    assert (container.id, unplaced(container.command)) == ("c1", "cstore delete-container web")
    assert (kinds["mount"].id, unplaced(kinds["mount"].command)) == (path, "cstore unmount web")
    assert (kinds["process"].id, kinds["process"].names) == (str(process.pid), ("sleep",))
    assert plan.going == ()
    assert {type(each.error) for each in plan.refused} >= {ContainerOccupied}


def test_what_is_mounted_is_not_counted_twice(store: Store) -> None:
    """A container's merged tree is a view, and the bytes below it are in the lines of its layers."""
    path = store.mount("web")
    with open(os.path.join(path, "new"), "wb") as file:
        file.write(b"n" * 30_000)
    with open(os.path.join(path, "a"), "ab") as file:
        file.write(b"more")
    found = usage(store.context)

    assert found.total == found.du == du(store.config.graph_root)
    assert found.notes == ()
    own = next(line for line in found.lines if line.kind == "layer" and line.id not in {"base", "top"})
    assert own.disk >= 80_000


def test_a_home_that_is_bound_onto_itself_is_entered(store: Store) -> None:
    """As Podman does it: what is in there is still counted, once."""
    home = os.path.join(store.config.graph_root, "overlay")
    subprocess.run(["mount", "--bind", home, home], check=True)
    found = usage(store.context)

    assert found.total == found.du == du(store.config.graph_root)
    assert next(line for line in found.lines if line.id == "base").disk >= 50_000


def test_a_set_frees_more_than_its_parts(store: Store) -> None:
    """The layer that two images share goes with the second only; foretold, and then done."""
    store.images.create(NewImage(id="i2", layer="base", names=("other",)))
    alone = freed_by(store.context, [store.resolve("web"), store.resolve("img")])
    both = plan_removal(store.context, [store.resolve(name) for name in ("other", "img", "web")])
    tops = [os.path.join(store.config.graph_root, "overlay", each.id) for each in store.layers.list()]
    expected = sum(map(du, tops))

    assert both.freed - alone >= 50_000
    assert [(each.kind, each.id) for each in both.going if each.kind != "layer"] == [
        ("container", "c1"), ("image", "i2"), ("image", "i1"),
    ]  # fmt: skip
    assert expected <= both.freed <= expected + 20_000  # the tar-splits
