"""A wrong type is refused by the name of its argument, before anything is done; so is what cannot be read."""

from __future__ import annotations

import importlib
import inspect
import io
import os
from typing import TYPE_CHECKING, Any

import pytest

import cstore
from cstore import LockPolicy, NewContainer, NewImage, NewLayer, StoreConfig, arguments, errors, load_config, open_store
from cstore.check import CheckOptions
from cstore.check.repair import RepairOptions
from cstore.docker import ImageStore, LayerStore
from cstore.insight import Rules
from cstore.transfer import (
    CopyRequest,
    ImportRequest,
    LoadRequest,
    SaveRequest,
    SyncRequest,
    copy,
    import_image,
    load,
    sync,
)
from tests.builders import listing, make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ARCHIVE = make_tar(regular("file", b"text"))
DOORS = ("transfer", "registry", "check", "check.repair", "contents", "insight")
CLASSES = ("layers", "images", "containers", "quarantine")
FREE = {"Any", "object", "R", "Process", "Environment", "Intent | None"}
"""Annotations of which nothing is expected."""


class Nothing:
    """What no function takes."""

    def __repr__(self) -> str:
        return "nothing"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> cstore.Store:
    """A store with one item of each kind."""
    top = tmp_path_factory.mktemp("store")
    made = open_store(graph_root=str(top / "graph"), run_root=str(top / "run"), driver="vfs")
    layer = made.layers.put(NewLayer(names=("layer",)), ARCHIVE)
    image = made.images.create(NewImage(layer=layer.id, names=("image",)))
    made.containers.create(NewContainer(image=image.id, names=("container",)))
    return made


