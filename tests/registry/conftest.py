"""Registries that the tests of a file share, a proxy before one, and clients that know nothing of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore import open_store
from cstore.registry import Access, Clock, Repository, Retrying, Settings, load_settings, open_repository
from cstore.transfer import RegistryAccess
from tests.fault_proxy import FaultProxy
from tests.registries import Authority, Registry, TokenService, layer_of, make_authority, running_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cstore import Store
    from tests.registries import Pushed

BIG = 700_001
"""Bytes in the file of the larger layer: several pieces, and no round number of them."""


class InstantClock(Clock):
    """A clock that does not wait, and remembers how long it should have."""

    def __init__(self, waits: list[float]) -> None:
        super().__init__()
        self._waits = waits

    def sleep(self, seconds: float) -> None:
        self._waits.append(seconds)


@pytest.fixture(scope="module")
def image(registry: Registry) -> Pushed:
    """An image there, `app:1`, whose second layer is the larger one."""
    noise = bytes((place * place + place // 251) % 256 for place in range(BIG))
    return registry.push("app:1", [layer_of({"small": b"one"}), layer_of({"big": noise})])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA."""
    return make_authority(str(tmp_path_factory.mktemp("ca")))


@pytest.fixture(scope="module")
def locked_registry(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Registry]:
    """A registry that speaks TLS and wants a password."""
    folder = str(tmp_path_factory.mktemp("locked"))
    with running_registry(folder, authority=authority, passwords=True) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[TokenService]:
    """A token service."""
    with TokenService(str(tmp_path_factory.mktemp("tokens")), authority) as service:
        yield service


@pytest.fixture(scope="module")
def token_registry(tmp_path_factory: pytest.TempPathFactory, tokens: TokenService) -> Iterator[Registry]:
    """A registry that wants tokens of that service."""
    with running_registry(str(tmp_path_factory.mktemp("token-registry")), tokens=tokens) as running:
        yield running


@pytest.fixture
def proxy(registry: Registry) -> Iterator[FaultProxy]:
    """A proxy before the plain registry."""
    with FaultProxy(registry.host) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The configuration of a machine that has none."""
    return load_settings({"HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path)}, system=str(tmp_path))


@pytest.fixture
def waits() -> list[float]:
    """The seconds that clients of the test should have waited."""
    return []


@pytest.fixture
def access(waits: list[float]) -> Access:
    """To plain HTTP, without waiting."""
    return Access(
        tls_verify=False,
        retrying=Retrying(attempts=3),
        clock=lambda: InstantClock(waits),
        read_timeout=10,
        connect_timeout=10,
    )


@pytest.fixture
def opened(access: Access, settings: Settings) -> Iterator[Callable[..., Repository]]:
    """Makes clients, which are closed at the end."""
    made: list[Repository] = []

    def make(name: str, *, access: Access = access, settings: Settings = settings, writing: bool = False) -> Repository:
        made.append(open_repository(name, access=access, settings=settings, writing=writing))
        return made[-1]

    yield make
    for repository in made:
        repository.close()


@pytest.fixture
def whole(access: Access, settings: Settings) -> RegistryAccess:
    """To the registry, with nothing configured."""
    return RegistryAccess(access, configuration=settings)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store without anything in it."""
    return open_store(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="vfs")
