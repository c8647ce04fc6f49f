"""Fixtures for all tests: a clean environment, a private store, and runners for cstore and other programs.

The header of a run says which capabilities it lacks.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import HealthCheck, settings

from tests import processes
from tests.disk import can_make_disks, fresh_disk
from tests.loops import loop_disk
from tests.mounts import detach_views
from tests.zfs_on_directories import install
from tests.zygote import Zygote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.registries import Registry

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MACHINE_ENVIRONMENT: Mapping[str, str] = dict(os.environ)
"""The environment before it was scrubbed: package managers that build corpora need their own settings."""

USER = os.geteuid()
PEERS = ("containers-storage", "podman", "skopeo", "umoci", "debootstrap", "npm", "docker-registry")
_SCRUBBED = ("STORAGE_", "CONTAINERS_", "_CONTAINERS_", "XDG_", "CSTORE_", "CLICOLOR")


_LONG = ("hostile", "concurrency", "crash", "faults", "property", "damage", "compat", "integration")
"""Directories of slow tests, those with the longest files first."""


# ── the environment ───────────────────────────────────────────────────────────────────────────────────────────────────


def pytest_configure(config: pytest.Config) -> None:
    """Scrub the environment once, before any fixture: no setting of the machine or the user may affect a test.

    Also restore the default handling of SIGINT if it is ignored: some tests send it.
    """
    del config
    for name in [name for name in os.environ if name.startswith(_SCRUBBED)]:
        del os.environ[name]
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TZ", "LANGUAGE"):
        os.environ.pop(name, None)
    os.environ.update(LC_ALL="C.UTF-8", HOME="/nonexistent", PYTHONPATH=ROOT)
    # A slow machine must not fail a test, so there is no deadline. Runs of the same code must have the same result, so
    # examples are deterministic unless the variable is set.
    fresh = bool(MACHINE_ENVIRONMENT.get("CSTORE_FRESH_EXAMPLES"))
    settings.register_profile(
        "any machine", deadline=None, derandomize=not fresh, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("any machine")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a script's background jobs, and inherited by children
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    parser.addoption(
        "--shuffle", type=int, metavar="SEED", help="run the files, and the tests of each, in an order drawn from SEED"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle the tests, or put slow files first, before pytest groups tests that share an expensive fixture.

    Every process of a parallel run derives the same order from the seed. Without a seed, a parallel run begins with the
    slowest files, so that no process is left with one of them at the end.
    """
    seed = config.getoption("--shuffle")
    if seed is None:
        items.sort(key=lambda item: _LONG.index(folder) if (folder := item.path.parent.name) in _LONG else len(_LONG))
    else:
        order = random.Random(seed)
        ranks = {path: order.random() for path in sorted({item.path for item in items})}
        places = {item: (ranks[item.path], order.random()) for item in items}
        items.sort(key=places.__getitem__)


def pytest_report_header() -> list[str]:
    """Report what this machine can test, so that a green run is not overestimated."""
    absent = [name for name in PEERS if shutil.which(name) is None]
    powers = {
        "root": os.geteuid() == 0,
        "user namespaces": _can_unshare(),
        "reflinks": _can_reflink(),
        "disks in memory": can_make_disks(),
    }
    return [
        "powers: " + ", ".join(f"{name} {'yes' if there else 'NO'}" for name, there in powers.items()),
        "peers: " + ("all present" if not absent else "ABSENT: " + ", ".join(absent)),
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Record which processes are older than the test, for tests that look for processes left behind."""
    processes.begin()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Stop if a test has moved the whole run into a user namespace: all later tests would take themselves for root."""
    if os.geteuid() != USER:
        pytest.exit(f"{item.nodeid} made this process another user's; it has to fork first", returncode=1)


def _can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    attempt = subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True, check=False)
    return attempt.returncode == 0


def _can_reflink() -> bool:
    """Return whether the file system of the temporary directory can share blocks between files."""
    import fcntl
    import tempfile

    ficlone = 0x40049409
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as copy:
        source.write(b"x" * 4096)
        source.flush()
        try:
            fcntl.ioctl(copy.fileno(), ficlone, source.fileno())
        except OSError:
            return False
    return True


