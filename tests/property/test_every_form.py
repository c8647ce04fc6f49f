"""The law of forms: one image loads alike from everything that holds it."""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.transfer import LoadRequest, load
from tests.builders import compress, hardlink, make_tar, regular, symlink
from tests.property.test_load_any_archive import IDS, IMAGE, LAYERS, load_archive, store_in
from tests.unit.transfer.archives import BASE, CHANGE, config_of, docker_archive, oci_layout, sha

if TYPE_CHECKING:
    from cstore.store import Store
    from tests.builders import Entry
    from tests.unit.transfer.archives import Members

pytestmark = pytest.mark.usefixtures("needs_root")

KINDS = {"docker": docker_archive(LAYERS), "oci": oci_layout(LAYERS), "plain oci": oci_layout(LAYERS, zipped=False)}
LINKS = ["none", "hard", "symbolic", "absolute", "two", "directory"]


def linked(name: str, body: bytes, how: str) -> list[Entry]:
    """A member, or a link of that name and what it leads to."""
    up = "../" * name.count("/")
    if how == "hard":
        return [regular(f"pool/{name}", body), hardlink(name, f"pool/{name}")]
    if how == "symbolic":
        return [regular(f"pool/{name}", body), symlink(name, f"{up}pool/{name}")]
    if how == "absolute":
        return [regular(f"/pool/{name}", body), symlink(name, f"/pool/{name}")]
    if how == "two":
        hop = f"{name}.hop"
        return [regular(f"pool/{name}", body), symlink(hop, f"{up}pool/{name}"), symlink(name, f"/{hop}")]
    return [regular(name, body)]


def entries_of(members: Members, how: str, slash: str) -> list[Entry]:
    """The members of an archive, each behind a link; `slash` comes before the name of each."""
    if how == "directory":
        moved = {(f"real/{name[6:]}" if name.startswith("blobs/") else name): body for name, body in members.items()}
        return [symlink("blobs", "real"), *(regular(slash + name, body) for name, body in moved.items())]
    return [entry for name, body in members.items() for entry in linked(name, body, how)]


def check(store: Store) -> None:
    """The store has the one image, with its name and its layers, and nothing else."""
    assert {layer.id for layer in store.layers.list()} == IDS
    assert [(image.id, image.names) for image in store.images.list()] == [(IMAGE, ("example.org/app:1",))]


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    kind=st.sampled_from(sorted(KINDS)),
    packed=st.sampled_from(["", "gzip", "zstd", "xz", "bzip2"]),
    links=st.sampled_from(LINKS),
    slash=st.sampled_from(["", "/", "./"]),
    stream=st.booleans(),
)
def test_archives(data: st.DataObject, kind: str, packed: str, links: str, slash: str, *, stream: bool) -> None:
    """A file or a pipe, compressed or not, members in any order, with links or absolute names."""
    entries = data.draw(st.permutations(entries_of(KINDS[kind], links, slash)))
    archive = make_tar(*entries)
    with tempfile.TemporaryDirectory() as folder:
        store = store_in(folder)
        load_archive(store, compress(archive, packed) if packed else archive, stream=stream)
        check(store)


@pytest.mark.parametrize("links", LINKS)
@pytest.mark.parametrize("kind", ["docker", "oci"])
def test_directories(kind: str, links: str) -> None:
    """The same members in a directory, with the same links in it."""
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "layout")
        for name, body in KINDS[kind].items():
            _put(place, name, body, links)
        if links == "directory" and kind == "oci":
            os.rename(f"{place}/blobs", f"{place}/real")
            os.symlink("real", f"{place}/blobs")
        store = store_in(folder)
        source = os.open(place, os.O_RDONLY)
        try:
            load(store, source, LoadRequest())
        finally:
            os.close(source)
        check(store)


def _put(place: str, name: str, body: bytes, links: str) -> None:
    path, pool = os.path.join(place, name), os.path.join(place, "pool", name)
    for target in (path, pool):
        os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(pool, "wb") as file:
        file.write(body)
    if links == "hard":
        os.link(pool, path)
    elif links in {"symbolic", "two"}:
        os.symlink(os.path.relpath(pool, os.path.dirname(path)), path)
    elif links == "absolute":
        os.symlink(f"/pool/{name}", path)
    else:
        shutil.copy(pool, path)


@pytest.mark.parametrize("packed", ["", "gzip"])
@pytest.mark.parametrize("stream", [False, True])
def test_one_layer_twice(packed: str, *, stream: bool) -> None:
    """A layer that comes again further up may be a link to the first: its contents are not used up by the first use."""
    layers = (BASE, CHANGE, BASE)
    members = docker_archive(layers)
    config = sha(config_of(layers))[7:]
    name, again = f"{sha(BASE)[7:]}.tar", "again.tar"
    manifest = members["manifest.json"].replace(f'"{name}"]'.encode(), f'"{again}"]'.encode())
    archive = make_tar(
        regular("manifest.json", manifest),
        regular(f"{config}.json", members[f"{config}.json"]),
        regular(name, BASE),
        regular(f"{sha(CHANGE)[7:]}.tar", CHANGE),
        hardlink(again, name),
    )
    with tempfile.TemporaryDirectory() as folder:
        store = store_in(folder)
        load_archive(store, compress(archive, packed) if packed else archive, stream=stream)
        assert [image.id for image in store.images.list()] == [config]
        assert len(store.layers.list()) == 3