def functions(store: cstore.Store) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function and method that is there to be called."""
    objects: dict[str, object] = {name: getattr(store, name) for name in CLASSES}
    objects |= {"store": store, "LayerStore": LayerStore(store), "ImageStore": ImageStore(store)}
    objects["writable"] = LayerStore(store).writable
    for owner, thing in objects.items():
        for name, member in inspect.getmembers(thing, inspect.isroutine):
            if not name.startswith("_"):
                yield f"{owner}.{name}", member
    yield "open_store", open_store
    for door in DOORS:
        module = importlib.import_module(f"cstore.{door}")
        for name in module.__all__:
            if inspect.isfunction(found := getattr(module, name)) and found.__code__.co_filename == arguments.__file__:
                yield f"{door}.{name}", found


def test_every_argument_of_a_wrong_type_is_named(store: cstore.Store) -> None:
    """Whatever else is given; nothing changes."""
    before, asked, silent = listing(store.config.graph_root), 0, []
    for title, function in functions(store):
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.annotation in FREE or parameter.kind is parameter.VAR_KEYWORD:
                continue
            asked += 1
            try:
                silent.append(f"{title}({name}) gives {function(**{name: Nothing()})!r}")
            except TypeError as error:
                if f" {name} must be " not in str(error):
                    silent.append(f"{title}({name}): {error}")

    assert silent == []
    assert asked > 250
    assert listing(store.config.graph_root) == before


REQUESTS: dict[type[Any], Callable[[cstore.Store, Any], object]] = {
    NewLayer: lambda store, request: store.layers.put(request, ARCHIVE),
    NewImage: lambda store, request: store.images.create(request),
    NewContainer: lambda store, request: store.containers.create(request),
    CheckOptions: lambda store, request: store.check(request),
    RepairOptions: lambda store, request: store.repair(request),
    ImportRequest: lambda store, request: import_image(store, ARCHIVE, request),
    LoadRequest: lambda store, request: load(store, ARCHIVE, request),
    SaveRequest: lambda store, request: importlib.import_module("cstore.transfer").save(store, request, io.BytesIO()),
    Rules: lambda store, request: importlib.import_module("cstore.insight").plan_prune(store, request),
    CopyRequest: lambda _, request: copy("dir:/nowhere", "oci:/nowhere", request),
    SyncRequest: lambda _, request: list(sync("dir:/nowhere", "oci:/nowhere", request, print)),
    StoreConfig: lambda _, request: open_store(request),
    LockPolicy: lambda store, request: open_store(store.config, lock_policy=request),
}


@pytest.mark.parametrize("kind", list(REQUESTS), ids=lambda kind: kind.__name__)
def test_every_field_of_a_wrong_type_is_named(store: cstore.Store, kind: type[Any]) -> None:
    """In each request, whoever it is for; nothing changes."""
    before, silent = listing(store.config.graph_root), []
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.annotation in FREE:
            continue
        try:
            base = store.config if kind is StoreConfig else kind(("x",)) if kind is SaveRequest else kind()
            request = base.with_(**{name: Nothing()}) if hasattr(base, "with_") else kind(**{name: Nothing()})
            silent.append(f"{name} gives {REQUESTS[kind](store, request)!r}")
        except TypeError as error:
            if name not in str(error):
                silent.append(f"{name}: {error}")

    assert silent == []
    assert listing(store.config.graph_root) == before


# ── what cannot be read ──


def _closed() -> int:
    """The number of a descriptor that nothing is open behind."""
    fd = os.open("/dev/null", os.O_RDONLY)
    os.close(fd)
    return fd


class Failing:
    """A stream that breaks."""

    def read(self, size: int = -1) -> bytes:
        """Fail."""
        raise OSError(5, os.strerror(5))


class Texts:
    """A stream of texts where bytes are needed."""

    def read(self, size: int = -1) -> str:
        """Give a text."""
        return "text"


def _closed_file() -> io.BytesIO:
    file = io.BytesIO(ARCHIVE)
    file.close()
    return file


SOURCES: dict[str, Callable[[], Any]] = {
    "a closed descriptor": _closed,
    "a closed file": _closed_file,
    "a number that is no descriptor": lambda: -1,
    "a path that is not there": lambda: "/nowhere/at/all",
    "a directory": lambda: "/",
    "a stream that fails": Failing,
    "a stream of texts": Texts,
    "a path with a zero byte": lambda: "a\0b",
}


@pytest.mark.parametrize("name", list(SOURCES))
def test_what_cannot_be_read_is_an_error_of_the_family(store: cstore.Store, name: str) -> None:
    """For each function that reads; nothing changes."""
    before = listing(store.config.graph_root)
    calls: dict[str, Callable[[Any], object]] = {
        "put": lambda source: store.layers.put(NewLayer(), source),
        "apply_diff": lambda source: store.layers.apply_diff("layer", source),
        "layer data": lambda source: store.layers.set_data("layer", "key", source),
        "image data": lambda source: store.images.set_data("image", "key", source),
        "container data": lambda source: store.containers.set_data("container", "key", source),
        "file": lambda source: store.containers.write_file("container", "name", source),
        "load": lambda source: load(store, source),
        "import": lambda source: import_image(store, source, ImportRequest(name="app")),
        "register": lambda source: LayerStore(store).register(source),
    }
    for call, function in calls.items():
        with pytest.raises((errors.CstoreError, TypeError)) as refused:
            function(SOURCES[name]())
        assert str(refused.value), call
    after = {path: kind for path, kind in listing(store.config.graph_root).items() if path in before or kind != "d"}
    assert {path: kind for path, kind in after.items() if not path.endswith(".lock")} == {
        path: kind for path, kind in before.items() if not path.endswith(".lock")
    }


def test_sinks_that_cannot_be_written_to_are_errors_of_the_family(store: cstore.Store, tmp_path: Path) -> None:
    """Closed, full, absent."""
    closed = io.BytesIO()
    closed.close()
    reader = io.BytesIO()
    sinks: tuple[Any, ...] = (_closed(), closed, -1, "/nowhere/at/all", str(tmp_path), "a\0b", "/dev/full")
    for sink in sinks:
        for call in (store.layers.diff, store.layers.write_tree, store.layers.write_changes):
            with pytest.raises((errors.CstoreError, TypeError)):
                call("layer", sink)
    store.layers.diff("layer", reader)
    assert reader.getvalue() == ARCHIVE


def test_empty_streams_are_not_what_a_digest_says(store: cstore.Store) -> None:
    """Nor is an empty digest one, nor a part of one."""
    digest = store.layers.get("layer").diff_digest
    with pytest.raises(errors.ArchiveUnexpected):
        store.layers.put(NewLayer(expect=digest), io.BytesIO())
    for wrong in ("", "sha256:", digest[:-1], digest.upper(), "md5:1"):
        for call in (store.layers.by_digest, store.images.by_digest, store.digest_lock):
            with pytest.raises(errors.InvalidDigest):
                call(wrong)


@pytest.mark.parametrize("kind", [LayerStore, ImageStore])
def test_docker_s_stores_are_made_of_a_store(kind: type[LayerStore | ImageStore]) -> None:
    """And of nothing else."""
    wrong: Any = "/var/lib/docker"
    with pytest.raises(TypeError, match="store must be Store, not str"):
        kind(wrong)


def test_a_configuration_names_what_is_wrong() -> None:
    """Also where nothing is opened."""
    wrong: Any = 5
    with pytest.raises(TypeError, match="overrides"):
        load_config(wrong)
    with pytest.raises(TypeError, match=r"overrides\.graph_root"):
        load_config(cstore.Overrides(graph_root=wrong))
