"""Work of several steps that was cut short: the next writer takes it back, or finishes it, and touches nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import SystemFailure
from cstore.store import NewImage, NewLayer
from cstore.store.intents import Intent

if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.store import Store
    from cstore.store.context import Context


@pytest.fixture
def context(store: Store) -> Context:
    """The inner side of the test's store, which is made."""
    store.layers.create(NewLayer(id="first"))
    store.layers.delete("first")
    return store._context


def left(store: Store) -> list[str]:
    """The intents on the disk."""
    directory = os.path.join(store.config.graph_root, "cstore-intents")
    return os.listdir(directory) if os.path.isdir(directory) else []


def abandoned(context: Context, *steps: dict[str, object]) -> Intent:
    """An intent whose owner died after these steps."""
    intent = Intent(context)
    for step in steps:
        intent.note(**step)
    intent.leave()
    return intent


def ids(store: Store) -> set[str]:
    """The layers."""
    return set(store.layers.ids())


def test_layers_of_a_dead_owner_go(store: Store, context: Context, reopen: Callable[[], Store]) -> None:
    """Topmost first, and also if the next writer has to do with something else."""
    store.layers.create(NewLayer(id="low"))
    store.layers.create(NewLayer(id="top", parent="low"))
    store.images.create(NewImage(id="other"))
    abandoned(context, {"layers": ["low"]}, {"layers": ["top", "never made"]})

    reopen().add_names("other", ["name"])

    assert ids(reopen()) == set()
    assert not left(store)


def test_what_something_needs_stays(store: Store, context: Context, reopen: Callable[[], Store]) -> None:
    """An image, a child, or somebody who lives and counts on it."""
    for layer, parent in (("of image", ""), ("below", ""), ("child", "below"), ("counted on", "")):
        store.layers.create(NewLayer(id=layer, parent=parent))
    store.images.create(NewImage(id="image", layer="of image"))
    alive = Intent(context)
    alive.note(uses="counted on")
    abandoned(context, {"layers": ["of image", "below", "counted on"]})

    reopen().layers.create(NewLayer(id="next"))

    assert ids(reopen()) == {"of image", "below", "child", "counted on", "next"}
    assert len(left(store)) == 1
    alive.done()
    assert not left(store)


def test_nothing_is_done_for_somebody_who_lives(store: Store, context: Context, reopen: Callable[[], Store]) -> None:
    """Its layers are whole and used by nothing, and stay: it goes on in a moment."""
    alive = Intent(context)
    alive.note(layers=["made"])
    store.layers.create(NewLayer(id="made"))

    reopen().layers.create(NewLayer(id="next"))

    assert ids(reopen()) == {"made", "next"}
    alive.done()


def test_an_image_of_a_dead_owner_goes_unless_somebody_took_it_up(
    store: Store, context: Context, reopen: Callable[[], Store]
) -> None:
    """One without a name goes with its data and layer; one that has a name by now stays with both."""
    for image, names in (("lost", ()), ("taken", ("mine",))):
        store.layers.create(NewLayer(id=image))
        store.images.create(NewImage(id=image, names=names, layer=image, data={"item": b"data"}))
    for image in ("lost", "taken"):
        abandoned(context, {"layers": [image]}, {"image": image})

    reopen().layers.create(NewLayer(id="next"))

    assert [image.id for image in reopen().images.list()] == ["taken"]
    assert ids(reopen()) == {"taken", "next"}
    assert reopen().images.get_data("taken", "item") == b"data"
    assert not os.path.exists(context.layout.image_data("lost"))


def test_complete_work_gets_its_names(store: Store, context: Context, reopen: Callable[[], Store]) -> None:
    """Once everything is there, nothing goes: the names are given, and taken from whoever had them."""
    store.images.create(NewImage(id="old", names=("name",)))
    store.images.create(NewImage(id="new"))
    abandoned(context, {"image": "new"}, {"of": "new", "names": ["name", "second"]}, {"complete": True})

    reopen().layers.create(NewLayer(id="next"))

    assert reopen().images.get("new").names == ("name", "second")
    assert reopen().images.get("old").names == ()
    assert not left(store)


def test_a_step_that_was_not_noted_whole_was_not_taken(store: Store, context: Context) -> None:
    """What a full disk cut off is left out, and what stands before it counts."""
    store.layers.create(NewLayer(id="noted"))
    store.layers.create(NewLayer(id="not noted"))
    abandoned(context, {"layers": ["noted"]})
    (name,) = left(store)
    with open(os.path.join(store.config.graph_root, "cstore-intents", name), "ab") as file:
        file.write(b'{"layers":["not noted"]')

    store.layers.create(NewLayer(id="next"))

    assert ids(store) == {"not noted", "next"}


def test_a_link_in_its_place_is_not_followed(store: Store, context: Context, tmp_path: object) -> None:
    """What stands there instead of a file is left alone."""
    store.layers.create(NewLayer(id="kept"))
    outside = os.path.join(str(tmp_path), "outside")
    with open(outside, "wb") as file:
        file.write(b'{"layers":["kept"]}\n')
    os.makedirs(context.layout.intents, exist_ok=True)
    os.symlink(outside, os.path.join(context.layout.intents, "1"))

    store.layers.create(NewLayer(id="next"))

    assert ids(store) == {"kept", "next"}


def test_nothing_is_done_that_cannot_be_noted(store: Store, context: Context) -> None:
    """Where the note cannot be written, it is the caller who hears of it, before anything happens."""
    with open(context.layout.intents, "wb"):
        pass
    store.layers.create(NewLayer(id="layer"))
    store.images.create(NewImage(id="image", layer="layer"))

    with pytest.raises(SystemFailure):
        store.images.delete("image")

    assert store.images.get("image").layer == "layer"
    assert ids(store) == {"layer"}
