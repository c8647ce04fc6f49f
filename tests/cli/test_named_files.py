"""Files that a user or the environment names: what is no file is refused in one sentence, and nothing waits for it."""

from __future__ import annotations

import os
import signal
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.config import read_named
from cstore.errors import ConfigError
from cstore.registry import Credentials, load_settings
from cstore.registry.credentials import keep_credentials
from cstore.registry.signatures import read_required
from cstore.registry.tls import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine

LIMIT = 1 << 20
NOWHERE = "docker://127.0.0.1:1/app"
SETTINGS = (
    ("", "pull", NOWHERE, "--signature-policy", "{}"),
    ("", "login", "--authfile", "{}", "--get-login", "127.0.0.1:1"),
    ("", "logout", "--authfile", "{}", "127.0.0.1:1"),
    ("REGISTRY_AUTH_FILE", "login", "--get-login", "127.0.0.1:1"),
    ("CONTAINERS_REGISTRIES_CONF", "tags", NOWHERE),
    ("CONTAINERS_STORAGE_CONF", "images"),
    ("CONTAINERS_STORAGE_CONF_OVERRIDE", "images"),
)
"""A variable, "" for none, and a command: one of them names the file."""
DATA = (
    ("prune", "--policy", "{}"),
    ("sync", "--list", "{}", "docker://127.0.0.1:1/a", "docker://127.0.0.1:1/b"),
    ("create-image", "--metadata-file", "{}"),
    ("import", "--image-config", "{}", os.devnull),
)


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    """What waits is interrupted, and fails."""
    signal.alarm(20)
    yield
    signal.alarm(0)


def _fifo(path: str) -> None:
    os.mkfifo(path)


def _socket(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path)


def _huge(path: str) -> None:
    with open(path, "wb") as file:
        file.truncate(10 << 30)


def _device(path: str) -> None:
    os.symlink("/dev/zero", path)


THINGS = {"a FIFO": _fifo, "a socket": _socket, "larger than": _huge, "a device": _device, "directory": os.mkdir}


@pytest.mark.parametrize(("words", "make"), THINGS.items())
def test_what_is_no_file_is_refused(tmp_path: Path, words: str, make: Callable[[str], object]) -> None:
    """By the one function that reads such files, without waiting, and by its name."""
    path = str(tmp_path / "it")
    make(path)

    with pytest.raises((ConfigError, IsADirectoryError), match=rf"{path}.*{words}|(?i:is a directory)"):
        read_named(path, LIMIT)


def test_pipe_that_is_open_is_read() -> None:
    """A process substitution of the shell is such a path; also while nothing was written yet, and when all was."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        signal.alarm(0)
        os.write(writing, b"late")
        os._exit(0)
    os.close(writing)

    assert read_named(f"/dev/fd/{reading}", LIMIT) == b"late"
    assert read_named(f"/dev/fd/{reading}", LIMIT) == b"", "nobody writes any more"
    os.waitpid(child, 0)
    os.close(reading)


@pytest.mark.parametrize("case", SETTINGS, ids=" ".join)
def test_settings_that_are_a_fifo(
    bare_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: tuple[str, ...]
) -> None:
    """Every option and variable that names one: one sentence with the path, and exit status 1."""
    variable, *words = case
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    if variable:
        monkeypatch.setenv(variable, path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))

    told = bare_cli("-g", str(tmp_path / "root"), "-R", str(tmp_path / "run"), *[each.format(path) for each in words])

    assert told.code == 1
    assert f"{path}: is a FIFO, not a file" in told.err


@pytest.mark.parametrize("words", DATA, ids=" ".join)
def test_data_that_is_a_fifo(cli: CommandLine, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Rules, lists and data that a command takes from a file."""
    path = str(tmp_path / "pipe")
    os.mkfifo(path)

    told = cli(*[word.format(path) for word in words])

    assert told.code == 1
    assert f"{path}: is a FIFO, not a file" in told.err


def test_keys_and_certificates_that_are_a_fifo(tmp_path: Path) -> None:
    """The library for TLS opens certificates by itself, and a policy names keys."""
    path = str(tmp_path / "ca.crt")
    os.mkfifo(path)

    for trust in (Trust((path,)), Trust((), ((path, path),))):
        with pytest.raises(ConfigError, match="is a FIFO, not a file"):
            trust.context(insecure=False, show_client=True)
    with pytest.raises(ConfigError, match="is a FIFO, not a file"):
        read_required({"keyPath": path}, "policy.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a device")
def test_login_never_replaces_a_device(bare_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The null device is an empty file, as people name it to have no credentials; it is not renamed over."""
    path = str(tmp_path / "null")
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    told = bare_cli("login", "--authfile", path, "--get-login", "127.0.0.1:1")
    assert "not logged in" in told.err.lower()

    with pytest.raises(ConfigError, match="is not a file, so it cannot keep credentials"):
        keep_credentials(load_settings(auth_file=path), "127.0.0.1:1", Credentials("u", "p"))
    assert stat.S_ISCHR(os.stat(path).st_mode)
