"""The structure of the code: imports, access to the environment and the kernel, file names and lengths."""

from __future__ import annotations

import ast
import importlib
import os
from functools import cache
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(os.path.dirname(TESTS), "cstore")

ROWS: dict[str, int] = {
    "cstore": 10,  # the public door of the library; no room imports from it
    "__main__": 9,
    "cli": 8,
    "library": 7, "browse": 7, "report": 7, "transfer": 7,
    "check": 6, "docker": 6, "contents": 6, "insight": 6,
    "store": 5,
    "records": 4, "drivers": 4,
    "registry": 4,
    "archive": 3, "oci": 3,
    "fs": 2,
    "kernel": 1,
    "config": 0, "layout": 0, "idmap": 0, "digests": 0, "gojson": 0, "ids": 0, "presence": 0, "errors": 0,
    "values": 0, "tuples": 0, "traces": 0, "arguments": 0, "contexts": 0, "importing": 0,
}  # fmt: skip
CELLAR = (
    "config", "layout", "idmap", "digests", "gojson", "ids", "presence", "errors", "values", "tuples", "traces",
    "arguments",
    "contexts", "importing",
)  # fmt: skip
"""Row 0: each may import those to its right."""

CLI_SEES = {
    *("cli", "library", "report", "browse", "check", "transfer", "docker", "contents", "insight", "store", "registry"),
    *CELLAR,
}
LONGEST = 400
LONGER: dict[str, tuple[int, str]] = {
    "store/layers.py": (410, "the operations on layers are one list"),
    "cli/root.py": (440, "the program's table of contents is one table"),
}
"""File: (maximum number of lines, reason)."""
BANNED = {"utils", "util", "helpers", "helper", "common", "misc"}

EXCEPTIONS: dict[tuple[str, str], str] = {
    ("cli", "cstore"): "the version is in the package's __init__, as usual",
    ("library", "cstore"): "the version is in the package's __init__, as usual",
    ("config", "drivers"): "a driver's package declares its keys, and is imported when a file has its table",
}
"""(room, room that it may also import): reason. All other imports go strictly downward."""


def sources(root: str = PACKAGE) -> list[str]:
    """Return every Python file below a directory."""
    files = (os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
    return sorted(path for path in files if path.endswith(".py"))


@cache
def parsed(path: str) -> ast.Module:
    """Return the syntax tree of a file."""
    with open(path, encoding="utf-8") as file:
        return ast.parse(file.read(), path)


@pytest.fixture(scope="module", autouse=True)
def _forget_the_trees() -> Iterator[None]:
    """Discard the syntax trees after these tests: a process with much memory forks slowly."""
    yield
    parsed.cache_clear()


def module_of(path: str) -> str:
    """Return the dotted name of a file of the package."""
    parts = os.path.relpath(path, os.path.dirname(PACKAGE)).removesuffix(".py").split(os.sep)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """Return the room of a module: the first part below the package, or the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def waits(found: ast.AST) -> bool:
    """Return whether a node's imports are deferred: a function, or `if TYPE_CHECKING:`."""
    guard = isinstance(found, ast.If) and isinstance(found.test, ast.Name) and found.test.id == "TYPE_CHECKING"
    return guard or isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def imported(path: str, *, at_once: bool = False) -> Iterator[tuple[str, int]]:
    """Yield every module of cstore that a file imports, with its line; `at_once` leaves out deferred imports."""
    pending: list[ast.AST] = [parsed(path)]
    while pending:
        found = pending.pop()
        if at_once and waits(found):
            continue
        pending.extend(ast.iter_child_nodes(found))
        if isinstance(found, ast.Import):
            yield from ((alias.name, found.lineno) for alias in found.names if alias.name.split(".")[0] == "cstore")
        elif isinstance(found, ast.ImportFrom):
            assert found.level == 0, f"{path}:{found.lineno}: imports are written in full"
            if (found.module or "").split(".")[0] == "cstore":
                yield from ((imported_name(found.module or "", alias.name), found.lineno) for alias in found.names)


def imported_name(module: str, name: str) -> str:
    """`from a import b` imports the module `a.b` if it exists, else `a`."""
    inside = os.path.join(os.path.dirname(PACKAGE), *module.split("."), name)
    return f"{module}.{name}" if os.path.exists(inside + ".py") or os.path.isdir(inside) else module


def fault_of(here: str, there: str) -> str:
    """Return why one room may not import another, or ""."""
    if here == there or (here, there) in EXCEPTIONS:
        return ""
    if here not in ROWS or there not in ROWS:
        return f"{here if here not in ROWS else there} has no row"
    if here in CELLAR and there in CELLAR:
        return "" if CELLAR.index(there) > CELLAR.index(here) else "row 0 imports only to the right"
    if ROWS[there] >= ROWS[here]:
        return "imports go downward only"
    if here == "cli" and there not in CLI_SEES:
        return "the command line may import the store, registries, rooms above them, and row 0"
    return ""


def test_imports_go_downward() -> None:
    """No room imports from its own row or a higher one, not even for types."""
    faults = [
        f"{os.path.relpath(path, PACKAGE)}:{line}: {module}: {fault}"
        for path in sources()
        for module, line in imported(path)
        if (fault := fault_of(room_of(module_of(path)), room_of(module)))
    ]

    assert faults == []


DOORS = {"cstore.check.repair", "cstore.docker.root", "cstore.store.quarantine"}
"""Packages within rooms whose `__init__` exports names for others, in addition to the rooms themselves."""

CLI_PAST_DOORS: dict[tuple[str, str], str] = {
    ("cli/commands/copy_image.py", "cstore.transfer.contract"): "Event and Tell are only for type checkers",
    ("cli/output/transfers.py", "cstore.transfer.contract"): "likewise",
}
"""(file in cstore/cli, module): why it imports a name that no `__init__` exports."""


def past_doors(path: str) -> Iterator[str]:
    """Yield the imports from other rooms that are not public, that is, not in the `__all__` of an `__init__`.

    Single modules of row 0 and the error classes are public.
    """
    for found in ast.walk(parsed(path)):
        if not isinstance(found, ast.ImportFrom) or not (found.module or "").startswith("cstore."):
            continue
        module = found.module or ""
        room = room_of(module)
        if room in {"cli", "errors"} or not os.path.isdir(os.path.join(PACKAGE, room)):
            continue
        if (os.path.relpath(path, PACKAGE), module) in CLI_PAST_DOORS:
            continue
        is_door = module in DOORS or module.count(".") == 1
        public = importlib.import_module(module).__all__ if is_door else ()
        yield from (f"{module}.{alias.name}" for alias in found.names if alias.name not in public)


@pytest.mark.parametrize("path", sources(os.path.join(PACKAGE, "cli")), ids=lambda path: os.path.relpath(path, PACKAGE))
def test_the_command_line_goes_through_doors(path: str) -> None:
    """The command line uses only public names, so any program can do the same."""
    assert [f"{name}: export it in the __init__ of its room" for name in past_doors(path)] == []


@pytest.mark.parametrize("door", sorted({f"cstore.{room}" for room in CLI_SEES if room != "cli"} | DOORS))
def test_doors_are_true(door: str) -> None:
    """An `__init__` has each name that it exports, once, and imports it only on request."""
    module = importlib.import_module(door)
    names = list(getattr(module, "__all__", ()))

    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(module, name)] == []
    folder = os.path.dirname(str(module.__file__))
    modules = {name for name in names if os.path.exists(os.path.join(folder, f"{name}.py"))}
    meant = {"keys", "rootless", "keeping"}  # modules themselves, and a function that is imported after its module
    assert modules - meant == set(), "once such a module is imported, it hides what is called like it"


