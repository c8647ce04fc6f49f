"""Images on overlay: mounted read-only, from additional stores too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.config import Overrides, load_config
from cstore.store import NewImage, NewLayer, Store, open_store
from tests.builders import make_tar, regular
from tests.mounts import detach_all, mounts_below
from tests.unit.store.test_extra_stores import put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

ARCHIVE = make_tar(regular("file", b"12345", uid=7, gid=8))


@pytest.fixture
def open_at(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Open an overlay store in a named directory of the test; its mounts go with the test."""

    def open_it(name: str, **settings: Any) -> Store:
        overrides = Overrides(
            graph_root=str(tmp_path / name), run_root=str(tmp_path / f"{name}-run"), driver="overlay", **settings
        )
        return open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))

    yield open_it
    detach_all(str(tmp_path))


@pytest.fixture
def above(open_at: Callable[..., Store], tmp_path: Path) -> Store:
    """An empty store that looks into one with an image."""
    extra = open_at("extra")
    put(extra, tmp_path, ARCHIVE, id="base")
    extra.images.create(NewImage(id="i1", layer="base"))
    extra.shutdown()
    return open_at("own", driver_options=(f"overlay.imagestore={tmp_path / 'extra'}",))


def test_an_image_of_an_additional_store_is_mounted(above: Store, tmp_path: Path) -> None:
    """Beside other mounts, with a count of its own that they leave alone; by ID or by mount point it ends."""
    path = above.images.mount("i1")

    assert path.startswith(str(tmp_path / "own-run"))
    assert os.listdir(path) == ["file"]
    with pytest.raises(OSError, match="Read-only"):
        open(os.path.join(path, "new"), "w", encoding="ascii")  # noqa: SIM115  - it is not opened
    above.layers.create(NewLayer(id="child", parent="base"))
    above.mount("child")
    assert above.images.mount("i1") == path
    above.unmount("child")
    assert (above.unmount(path), above.images.unmount("i1")) == (True, False)
    assert path not in mounts_below(str(tmp_path))
