"""Typed calls of zfs(8), zpool(8) and mount(8). This module does not know layers."""

from __future__ import annotations

import os

from cstore.errors import DriverError, DriverUnusable
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NAME = "zfs"

_ABSENT = "dataset does not exist\n"
_PRESENT = "dataset already exists\n"


class CommandFailed(DriverError):
    """A command failed. `said` is its standard error."""

    def __init__(self, words: Sequence[str], said: str) -> None:
        self.command, self.said = " ".join(words), said
        reason = said.strip() or "it failed without a message"
        super().__init__(
            NAME, f"{self.command}: {reason}", hint="run it by hand to see more", go_text=f'"{self.command}" => {said}'
        )

    @property
    def means_absent(self) -> bool:
        """Whether the dataset does not exist."""
        return self.said.endswith(_ABSENT)

    @property
    def means_present(self) -> bool:
        """Whether the dataset exists already."""
        return self.said.endswith(_PRESENT)


class Dataset(Value):
    """A file system in the output of `zfs list`, with the values of the requested properties."""

    name: str
    values: tuple[str, ...]


def require() -> None:
    """Check that zfs(8) is installed.

    Raises:
        DriverUnusable: it is not installed.
    """
    import shutil

    if shutil.which("zfs") is None:
        raise _not_installed("zfs")


def children(dataset: str, properties: Sequence[str] = ()) -> list[Dataset]:
    """Return the file systems directly below `dataset`, in the order of zfs(8).

    Raises:
        CommandFailed: the dataset does not exist.
        DriverUnusable: zfs(8) is not installed.
    """
    columns = ",".join(["name", *properties])
    rows = _rows(_run("zfs", "list", "-H", "-p", "-d", "1", "-t", "filesystem", "-o", columns, dataset))
    return [Dataset(row[0], tuple(row[1:])) for row in rows if row[0] != dataset]


def exists(dataset: str) -> bool:
    """Return whether a file system with that name exists.

    Raises:
        CommandFailed: zfs(8) cannot tell, for example because its kernel module is not loaded.
    """
    try:
        _run("zfs", "list", "-H", "-t", "filesystem", "-o", "name", dataset)
    except CommandFailed as error:
        if error.means_absent:
            return False
        raise
    return True


def properties(dataset: str, names: Sequence[str]) -> list[str]:
    """Return the values of properties of a dataset; "-" for one that it does not have."""
    return _rows(_run("zfs", "list", "-H", "-p", "-o", ",".join(names), dataset))[0]


def pool_health(pool: str) -> str:
    """Return the health of a pool, such as ONLINE."""
    return _rows(_run("zpool", "get", "-H", "-p", "-o", "value", "health", pool))[0][0]


def create(dataset: str, values: Mapping[str, str]) -> None:
    """Create an empty file system.

    Raises:
        CommandFailed: the name is taken or invalid.
    """
    _run("zfs", "create", *_assignments(values), dataset)


def clone(source: str, snapshot: str, dataset: str, values: Mapping[str, str]) -> None:
    """Create `dataset` as a writable copy of `source`, from a snapshot that is destroyed together with the copy.

    Raises:
        CommandFailed: the source does not exist, or the new name does.
    """
    origin = f"{source}@{snapshot}"
    _run("zfs", "snapshot", origin)
    try:
        _run("zfs", "clone", *_assignments(values), origin, dataset)
    finally:
        _run("zfs", "destroy", "-d", origin)


def promote(dataset: str) -> None:
    """Exchange the roles of a clone and its origin, so that the origin can be destroyed."""
    _run("zfs", "promote", dataset)


def rename(old: str, new: str) -> None:
    """Rename a dataset.

    Raises:
        CommandFailed: it does not exist, or the new name is taken.
    """
    _run("zfs", "rename", old, new)


def destroy(dataset: str) -> None:
    """Remove a dataset with its snapshots. A missing dataset is no error.

    Raises:
        CommandFailed: it is in use, or a clone depends on it.
    """
    try:
        _run("zfs", "destroy", "-r", dataset)
    except CommandFailed as error:
        if not error.means_absent:
            raise


def assign(dataset: str, key: str, value: str) -> None:
    """Set a property."""
    _run("zfs", "set", f"{key}={value}", dataset)


def mount(dataset: str, target: str, options: Iterable[str]) -> None:
    """Mount a dataset whose mountpoint is `legacy`."""
    listed = ",".join(options)
    _run("mount", "-t", "zfs", *(["-o", listed] if listed else []), dataset, target)


def _assignments(values: Mapping[str, str]) -> list[str]:
    return [word for key, value in values.items() for word in ("-o", f"{key}={value}")]


def _rows(output: str) -> list[list[str]]:
    return [line.split("\t") for line in output.splitlines()]


def _run(*words: str) -> str:
    """Run a command and return what it prints."""
    import subprocess

    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError:
        raise _not_installed(words[0]) from None
    except OSError as error:
        raise DriverError(NAME, f"the command {words[0]} cannot be run: {os.strerror(error.errno or 0)}") from None
    if done.returncode:
        raise CommandFailed(words, done.stderr.decode(errors="replace"))
    return os.fsdecode(done.stdout)


def _not_installed(program: str) -> DriverUnusable:
    return DriverUnusable(
        NAME,
        f"the command {program} is not installed",
        hint="install the ZFS tools, or choose another driver with --storage-driver",
        go_text=f"the '{program}' command is not available: prerequisites for driver not satisfied (wrong filesystem?)",
    )
