"""`login`, `logout` and `tags`, as users of Podman type them."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.registries import PASSWORD, USER, running_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.registries import Registry

PLAIN = "--tls-verify=false"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants a password and has ns/app:1 and ns/app:2."""
    with running_registry(str(tmp_path_factory.mktemp("registry")), passwords=True) as registry:
        registry.push("ns/app:1")
        registry.push("ns/app:2")
        yield registry


@pytest.fixture
def auth_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file with credentials, which is not there yet."""
    path = str(tmp_path / "containers" / "auth.json")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return path


@pytest.fixture
def searching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the registries that are searched."""

    def search(*registries: str) -> None:
        path = tmp_path / "registries.conf"
        path.write_text(f"unqualified-search-registries = {json.dumps(registries)}\n")
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(path))

    return search


@pytest.fixture
def typed() -> Iterator[Callable[[str], None]]:
    """Lets standard input be something."""

    def put(text: str) -> None:
        reading, writing = os.pipe()
        os.write(writing, text.encode())
        os.close(writing)
        before = os.dup(0)
        os.dup2(reading, 0)
        os.close(reading)
        restored.append(before)

    restored: list[int] = []
    yield put
    for before in restored:
        os.dup2(before, 0)
        os.close(before)


def test_login_keeps_what_the_registry_accepts(
    bare_cli: CommandLine, locked: Registry, auth_file: str, typed: Callable[[str], None]
) -> None:
    typed(f"{PASSWORD}\n")
    told = bare_cli("login", "-u", USER, "--password-stdin", PLAIN, locked.host).ok()

    assert told.lines == ["Login Succeeded!"]
    assert os.stat(auth_file).st_mode & 0o777 == 0o600
    with open(auth_file, encoding="utf-8") as file:
        assert list(json.load(file)["auths"]) == [locked.host]
    assert bare_cli("login", "--get-login", locked.host).ok().lines == [USER]
    assert bare_cli("tags", PLAIN, f"docker://{locked.host}/ns/app").ok().lines == ["1", "2"]
    again = bare_cli("login", PLAIN, locked.host).ok()
    assert again.lines == [f"Existing credentials are valid. Already logged in to {locked.host}"]

    assert bare_cli("logout", locked.host).ok().lines == [f"Removed login credentials for {locked.host}"]
    gone = bare_cli("logout", locked.host)
    assert (gone.code, gone.err.partition(" (")[0]) == (1, f"cstore: not logged into {locked.host}")
    assert bare_cli("login", "--get-login", locked.host).code == 1


@pytest.mark.parametrize("reading", ["stdin", "option"])
def test_a_wrong_password_is_neither_kept_nor_shown(
    bare_cli: CommandLine, locked: Registry, auth_file: str, typed: Callable[[str], None], reading: str
) -> None:
    typed("S3cret")
    words = ["--password-stdin"] if reading == "stdin" else ["-p", "S3cret"]

    told = bare_cli("login", "--json", "-u", USER, *words, PLAIN, locked.host)

    assert (told.code, told.error["kind"]) == (1, "AccessDenied")
    assert "S3cret" not in told.out + told.err
    assert not os.path.exists(auth_file)


def test_login_for_a_path_is_kept_for_the_path(bare_cli: CommandLine, locked: Registry, auth_file: str) -> None:
    key = f"{locked.host}/ns"
    told = bare_cli("login", "--json", "-u", USER, "-p", PASSWORD, PLAIN, key).ok()

    assert told.json == {"version": 1, "registry": key, "user": USER, "kept_in": auth_file}
    assert bare_cli("tags", "--json", PLAIN, f"{locked.host}/ns/app:1").ok().json == {
        "version": 1, "repository": f"{locked.host}/ns/app", "tags": ["1", "2"],
    }  # fmt: skip
    assert bare_cli("tags", PLAIN, f"{locked.host}/other/app").code == 1
    assert bare_cli("logout", "--all", "--json").ok().json == {"version": 1, "registry": ""}
    assert bare_cli("tags", PLAIN, f"{locked.host}/ns/app").code == 1


