"""`repair --from docker://NAME`: what is lost comes back from the registry that it came from."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore import open_store
from cstore.check.repair import RepairOptions
from cstore.errors import SourceUnusable
from cstore.transfer import copy
from cstore.transfer.registry_ends import RegistryAccess
from tests import fault_proxy as faults

if TYPE_CHECKING:
    from pathlib import Path

    from cstore import Store
    from cstore.registry import Access, Settings
    from tests.fault_proxy import FaultProxy
    from tests.registries import Pushed

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def store(tmp_path: Path, image: Pushed, proxy: FaultProxy, access: Access, settings: Settings) -> Store:
    """A store with the image."""
    made = open_store(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="overlay")
    whole = RegistryAccess(access, configuration=settings)
    copy(f"docker://{proxy.host}/app:1", "app:1", store=made, access=whole)
    proxy.forget()
    assert image
    return made


def tree(store: Store, number: int) -> str:
    """The directory of a layer, bottom first."""
    layer = store.layers.chain(store.images.list()[0].layer)[::-1][number].id
    return os.path.join(store.config.graph_root, "overlay", layer, "diff")


@pytest.mark.parametrize("lost", ["a file", "a layer", "a config"])
def test_what_is_lost_is_fetched_and_nothing_else(
    store: Store, proxy: FaultProxy, access: Access, image: Pushed, lost: str
) -> None:
    """One changed file, a whole tree, the config: only the layer that has it comes."""
    if lost == "a file":
        with open(os.path.join(tree(store, 0), "small"), "r+b") as file:
            file.write(b"two")
    elif lost == "a layer":
        shutil.rmtree(os.path.dirname(tree(store, 0)))
    else:
        record = store.images.list()[0]
        folder = os.path.join(store.config.graph_root, "overlay-images", record.id)
        os.unlink(os.path.join(folder, max(os.listdir(folder), key=lambda name: name.startswith("="))))
    assert not store.check().clean

    done = store.repair(RepairOptions(sources=(f"docker://{proxy.host}/app:1",), access=access))

    assert done.healed, done.left.findings
    assert not proxy.requests(f"GET .*/blobs/{image.layers[1]}")
    assert len(proxy.requests(f"GET .*/blobs/{image.layers[0]}")) == (lost != "a config")


def test_a_registry_that_lies_heals_nothing(store: Store, proxy: FaultProxy, access: Access, image: Pushed) -> None:
    """Wrong bytes are not used, and a name that is not there is an error in one sentence."""
    with open(os.path.join(tree(store, 0), "small"), "r+b") as file:
        file.write(b"two")
    proxy.fail(f"GET .*/blobs/{image.layers[0]}", faults.flipped(600), times=9)

    assert not store.repair(RepairOptions(sources=(f"docker://{proxy.host}/app:1",), access=access)).healed
    with pytest.raises(SourceUnusable, match="nosuch"):
        store.repair(RepairOptions(sources=(f"docker://{proxy.host}/nosuch:1",), access=access))
