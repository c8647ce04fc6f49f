"""What a check of the interface works with: a store of its own with one driver, and the table that it stands in."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from cstore import NewContainer, NewImage, NewLayer, Overrides, Store, load_config, open_store
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore import Container, CstoreError, Image, Layer

STORAGE, LAYER, IMAGE, OVERLAY2, LIBRARY = (
    "containers/storage", "docker layer", "docker image", "docker overlay2", "library",
)  # fmt: skip
DRIVERS = ("vfs", "overlay", "btrfs")
ARCHIVE = make_tar(regular("file", b"text"))
OTHER = make_tar(regular("other", b"more"))
LIMITS = "Limits of a layer (`size`, `inodes`) with overlay and vfs. They need project quotas"
COMPATIBILITY = os.path.join(os.path.dirname(__file__), *[os.pardir] * 2, "docs", "compatibility.md")


@dataclass(frozen=True)
class Check:
    """A function that answers for some rows of one interface."""

    interface: str
    rows: tuple[str, ...]
    run: Callable[[Lab], None]
    drivers: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the check is called in a report."""
        return self.run.__name__

    @property
    def promise(self) -> str:
        """What its rows must do."""
        return (self.run.__doc__ or "").strip().splitlines()[0]


CHECKS: Final[list[Check]] = []


def rows(interface: str, *names: str, drivers: tuple[str, ...] = DRIVERS) -> Callable[..., Callable[[Lab], None]]:
    """Declare that a function answers for these rows; with fewer drivers, where a row is about these alone."""

    def declare(function: Callable[[Lab], None]) -> Callable[[Lab], None]:
        CHECKS.append(Check(interface, names, function, drivers))
        return function

    return declare


class Lab:
    """A store that nothing is in yet."""

    def __init__(self, driver: str, top: str) -> None:
        self.driver = driver
        self.top = top
        self.store = self.open()

    def open(self, name: str = "", *, degraded: bool = False, **settings: Any) -> Store:
        """Open the store, or another one beside it, with other settings."""
        overrides = Overrides(
            graph_root=os.path.join(self.top, f"{name}graph"),
            run_root=os.path.join(self.top, f"{name}run"),
            driver=self.driver,
            sync=False,
            **settings,
        )
        return open_store(load_config(overrides, environ={"HOME": self.top}), degraded=degraded)

    def put(self, archive: bytes = ARCHIVE, **request: Any) -> Layer:
        """Make a layer."""
        return self.store.layers.put(NewLayer(**request), archive)

    def image(self, **request: Any) -> Image:
        """Make an image, of a new layer if none is named."""
        return self.store.images.create(NewImage(**{"layer": request.get("layer") or self.put().id, **request}))

    def container(self, **request: Any) -> Container:
        """Make a container, of a new image if none is named."""
        wanted = {"image": self.image().id, **request} if "image" not in request else request
        return self.store.containers.create(NewContainer(**wanted))

    def write(self, name: str, data: bytes) -> str:
        """Write a file beside the store and return its path."""
        path = os.path.join(self.top, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def records(self, kind: str = "layers") -> str:
        """The record file of a kind."""
        return os.path.join(self.top, "graph", f"{self.driver}-{kind}", f"{kind}.json")

    @contextmanager
    def above(self) -> Iterator[Store]:
        """A store that looks into the lab's own as an additional one."""
        yield self.open("above", driver_options=(f"{self.driver}.imagestore={self.top}/graph",))

    @staticmethod
    def refused(call: Callable[[], object], error: type[CstoreError], sentence: str) -> None:
        """See that a call is refused, and that the documentation says so."""
        with pytest.raises(error):
            call()
        with open(COMPATIBILITY, encoding="utf-8") as file:
            assert sentence in " ".join(file.read().split()), f"docs/compatibility.md does not say: {sentence}"
