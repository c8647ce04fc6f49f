"""Starting fast is a feature: what the common commands may import."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Runner, StoreRoots

NEVER = {
    "asyncio": "nothing here waits for several things at once",
    "concurrent.futures": "workers are forked, where there are any",
    "ctypes": "five milliseconds, for system calls that reading does not make",
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
"""Module: why a reading command must not import it."""

PROBE = """
import json, sys
from cstore.cli import run
before = set(sys.modules)
code = run(json.loads(sys.argv[1]))
print(json.dumps([code, sorted(set(sys.modules))]), file=sys.stderr)
"""


def modules_of(*words: str) -> tuple[int, set[str]]:
    """Run a command in a fresh interpreter; return its exit code and every module that was imported."""
    command = [sys.executable, "-c", PROBE, json.dumps(words)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules)


def modules_of_click() -> set[str]:
    """What a bare interpreter with click has imported: not ours to choose."""
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
    """A command that reads records imports no module that it has no use for."""
    run("create-layer", "--name", "base").ok()

    told, modules = modules_of(*store_roots.options, *words)
    slow = {name: reason for name, reason in NEVER.items() if name in modules - modules_of_click()}

    assert told == code
    assert slow == {}


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["version", "--json"], ["laers"]], ids=" ".join)
def test_what_needs_no_store_imports_no_store(words: list[str]) -> None:
    """Help, the version and usage errors come without the store, the records and the configuration."""
    _, modules = modules_of(*words)

    assert {
        name for name in modules if name.startswith(("cstore.store", "cstore.records", "cstore.config", "msgspec"))
    } == set()


def test_the_table_of_commands_imports_none_of_them() -> None:
    """`cstore --help` is written from the table alone."""
    _, modules = modules_of("--help")

    assert {name for name in modules if name.startswith("cstore.cli.commands")} == set()


def test_the_library_door_imports_nothing() -> None:
    """`import cstore` costs nothing until a name is used."""
    probe = "import sys, cstore; print([name for name in sys.modules if name.startswith('cstore.')])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True, text=True)

    assert done.stdout == "[]\n"
