"""Stores on both drivers, with Docker's layer store over them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.docker import LayerStore
from cstore.store import Store, open_store
from tests.builders import make_tar, regular
from tests.mounts import detach_all

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.docker.layer import ReadOnlyLayer

ONE = make_tar(regular("one.txt", b"first\n"))
TWO = make_tar(regular("two.txt", b"second\n"))
THREE = make_tar(regular("three.txt", b"third\n"))

Register = Callable[..., "ReadOnlyLayer"]


@pytest.fixture(params=["vfs", "overlay"])
def driver(request: pytest.FixtureRequest) -> str:
    """The drivers in turn."""
    if request.param == "overlay" and os.geteuid() != 0:
        pytest.skip("needs root: overlay marks removals with trusted attributes")
    return str(request.param)


@pytest.fixture
def reopen(tmp_path: Path, driver: str) -> Iterator[Callable[[], Store]]:
    """Open the test's store once more, as another process would; its mounts go with the test."""

    def open_it() -> Store:
        graph, run = str(tmp_path / "graph"), str(tmp_path / "run")
        overrides = Overrides(graph_root=graph, run_root=run, driver=driver, lock_timeout=20)
        return open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))

    yield open_it
    detach_all(str(tmp_path))


@pytest.fixture
def store(reopen: Callable[[], Store]) -> Store:
    """The test's store; nothing is on disk yet."""
    return reopen()


@pytest.fixture
def layers(store: Store) -> LayerStore:
    """Docker's layer store over the test's store."""
    return LayerStore(store)


@pytest.fixture
def register(layers: LayerStore, tmp_path: Path) -> Register:
    """Register the bytes of an archive, in the given layer store or the test's."""

    def register_it(archive: bytes, parent: str = "", inside: LayerStore = layers) -> ReadOnlyLayer:
        path = tmp_path / "archive"
        path.write_bytes(archive)
        with path.open("rb") as source:
            return inside.register(source.fileno(), parent)

    return register_it


@pytest.fixture
def chain(register: Register) -> list[ReadOnlyLayer]:
    """References to three layers on top of each other, bottom first."""
    first = register(ONE)
    second = register(TWO, first.chain_id)
    return [first, second, register(THREE, second.chain_id)]


class Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes | memoryview) -> None:
        """Take it."""
        self.data += bytes(data)

    @property
    def names(self) -> list[str]:
        """The entries, if it is a tar."""
        with tarfile.open(fileobj=io.BytesIO(self.data)) as tar:
            return [entry.name for entry in tar]
