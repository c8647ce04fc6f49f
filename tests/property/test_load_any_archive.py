"""Laws of loading: the order of members means nothing, and no single wrong byte gets by."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.config import Overrides, load_config
from cstore.errors import CstoreError
from cstore.oci.chain import layer_ids
from cstore.store import open_store
from cstore.transfer import LoadRequest, load
from tests.builders import flip_byte
from tests.unit.transfer.archives import (
    BASE,
    CHANGE,
    TOP,
    as_json,
    as_tar,
    config_of,
    docker_archive,
    oci_layout,
    sha,
    v1_archive,
)

if TYPE_CHECKING:
    from cstore.store import Store

pytestmark = pytest.mark.usefixtures("needs_root")

LAYERS = (BASE, CHANGE, TOP)
IDS = set(layer_ids(map(sha, LAYERS)))
IMAGE = sha(config_of(LAYERS))[7:]
KINDS = {"docker": docker_archive(LAYERS), "oci": oci_layout(LAYERS), "plain oci": oci_layout(LAYERS, zipped=False)}


def store_in(folder: str) -> Store:
    """A store that nobody has opened."""
    overrides = Overrides(graph_root=f"{folder}/graph", run_root=f"{folder}/run", driver="vfs", sync=False)
    return open_store(load_config(overrides, environ={"HOME": folder}))


def load_archive(store: Store, archive: bytes, *, stream: bool) -> None:
    """Load from a file, or from what is none."""
    with tempfile.TemporaryFile() as file:
        file.write(archive)
        file.seek(0)
        if not stream:
            load(store, file.fileno(), LoadRequest())
            return
        source, sink = os.pipe()
        writer = os.fork()
        if not writer:
            os.close(source)
            try:
                while piece := os.read(file.fileno(), 1 << 16):
                    os.write(sink, piece)
            except OSError:
                pass
            finally:
                os._exit(0)
        os.close(sink)
        try:
            load(store, source, LoadRequest())
        finally:
            os.close(source)
            os.waitpid(writer, 0)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)), stream=st.booleans())
def test_the_order_of_members_means_nothing(data: st.DataObject, kind: str, *, stream: bool) -> None:
    """Documents first, last or in between, layers in any order, from a file or a pipe."""
    members = KINDS[kind]
    order = data.draw(st.permutations(list(members)))
    with tempfile.TemporaryDirectory() as folder:
        store = store_in(folder)
        load_archive(store, as_tar(members, first=order), stream=stream)

        assert {layer.id for layer in store.layers.list()} == IDS
        assert [(image.id, image.names) for image in store.images.list()] == [(IMAGE, ("example.org/app:1",))]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["oci", "plain oci"]), stream=st.booleans())
def test_no_wrong_byte_gets_by(data: st.DataObject, kind: str, *, stream: bool) -> None:
    """Any one byte of an OCI archive may be wrong: either it does not matter, or nothing at all is loaded."""
    archive = as_tar(KINDS[kind])
    archive = flip_byte(archive, data.draw(st.integers(0, len(archive) - 1)))
    with tempfile.TemporaryDirectory() as folder:
        store = store_in(folder)
        try:
            load_archive(store, archive, stream=stream)
        except CstoreError:
            assert store.layers.list() == []
            assert store.images.list() == []
        else:
            assert {layer.id for layer in store.layers.list()} == IDS
            assert [image.id for image in store.images.list()] == [IMAGE]


WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    1 << 70,
    1.5,
    "",
    "x",
    "../x",
    "\0",
    "sha256:00",
    [],
    {},
    [[]],
    [{}],
    {"x": None},
]
"""What may stand where something else should."""


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every place in a document: what holds it, and under which key or index."""
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    return [place for key in keys for place in ((document, key), *places(document[key]))]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["docker", "plain oci", "oldest"]))
def test_no_document_makes_it_stumble(data: st.DataObject, kind: str) -> None:
    """Whatever stands in a document, it is understood or refused; if refused, nothing is loaded."""
    members = dict({**KINDS, "oldest": v1_archive()}[kind])
    name = data.draw(st.sampled_from(sorted(name for name, body in members.items() if body[:1] in b"{[")))
    document = json.loads(members[name])
    holder, key = data.draw(st.sampled_from(places(document)))
    if data.draw(st.booleans()):
        del holder[key]
    else:
        holder[key] = data.draw(st.sampled_from(WRONG))
    with tempfile.TemporaryDirectory() as folder:
        store = store_in(folder)
        try:
            load_archive(store, as_tar({**members, name: as_json(document)}), stream=data.draw(st.booleans()))
        except CstoreError:
            assert store.layers.list() == []
            assert store.images.list() == []
