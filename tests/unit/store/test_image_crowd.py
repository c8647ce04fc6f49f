"""Many processes at once: no image is lost, no name is given twice, no layer goes that a new image needs."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from cstore.errors import InUse, NameTaken, NotALayer, UnknownItem
from cstore.store import NewImage, NewLayer, Store

if TYPE_CHECKING:
    from collections.abc import Callable


def together(*works: Callable[[], object]) -> None:
    """Do each work in a process of its own, all at once."""
    children = []
    for work in works:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)


def test_makers_of_images_take_turns(reopen: Callable[[], Store], store: Store) -> None:
    """All images of all makers are there, with their data; one of them has the name that all wanted."""
    store.layers.create(NewLayer(id="base"))

    def make(maker: int) -> None:
        own = reopen()
        for number in range(8):
            own.images.create(NewImage(id=f"{maker}-{number}", layer="base", data={"manifest": b"%d" % maker}))
            own.add_names(f"{maker}-{number}", [f"of-{maker}"])
        with suppress(NameTaken):
            own.images.create(NewImage(names=("wanted",)))

    together(*(lambda maker=maker: make(maker) for maker in range(4)))

    assert len(store.images.list()) == 33
    for maker in range(4):
        assert store.images.get(f"of-{maker}").id == f"{maker}-7"
        assert store.images.get_data(f"{maker}-3", "manifest") == b"%d" % maker
    assert sum("wanted" in image.names for image in store.images.list()) == 1


def test_no_layer_goes_that_a_new_image_needs(reopen: Callable[[], Store], store: Store) -> None:
    """One makes images of a layer while others delete images and the layer: whatever is left is whole."""

    def make() -> None:
        own = reopen()
        for _ in range(25):
            with suppress(UnknownItem):
                own.images.create(NewImage(layer="base"))

    def delete() -> None:
        own = reopen()
        for _ in range(25):
            for image in own.images.list():
                with suppress(UnknownItem, InUse):
                    own.images.delete(image.id)
            with suppress(NotALayer, InUse):
                own.layers.delete("base")

    for _ in range(3):
        if store.layers.find("base") is None:
            store.layers.create(NewLayer(id="base"))
        together(make, make, delete)
        for image in store.images.list():
            assert store.images.size(image.id) == 0
    assert store.flaws == []
