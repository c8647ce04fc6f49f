"""A store, and ways to load into it and save from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from cstore.config import Overrides, load_config
from cstore.store import Store, open_store
from cstore.transfer import LoadRequest, LoadResult, SaveRequest, load, save
from tests.builders import listing

if TYPE_CHECKING:
    from pathlib import Path

Load = Callable[..., LoadResult]
Save = Callable[..., bytes]


@pytest.fixture
def graph(tmp_path: Path) -> str:
    """The graph root of the test's store."""
    return str(tmp_path / "graph")


@pytest.fixture
def store(graph: str, tmp_path: Path) -> Store:
    """The test's store, on vfs; nothing is on disk yet."""
    overrides = Overrides(graph_root=graph, run_root=str(tmp_path / "run"), driver="vfs", lock_timeout=20, sync=False)
    return open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))


@pytest.fixture
def load_bytes(store: Store, tmp_path: Path) -> Load:
    """Load an archive: from a file, or with `stream` from a pipe."""

    def load_it(archive: bytes, *, stream: bool = False, **wanted: Any) -> LoadResult:
        request = LoadRequest(**wanted)
        if stream:
            return _through_a_pipe(store, archive, request)
        path = tmp_path / "archive.tar"
        path.write_bytes(archive)
        return load_path(store, str(path), request)

    return load_it


def load_path(store: Store, path: str, request: LoadRequest | None = None) -> LoadResult:
    """Load a file or a directory."""
    source = os.open(path, os.O_RDONLY)
    try:
        return load(store, source, request or LoadRequest(), shown=os.path.basename(path))
    finally:
        os.close(source)


def _through_a_pipe(store: Store, archive: bytes, request: LoadRequest) -> LoadResult:
    """Let another process write, as a shell would."""
    source, sink = os.pipe()
    writer = os.fork()
    if not writer:
        os.close(source)
        try:
            with open(sink, "wb") as file:
                file.write(archive)
        except OSError:
            pass
        finally:
            os._exit(0)
    os.close(sink)
    try:
        return load(store, source, request, shown="stdin")
    finally:
        os.close(source)
        os.waitpid(writer, 0)


@dataclass
class Collected:
    """A sink in memory."""

    data: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes | memoryview, /) -> None:
        """Take all of it."""
        self.data += data


@pytest.fixture
def save_bytes(store: Store) -> Save:
    """Save images into memory."""

    def save_it(*words: str, **wanted: Any) -> bytes:
        sink = Collected()
        save(store, SaveRequest(words, **wanted), sink)
        return bytes(sink.data)

    return save_it


def contents(graph: str) -> dict[str, str]:
    """What is in a store, less lock files and empty directories, which every writer makes."""
    found = listing(graph)
    inner = {os.path.dirname(path) for path in found}
    return {
        path: kind
        for path, kind in found.items()
        if not path.endswith(".lock") and not (kind == "d" and path not in inner)
    }
