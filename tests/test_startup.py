"""Start-up time: the modules that common commands may import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Runner, StoreRoots

NEVER = {
    "asyncio": "nothing here waits for several things at once",
    "concurrent.futures": "workers are forked, where there are any",
    "ctypes": "five milliseconds, for system calls that reading does not make",
    "dataclasses": "it imports inspect",
    "difflib": "only a mistyped word needs it",
    "email": "metadata of packages is not read",
    "fastcrc": "only archives have checksums",
    "hashlib": "only archives and data items have digests",
    "http": "nothing is fetched",
    "importlib.metadata": "33 milliseconds, for a version that is a constant",
    "isal": "only archives are compressed",
    "logging": "only --debug logs",
    "multiprocessing": "workers are forked by hand",
    "pathlib": "paths are text",
    "pydoc": "nobody pages",
    "msgspec": "25 milliseconds: it imports typing, inspect, datetime and decimal",
    "rich": "40 milliseconds, for people only",
    "shutil": "trees are copied and removed by cstore's own code",
    "socket": "nothing is fetched",
    "subprocess": "reading starts no program",
    "tempfile": "20 milliseconds, for a name with a random part",
    "threading": "reading starts no thread",
    "tomli_w": "no configuration is written",
    "traceback": "only a bug has one",
    "urllib": "nothing is fetched",
    "zstandard": "only archives are compressed",
}
"""Module: why a command that only reads must not import it."""

NOT_FOR_THE_SMALL = {
    "contextlib",
    "functools",
    "collections",
    "ctypes",
    "importlib",
    "warnings",
    "threading",
    "hashlib",
}
"""Modules for commands that access trees only: importing them takes as long as a small command."""

SMALL = {"exists", "layer", "layers", "mounted", "add-names", "create-layer"}
"""Commands that do not access trees."""

SLOW_AND_NEEDLESS = {"typing", "enum", "re", "inspect", "platform", "textwrap", "decimal", "dataclasses"}
"""Modules that no common command imports, not even indirectly."""

PROBE = """
import site, sys  # as in a bare interpreter
before = set(sys.modules)
sys.path += sys.argv[1:3]
from cstore.cli import run
code = run(sys.argv[3:])
modules = sorted(set(sys.modules) - before)
import json
print(json.dumps([code, modules]), file=sys.stderr)
"""
"""Runs a command as `bin/cstore` does, without the start-up imports of the environment's packages."""


def modules_of(*words: str) -> tuple[int, set[str]]:
    """Run a command in a fresh interpreter; return its exit code and all modules that it imported."""
    paths = [os.path.dirname(os.path.dirname(os.path.abspath(__file__))), sysconfig.get_path("purelib")]
    command = [sys.executable, "-I", "-S", "-c", PROBE, *paths, *words]
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": os.path.join(os.path.dirname(__file__), "data", "vfs.conf")}
    done = subprocess.run(command, capture_output=True, check=True, text=True, errors="replace", env=environment)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules)


def modules_of_click() -> set[str]:
    """Return the modules that click imports in a bare interpreter, which cstore cannot avoid."""
    command = [sys.executable, "-c", "import json, sys, click; print(json.dumps(sorted(sys.modules)))"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["exists", "nope"], 1),
        (["exists", "base"], 0),
        (["layers"], 0),
        (["layers", "--json"], 0),
        (["layers", "--quick"], 0),
        (["layer", "base"], 0),
        (["get-names", "base"], 0),
        (["status", "--json"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_reading_imports_nothing_slow(run: Runner, store_roots: StoreRoots, words: list[str], code: int) -> None:
    """A command that reads records imports no module that it does not need."""
    run("create-layer", "--name", "base").ok()

    told, modules = modules_of(*store_roots.options, *words)
    slow = {name: reason for name, reason in NEVER.items() if name in modules - modules_of_click()}

    assert told == code
    assert slow == {}


BUDGETS = {
    "exists base": (49, 49),
    "layer base": (52, 52),
    "layers --quiet": (51, 51),
    "layers": (59, 59),
    "mounted base": (56, 56),
    "add-names --name other base": (67, 67),
    "create-layer": (83, 89),
    "import-layer --file {archive}": (147, 150),
    "changes imported": (72, 84),
    "diff --uncompressed imported": (85, 89),
    "ls imported:/": (94, 97),
    "why base": (83, 83),
    "whois base": (103, 107),
    "delete-layer imported": (99, 117),
}
"""Command: the maximum number of modules, with vfs and with overlay. Each costs a fraction of a millisecond per run."""


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_a_command_imports_few_modules(run: Runner, store_roots: StoreRoots, tmp_path: Path, driver: str) -> None:
    """Each command keeps within its budget, and none imports the slowest modules."""
    roots = replace(store_roots, driver=driver)
    archive = tmp_path / "layer.tar"
    archive.write_bytes(make_tar(*(regular(f"file{number}", b"text") for number in range(12))))
    run("create-layer", "--name", "base", roots=roots).ok()
    run("import-layer", "--name", "imported", "--file", str(archive), roots=roots).ok()

    for command, budgets in BUDGETS.items():
        told, modules = modules_of(*roots.options, *command.format(archive=archive).split())

        assert told == 0, command
        assert modules & SLOW_AND_NEEDLESS == set(), command
        assert command.split()[0] not in SMALL or modules & NOT_FOR_THE_SMALL == set(), command
        assert len(modules) <= budgets[driver == "overlay"], command


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["version", "--json"], ["laers"]], ids=" ".join)
def test_what_needs_no_store_imports_no_store(words: list[str]) -> None:
    """Help, the version and usage errors do not import the store, the records or the configuration."""
    _, modules = modules_of(*words)

    assert {
        name for name in modules if name.startswith(("cstore.store", "cstore.records", "cstore.config", "msgspec"))
    } == set()


def test_the_table_of_commands_imports_none_of_them() -> None:
    """`cstore --help` needs only the table of commands."""
    _, modules = modules_of("--help")

    assert {name for name in modules if name.startswith("cstore.cli.commands")} == set()


def test_the_library_door_imports_nothing() -> None:
    """`import cstore` costs nothing until a name is used."""
    probe = "import sys, cstore; print([name for name in sys.modules if name.startswith('cstore.')])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True, text=True)

    assert done.stdout == "[]\n"
