"""What a Python program expects of a library."""

from __future__ import annotations

import inspect
import json
import os
import pickle

import pytest

import cstore
from cstore import NewContainer, NewImage, NewLayer, errors
from cstore.check import check_store
from cstore.transfer import SaveRequest, load, save
from tests.conformance.lab import LIBRARY, OTHER, Lab, rows
from tests.unit.transfer.archives import as_tar, docker_archive


@rows(LIBRARY, "errors can be pickled", "str(error) is its message")
def errors_are_whole(lab: Lab) -> None:
    """In another process, and as a text."""
    with pytest.raises(errors.LayerUnknown) as raised:
        lab.store.layers.get("nothing")
    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301  - what was pickled a word ago
    assert (type(again), str(again)) == (errors.LayerUnknown, raised.value.message)


@rows(LIBRARY, "layers.put takes a path", "transfer.load takes a path or an open file", "save")
def archives_are_paths_or_files(lab: Lab) -> None:
    """To put, to load, to save."""
    path = lab.write("image.tar", as_tar(docker_archive()))
    image = load(lab.store, path).images[0]
    with open(path, "rb") as file:
        assert load(lab.store, file).images[0].id == image.id
    save(lab.store, SaveRequest(image.names), os.path.join(lab.top, "again.tar"))
    assert os.path.getsize(os.path.join(lab.top, "again.tar"))
    assert lab.store.layers.put(NewLayer(), lab.write("tar", OTHER)).diff_size == len(OTHER)


@rows(LIBRARY, "names='app' is refused")
def a_text_is_not_names(lab: Lab) -> None:
    """Nor is it a sequence of options."""
    for kind in (NewLayer, NewImage, NewContainer):
        with pytest.raises(TypeError, match="names"):
            kind(names="app")  # type: ignore[arg-type]  # the mistake
    layer = lab.put().id
    with pytest.raises(TypeError, match="names"):
        lab.store.set_names(layer, "app")


@rows(LIBRARY, "store.check, store.repair", "store.quarantine")
def a_store_checks_itself(lab: Lab) -> None:
    """As the functions do, which take a store, too."""
    lab.put()
    assert lab.store.check().findings == check_store(lab.store).findings
    assert lab.store.repair().case == ""
    assert list(lab.store.quarantine.list()) == []


@rows(LIBRARY, "help(NewLayer) shows its fields")
def requests_show_their_fields(lab: Lab) -> None:
    """With type and default."""
    for kind in (NewLayer, NewImage, NewContainer):
        parameters = inspect.signature(kind).parameters
        assert tuple(parameters) == kind.field_names()
        assert parameters["names"].default == ()
    assert lab.store.layers.list() == []


@rows(LIBRARY, "records can be members of a set", "records have documents with the command's keys")
def records_are_hashable(lab: Lab) -> None:
    """And can be written as JSON."""
    layer, image, container = lab.put(flags={"a": [1]}), lab.image(), lab.container()
    assert len({layer, image, container, *lab.store.layers.list()}) == len(lab.store.layers.list()) + 2
    documents = (layer.document(), image.document(), container.document())
    for document, item in zip(documents, (layer.id, image.id, container.id), strict=True):
        assert json.loads(json.dumps(document))["id"] == item


@rows(LIBRARY, "a store is a context manager, a mount too", "layers.chain", "layers.users")
def a_with_is_enough(lab: Lab) -> None:
    """For a store and for a mount; a layer tells what it is built on and who needs it."""
    with lab.open() as store:
        base = store.layers.create(NewLayer())
        top = store.layers.create(NewLayer(parent=base.id))
        with store.mounting(top.id) as path:
            assert os.path.isdir(path)
    assert store.layers.chain(top.id) == [top, base]
    assert [item.id for item in store.layers.users(base.id)] == [top.id]


@rows(LIBRARY, "open_store by path", "enter_user_namespace is public")
def the_door_offers_what_programs_need(lab: Lab) -> None:
    """By name, without looking into rooms."""
    store = cstore.open_store(graph_root=f"{lab.top}/graph", run_root=f"{lab.top}/run", driver=lab.driver)
    assert store.layers.list() == []
    assert callable(cstore.enter_user_namespace)