def test_no_import_cycles() -> None:
    """No module imports itself indirectly (rooms cannot: they import downward only)."""
    graph = {module_of(path): {name for name, _ in imported(path, at_once=True)} for path in sources()}
    for name, needs in graph.items():
        needs.discard(name)
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> None:
        assert name not in way, "import cycle: " + " → ".join([*way[way.index(name) :], name])
        if name not in done:
            for needed in sorted(graph.get(name, ())):
                # A package's __init__ re-exports its modules, which may import from the package.
                if not needed.startswith(f"{name}.") and not name.startswith(f"{needed}."):
                    visit(needed, [*way, name])
            done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize(
    ("word", "room", "reason"),
    [
        ("environ", "config", "settings are read in one place"),
        ("getenv", "config", "settings are read in one place"),
        ("ctypes", "kernel", "the kernel is called in one place"),
        ("ioctl", "kernel", "the kernel is called in one place"),
    ],
)
def test_privileges_of_rooms(word: str, room: str, reason: str) -> None:
    """Only `config` reads the environment, and only `kernel` makes system calls through ctypes or ioctl."""
    users = {
        f"{os.path.relpath(path, PACKAGE)}:{getattr(found, 'lineno', 0)}"
        for path in sources()
        if room_of(module_of(path)) != room
        for found in ast.walk(parsed(path))
        if named(found) == word
    }

    assert users == set(), reason


def named(found: ast.AST) -> str:
    """Return the name that a node uses from another module, "" if none."""
    if isinstance(found, ast.Attribute) and isinstance(found.value, ast.Name) and found.value.id in {"os", "fcntl"}:
        return found.attr
    if isinstance(found, ast.Import):
        return next((alias.name for alias in found.names if alias.name == "ctypes"), "")
    if isinstance(found, ast.ImportFrom) and found.module in {"os", "fcntl"}:
        return next((alias.name for alias in found.names if alias.name in {"environ", "getenv", "ioctl"}), "")
    return (found.module or "").split(".")[0] if isinstance(found, ast.ImportFrom) else ""


NAMES_DRIVERS = {
    "archive/whiteout.py": "a form of whiteouts is named after its file system",
    "check/host.py": "it looks for client programs and file systems named like drivers",
    "docker/root/place.py": "Docker's own drivers, whose stores are only read",
    "kernel/statfs.py": "file systems are named like drivers",
    "store/replacing.py": "file systems are named like drivers",
}
"""File outside of `drivers`: why it contains the name of a driver."""