@pytest.fixture(scope="session", autouse=True)
def _private_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give the run its own home directory."""
    os.environ["HOME"] = str(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _no_views_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Unmount read-only views of images that a test left behind, which would block the removal of its directory."""
    yield
    if USER == 0:
        detach_views(str(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with plain HTTP and without authentication, for all tests of a file."""
    from tests.registries import running_registry

    with running_registry(str(tmp_path_factory.mktemp("registry"))) as running:
        yield running


@pytest.fixture
def usual_umask() -> Iterator[None]:
    """Run the test with umask 022: it compares modes that depend on the umask."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def needs_root() -> None:
    """Skip the test for ordinary users."""
    if os.geteuid() != 0:
        pytest.skip("needs root: owners, devices and trusted xattrs cannot be made otherwise")


# ── stores and the programs that use them ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class StoreRoots:
    """The roots of one store."""

    graph: str
    run: str
    driver: str = "vfs"

    @property
    def options(self) -> list[str]:
        """The global options that select this store, for cstore and the Go tool."""
        return ["--graph", self.graph, "--run", self.run, "--storage-driver", self.driver]

    def tree(self, layer: str) -> str:
        """Return the directory of a layer's tree."""
        return os.path.join(self.graph, "vfs", "dir", layer)

    @property
    def records(self) -> str:
        """The file of stable layer records."""
        return os.path.join(self.graph, f"{self.driver}-layers", "layers.json")


def unplaced(text: str) -> str:
    """Remove the options that select a store from a text."""
    options = "graph|root|run|runroot|image-store|imagestore|storage-driver|storage-opt"
    return re.sub(rf"(?<=[a-z])(?: --(?:{options}) \S+)+", "", text)


@dataclass(frozen=True)
class OverlayRoots(StoreRoots):
    """The roots of an overlay store."""

    @property
    def options(self) -> list[str]:
        """The global options that select this store."""
        return ["--graph", self.graph, "--run", self.run, "--storage-driver", "overlay"]

    def tree(self, layer: str) -> str:
        """Return the directory with a layer's changes."""
        return os.path.join(self.graph, "overlay", layer, "diff")


@dataclass(frozen=True)
class Finished:
    """The result of a command: its exit code and both streams."""

    command: list[str] = field(repr=False)
    code: int
    output: bytes
    stderr: str

    @property
    def stdout(self) -> str:
        """Standard output as text; bytes that are not UTF-8 survive as surrogates."""
        return self.output.decode(errors="surrogateescape")

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.stdout.splitlines()

    def ok(self) -> Finished:
        """Return itself, or fail the test with the command's output."""
        assert self.code == 0, f"{' '.join(self.command)}\nexit {self.code}\n{self.stderr}{self.stdout[-2000:]}"
        return self


CSTORE = [sys.executable, "-m", "cstore"]
zygote = Zygote()


class Runner(Protocol):
    """Runs one command on the test's store."""

    def __call__(
        self,
        *arguments: str,
        stdin: bytes | IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
        roots: StoreRoots | None = None,
        cwd: str | None = None,
    ) -> Finished:
        """Run the command to its end; `stdin` is its input (default: none), `env` is added to the environment."""


def _runner(program: list[str], default: StoreRoots, config: str) -> Runner:
    def run(
        *arguments: str,
        stdin: bytes | IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
        roots: StoreRoots | None = None,
        cwd: str | None = None,
    ) -> Finished:
        command = [*program, *(roots or default).options, *arguments]
        environment = {**os.environ, "CONTAINERS_STORAGE_CONF": config, **(env or {})}
        if program == CSTORE and zygote.can_run(environment):
            words = command[len(program) :]
            code, out, err = zygote.run(words, stdin=stdin, env=environment, cwd=cwd, timeout=timeout)
            return Finished(command, code, out, err.decode(errors="replace"))
        given = "input" if isinstance(stdin, bytes) else "stdin"
        source: dict[str, Any] = {given: subprocess.DEVNULL if stdin is None else stdin}
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command,
            capture_output=True,
            check=False,
            timeout=timeout,
            cwd=cwd,
            env=environment,
            **source,
        )
        return Finished(command, done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    return run


@pytest.fixture
def store_roots(tmp_path: Path) -> StoreRoots:
    """The roots of a store that does not exist yet."""
    return StoreRoots(str(tmp_path / "graph"), str(tmp_path / "run"))


@pytest.fixture
def roots_in_memory() -> Iterator[StoreRoots]:
    """The same on a fresh file system in memory, for tests that create many files."""
    with fresh_disk() as disk:
        yield StoreRoots(os.path.join(disk, "graph"), os.path.join(disk, "run"))


@pytest.fixture(scope="session")
def btrfs_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A btrfs file system for the whole run; each test uses its own directory."""
    with loop_disk(tmp_path_factory.mktemp("btrfs"), "btrfs") as disk:
        yield disk


@pytest.fixture(scope="session")
def xfs_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same with xfs, which can share blocks, too."""
    with loop_disk(tmp_path_factory.mktemp("xfs"), "xfs") as disk:
        yield disk


@pytest.fixture
def zfs_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put substitutes for zfs(8) and related programs on PATH; returns the directory for `log_of`."""
    programs = install(str(tmp_path))
    monkeypatch.setenv("PATH", programs, prepend=":")
    return str(tmp_path)


@pytest.fixture(scope="session")
def private_config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A storage.conf that only names the driver, so that the machine's own is not read."""
    path = tmp_path_factory.mktemp("config") / "storage.conf"
    path.write_text('[storage]\ndriver = "vfs"\n')
    return str(path)


@pytest.fixture
def run(store_roots: StoreRoots, private_config: str) -> Runner:
    """Run a cstore command on the test's store, in a process of its own."""
    return _runner(CSTORE, store_roots, private_config)


@pytest.fixture
def peer(store_roots: StoreRoots, private_config: str) -> Runner:
    """Run Debian's `containers-storage` on the same store; skips if it is not installed."""
    return _runner([find_peer("containers-storage")], store_roots, private_config)


def find_peer(name: str) -> str:
    """Find another program, or skip the test."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


RunnerMaker = Callable[[StoreRoots], Runner]


@pytest.fixture(scope="session")
def run_on(private_config: str) -> RunnerMaker:
    """Create a runner of cstore for other roots."""
    return lambda roots: _runner(CSTORE, roots, private_config)


@pytest.fixture(scope="session")
def peer_on(private_config: str) -> RunnerMaker:
    """The same for Debian's `containers-storage`."""
    return lambda roots: _runner([find_peer("containers-storage")], roots, private_config)
