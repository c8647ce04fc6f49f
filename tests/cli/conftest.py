"""Runs commands in the test's own process: the same code as the program, without its start-up."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from cstore.cli import run as run_command_line
from tests.conftest import StoreRoots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Told:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        """Standard output, read as the one JSON document that it shall be."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error on standard error, read as JSON."""
        told: dict[str, Any] = json.loads(self.err)["error"]
        return told

    def ok(self) -> Told:
        """Return itself, or fail with what the command said."""
        assert self.code == 0, self.err + self.out
        return self


class CommandLine(Protocol):
    """Runs one command on the test's store."""

    def __call__(self, *words: str) -> Told:
        """Run it; options of the store are added in front."""


@pytest.fixture
def bare_cli(
    private_config: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[CommandLine]:
    """A runner that adds nothing to the words."""
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", private_config)
    umask = os.umask(0)
    os.umask(umask)

    def run(*words: str) -> Told:
        capfd.readouterr()
        code = run_command_line(words)
        out, err = capfd.readouterr()
        return Told(code, out, err)

    yield run
    os.umask(umask)
    log = logging.getLogger("cstore")
    log.handlers.clear()  # those of a command with --debug
    log.setLevel(logging.NOTSET)


@pytest.fixture
def cli(bare_cli: CommandLine, store_roots: StoreRoots) -> CommandLine:
    """A runner on the test's store."""

    def run(*words: str) -> Told:
        return bare_cli(*store_roots.options, *words)

    return run


@pytest.fixture
def cli_on(bare_cli: CommandLine, store_roots: StoreRoots) -> Callable[[str], CommandLine]:
    """Makes a runner on the test's store with a driver."""

    def on(driver: str) -> CommandLine:
        options = StoreRoots(store_roots.graph, store_roots.run, driver).options

        def run(*words: str) -> Told:
            return bare_cli(*options, *words)

        return run

    return on


@pytest.fixture
def writing_to_terminal(
    store_roots: StoreRoots, private_config: str
) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs the program on the test's store with a terminal as standard output."""

    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        ours, theirs = pty.openpty()
        done = subprocess.run(
            [sys.executable, "-m", "cstore", *store_roots.options, *words],
            stdout=theirs,
            stderr=subprocess.PIPE,
            check=False,
            timeout=20,
            env={**os.environ, "CONTAINERS_STORAGE_CONF": private_config},
        )
        os.close(ours)
        os.close(theirs)
        return done

    return run