def test_nobody_above_knows_a_driver_by_name() -> None:
    """Code that depends on the driver uses the driver, or the facts in its package, not its name."""
    registry = importlib.import_module("cstore.drivers.registry")
    drivers = {*registry.DRIVERS, *(name for names in registry.DRIVERS.values() for name in names)}
    found = {
        os.path.relpath(path, PACKAGE)
        for path in sources()
        if room_of(module_of(path)) != "drivers"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and node.value in drivers
    }

    assert found - {*NAMES_DRIVERS} == set()


def test_no_driver_knows_another() -> None:
    """Each driver is a package that imports what drivers share, but no other driver."""
    registry = importlib.import_module("cstore.drivers.registry")
    faults = [
        f"{os.path.relpath(path, PACKAGE)}:{line}: {module}"
        for driver in registry.DRIVERS
        for path in sources(os.path.join(PACKAGE, "drivers", driver))
        for module, line in imported(path)
        if any(module.startswith(f"cstore.drivers.{other}") for other in registry.DRIVERS if other != driver)
    ]

    assert faults == []


MIRRORED = ("check",)
"""Rooms in which each module has a test file of the same name below `tests/unit`."""
NOT_MIRRORED: dict[str, str] = {}
"""Module of a mirrored room without a test file: why."""


def test_unit_tests_mirror_the_code() -> None:
    """The tests of `cstore/check/x.py` are in `tests/unit/check/test_x.py`."""
    lacking = [
        path
        for room in MIRRORED
        for path in (os.path.relpath(each, PACKAGE) for each in sources(os.path.join(PACKAGE, room)))
        if not path.endswith("__init__.py")
        and not os.path.exists(os.path.join(TESTS, "unit", os.path.dirname(path), f"test_{os.path.basename(path)}"))
    ]

    assert lacking == sorted(NOT_MIRRORED)


def test_no_pathlib() -> None:
    """Paths are strings or bytes: pathlib costs start-up time and cannot represent every name in a layer."""
    users = [
        os.path.relpath(path, PACKAGE)
        for path in sources()
        for found in ast.walk(parsed(path))
        if isinstance(found, ast.ImportFrom | ast.Import) and "pathlib" in ast.unparse(found)
    ]

    assert users == []


def test_only_presence_says_no() -> None:
    """What asks whether something is there takes no error of the system for a "no": see `presence`."""
    hasty = {"exists", "lexists", "isdir", "isfile", "islink", "ismount"}
    users = [
        f"{os.path.relpath(path, PACKAGE)}:{found.lineno}: {ast.unparse(found)}"
        for path in sources()
        for found in ast.walk(parsed(path))
        if (isinstance(found, ast.Attribute) and found.attr in hasty and ast.unparse(found.value) == "os.path")
        or (isinstance(found, ast.ImportFrom) and found.module == "os.path" and hasty & {a.name for a in found.names})
    ]

    assert users == []


def test_only_the_browser_needs_the_extra() -> None:
    """Textual is an optional dependency, so only `browse` may import it."""
    users = {
        room_of(module_of(path))
        for path in sources()
        for found in ast.walk(parsed(path))
        if isinstance(found, ast.ImportFrom | ast.Import) and "textual" in ast.unparse(found)
    }

    assert users == {"browse"}


@pytest.mark.parametrize("path", sources(), ids=lambda path: os.path.relpath(path, PACKAGE))
def test_file_manners(path: str) -> None:
    """A file has a specific name, a docstring, and a limited length."""
    stem = os.path.basename(path).removesuffix(".py")
    folders = set(os.path.relpath(path, PACKAGE).split(os.sep)[:-1])
    with open(path, encoding="utf-8") as file:
        length = sum(1 for _ in file)

    assert not BANNED & {stem, *folders}, "a function without a home names a missing noun"
    assert ast.get_docstring(parsed(path)), "a module says what it holds"
    limit, _ = LONGER.get(os.path.relpath(path, PACKAGE), (LONGEST, ""))
    assert length <= limit, f"{length} lines: look for the second verb in it"


def test_every_room_has_a_sign() -> None:
    """Each package states what it owns and what it must not know."""
    unsigned = [
        os.path.relpath(folder, PACKAGE)
        for folder, names, files in os.walk(PACKAGE)
        if any(name.endswith(".py") for name in files) and "__init__.py" not in files and "__pycache__" not in names
    ]

    assert unsigned == []


def test_public_door_is_sorted_and_true() -> None:
    """The exports of `cstore` are sorted and unique, and exist."""
    door = importlib.import_module("cstore")

    assert list(door.__all__) == sorted(set(door.__all__))
    assert [name for name in door.__all__ if not hasattr(door, name)] == []


def test_stubs_do_not_exist() -> None:
    """No code is left unfinished."""
    marks = ("NotImplemented" + "Error", "TO" + "DO", "FIX" + "ME")
    found = []
    for path in [*sources(), *sources(TESTS)]:
        with open(path, encoding="utf-8") as file:
            found += [f"{path}:{number}" for number, line in enumerate(file, 1) if any(mark in line for mark in marks)]

    assert found == []
