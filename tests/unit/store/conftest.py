"""A store of the library, on vfs, in the test's own directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.store import NewLayer, Store, open_store
from cstore.store.session import Writer
from tests.builders import listing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cstore.records.model import Layer
    from cstore.store.places import ItemKind


def kept(graph: str) -> dict[str, str]:
    """What is in a store, less its lock files and the empty directories that every writer makes."""
    found = listing(graph)
    inner = {os.path.dirname(path) for path in found}
    return {
        path: kind
        for path, kind in found.items()
        if not path.endswith(".lock")
        and not (kind == "d" and path not in inner)
        and path not in {"vfs-images", "vfs-containers"}
    }


Import = Callable[..., "Layer"]


@pytest.fixture
def graph(tmp_path: Path) -> str:
    """The graph root of the test's store."""
    return str(tmp_path / "graph")


@pytest.fixture
def reopen(graph: str, tmp_path: Path) -> Callable[[], Store]:
    """Open the store once more, as another process would."""

    def open_it() -> Store:
        overrides = Overrides(graph_root=graph, run_root=str(tmp_path / "run"), driver="vfs", lock_timeout=20)
        return open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))

    return open_it


@pytest.fixture
def store(reopen: Callable[[], Store]) -> Store:
    """The test's store; nothing is on disk yet."""
    return reopen()


@contextmanager
def killed_at(save: int) -> Iterator[None]:
    """Interrupt a writer when it saves its records for the `save`th time, as a signal would; from 1."""
    original, saves = Writer.save, 0

    def killed(self: Writer, *item_kinds: ItemKind) -> None:
        nonlocal saves
        saves += 1
        if saves == save:
            raise KeyboardInterrupt
        original(self, *item_kinds)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Writer, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.fixture
def put(store: Store, tmp_path: Path) -> Import:
    """Import the bytes of an archive as a layer."""

    def put_it(archive: bytes, **request: object) -> Layer:
        path = tmp_path / "archive"
        path.write_bytes(archive)
        fd = os.open(path, os.O_RDONLY)
        try:
            return store.layers.put(NewLayer(**request), fd)  # type: ignore[arg-type]  # the test's keywords are NewLayer's
        finally:
            os.close(fd)

    return put_it


@pytest.fixture
def apply(store: Store, tmp_path: Path) -> Callable[[str, bytes], int]:
    """Apply the bytes of an archive to a layer."""

    def apply_it(layer: str, archive: bytes) -> int:
        path = tmp_path / "archive"
        path.write_bytes(archive)
        fd = os.open(path, os.O_RDONLY)
        try:
            return store.layers.apply_diff(layer, fd)
        finally:
            os.close(fd)

    return apply_it