def test_another_file_with_credentials_can_be_named(
    bare_cli: CommandLine, locked: Registry, auth_file: str, tmp_path: Path
) -> None:
    named = str(tmp_path / "elsewhere" / "auth.json")

    bare_cli("login", "-u", USER, "-p", PASSWORD, PLAIN, "--authfile", named, locked.host).ok()

    assert not os.path.exists(auth_file)
    assert os.stat(named).st_mode & 0o777 == 0o600
    assert bare_cli("tags", PLAIN, f"{locked.host}/ns/app").code == 1
    assert bare_cli("tags", PLAIN, "--authfile", named, f"{locked.host}/ns/app").ok().lines == ["1", "2"]
    told = bare_cli("logout", locked.host)
    assert told.code == 1
    bare_cli("logout", "--authfile", named, locked.host).ok()


def test_without_a_name_the_first_registry_that_is_searched_is_meant(
    bare_cli: CommandLine, locked: Registry, auth_file: str, searching: Callable[..., None]
) -> None:
    searching(locked.host, "two.example")

    told = bare_cli("login", "--json", "-u", USER, "-p", PASSWORD, PLAIN).ok()

    assert told.json["registry"] == locked.host
    searching("127.0.0.1:1", locked.host)
    assert bare_cli("tags", PLAIN, "ns/app").ok().lines == ["1", "2"]
    searching(locked.host)
    assert bare_cli("logout").ok().lines == [f"Removed login credentials for {locked.host}"]


@pytest.mark.parametrize(
    "words",
    [
        ("login", "r.example"),
        ("login", "--password-stdin", "r.example"),
        ("login", "-u", "x", "-p", "y", "--password-stdin", "r.example"),
        ("login", "--tls-verify=maybe", "r.example"),
        ("login", "-u", "x", "-p", "y"),
        ("logout",),
        ("logout", "--all", "r.example"),
    ],
    ids=" ".join,
)
def test_what_is_missing_or_contradicts_is_a_usage_error(
    bare_cli: CommandLine,
    auth_file: str,
    typed: Callable[[str], None],
    searching: Callable[..., None],
    words: tuple[str, ...],
) -> None:
    """Where there is no terminal, nobody is asked."""
    typed("")
    searching()

    told = bare_cli(*words)

    assert told.code == 2
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("registry", [" ", "a b", "user@r.example", "https://", "r.example/../x", "\x1b[2J"])
def test_what_names_no_registry_is_refused(bare_cli: CommandLine, auth_file: str, registry: str) -> None:
    told = bare_cli("login", "-u", "x", "-p", "y", registry)

    assert told.code in {1, 2}
    assert "is not a registry" in told.err


def test_a_registry_without_an_answer_is_one_sentence(bare_cli: CommandLine, auth_file: str) -> None:
    told = bare_cli("tags", "--json", "localhost:1/x")

    assert (told.code, told.error["kind"]) == (1, "RegistryUnreachable")
    assert told.error["message"] == "localhost:1: cannot list tags: connection refused"


def test_a_person_is_asked_and_the_password_is_not_shown(locked: Registry, auth_file: str) -> None:
    """On a terminal, which echoes what is typed unless it is told not to."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        ["setsid", "--ctty", "--wait", sys.executable, "-m", "cstore", "login", PLAIN, locked.host],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = _read_until(ours, "Username: ")
    os.write(ours, f"{USER}\n".encode())
    seen += _read_until(ours, "Password: ")
    os.write(ours, f"{PASSWORD}\n".encode())
    seen += _read_until(ours, "Login Succeeded!")

    assert program.wait(20) == 0
    os.close(ours)
    assert PASSWORD not in seen
    assert os.path.exists(auth_file)


def _read_until(terminal: int, text: str) -> str:
    seen, deadline = io.BytesIO(), time.monotonic() + 20
    while text.encode() not in seen.getvalue():
        ready, _, _ = select.select([terminal], [], [], max(deadline - time.monotonic(), 0))
        assert ready, seen.getvalue()
        seen.write(os.read(terminal, 4096))
    return seen.getvalue().decode()
