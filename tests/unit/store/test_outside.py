"""A link in the place of what cstore keeps in a store leads nobody outside: nothing is read, made or removed there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ForeignThing
from cstore.store import NewContainer, NewImage, NewLayer

if TYPE_CHECKING:
    from cstore.store import Store

INTENT = b'{"layers":["base"]}\n'
"""A note by which a next writer that believed it would remove the layer."""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of somebody else's, with names that stand in the store's own."""
    place = tmp_path / "outside"
    place.mkdir()
    for name, content in (("space", b""), ("1", b"theirs"), ("123", INTENT), ("item", b"theirs")):
        (place / name).write_bytes(content)
    return place


def held(place: Path) -> dict[str, bytes]:
    """What a directory holds."""
    return {path.name: path.read_bytes() for path in place.iterdir()}


@pytest.mark.parametrize("name", ["cstore-reserve", "cstore-intents"])
def test_what_cstore_adds_to_a_store(store: Store, outside: Path, name: str) -> None:
    """Neither the reserve is kept nor work is noted behind a link, and no note from there is believed."""
    place, before = Path(store.config.graph_root) / name, held(outside)
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(outside)

    store.layers.create(NewLayer(id="base"))
    store.gc()

    assert held(outside) == before
    assert place.is_symlink()
    assert store.layers.find("base") is not None


def test_data_of_an_image(store: Store, outside: Path) -> None:
    """What lies behind a link in the place of the data belongs to no record, and is not the store's to remove."""
    layer = store.layers.create(NewLayer())
    image = store.images.create(NewImage(layer=layer.id, data={"key": b"data"}))
    (data,) = Path(store.config.graph_root).glob(f"*-images/{image.id}")
    data.rename(data.with_name("elsewhere-" + data.name))
    data.symlink_to(outside)
    before = held(outside)

    store.gc()

    assert held(outside) == before


@pytest.mark.parametrize("kind", ["layers", "images", "containers"])
@pytest.mark.parametrize("sizes", [b"old", b"another size"])
def test_setting_data_behind_a_link(store: Store, outside: Path, kind: str, sizes: bytes) -> None:
    """It is refused, whether the record changes with it or not, and so is what a journal says of it."""
    layer = store.layers.create(NewLayer(id="l1"))
    image = store.images.create(NewImage(id="i1", layer=layer.id))
    container = store.containers.create(NewContainer(id="c1", image=image.id))
    owner = {"layers": layer.id, "images": image.id, "containers": container.id}[kind]
    getattr(store, kind).set_data(owner, "item", b"old")
    (data,) = Path(store.config.graph_root).glob(f"*-{kind}/{owner}")
    data.rename(data.with_name("elsewhere"))
    data.symlink_to(outside)
    before = held(outside)

    for _ in range(2):
        with pytest.raises(ForeignThing):
            getattr(store, kind).set_data(owner, "item", sizes)
    store.layers.create(NewLayer())

    assert held(outside) == before
