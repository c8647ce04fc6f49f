"""The launcher's way to find and load cstore's modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig

import cstore

_START = """
import json, sys
sources, packages = sys.argv[1:3]
sys.path.append(sources)
from cstore.importing import find_quickly
find_quickly(packages)
"""


def _told(program: str) -> object:
    """Run a program in an interpreter that loads cstore as the launcher does; return what it prints, read as JSON."""
    sources = os.path.dirname(os.path.dirname(cstore.__file__))
    command = [sys.executable, "-I", "-S", "-c", _START + program, sources, sysconfig.get_path("purelib")]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return json.loads(done.stdout)


def test_a_module_is_what_python_would_have_made_of_it() -> None:
    """Its attributes and its place in its package are the same as after a usual import."""
    attributes = """
import cstore.fs.atomic as module, cstore.fs as package
told = [getattr(each, name, None) for each in (module, package) for name in ("__name__", "__package__", "__file__")]
told += [module.__spec__.name, module.__spec__.origin, package.__path__, package.atomic is module]
print(json.dumps([*told, sys.modules["cstore.fs.atomic"] is module, module.__spec__.cached == module.__cached__]))
"""
    usual = [sys.executable, "-c", f"import json, sys\n{attributes}"]
    expected = json.loads(subprocess.run(usual, capture_output=True, check=True, text=True).stdout)

    assert _told(attributes) == expected


def test_a_module_that_fails_is_not_loaded() -> None:
    """The next import tries again, as Python does."""
    told = _told("""
import cstore.errors, cstore.importing, builtins
class Refused(Exception): pass
def refuse(*_):
    raise Refused
usual, cstore.importing.Loader.get_code = cstore.importing.Loader.get_code, lambda *_: compile("1 / 0", "x", "exec")
try:
    import cstore.layout
except ZeroDivisionError:
    first = "cstore.layout" in sys.modules
cstore.importing.Loader.get_code = usual
import cstore.layout
print(json.dumps([first, cstore.layout.Layout.__name__]))
""")

    assert told == [False, "Layout"]


def test_what_is_not_there_is_reported_as_usual() -> None:
    """A missing module of cstore and one below a module that is no package."""
    told = _told("""
texts = []
for name in ("cstore.nothing", "cstore.layout.nothing", "nothing", "os.nothing"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        texts.append(str(error))
print(json.dumps(texts))
""")

    assert told == [
        "No module named 'cstore.nothing'",
        "No module named 'cstore.layout.nothing'; 'cstore.layout' is not a package",
        "No module named 'nothing'",
        "No module named 'os.nothing'; 'os' is not a package",
    ]


def test_threads_wait_for_a_module_that_another_thread_loads() -> None:
    """While threads run, Python's own locks are used: no thread sees half a module."""
    told = _told("""
import _thread, time
halves, done = [], []
def load():
    from cstore.store import layers
    halves.append(not hasattr(layers, "Layers"))
    done.append(1)
for _ in range(8):
    _thread.start_new_thread(load, ())
while len(done) < 8:
    time.sleep(0.001)
print(json.dumps(any(halves)))
""")

    assert told is False


def test_a_module_that_is_loaded_is_not_loaded_again() -> None:
    """Not even by callers that do not look whether it is; and one that is forbidden stays so."""
    told = _told("""
import importlib
import cstore.layout
told = [importlib.import_module("cstore.layout") is cstore.layout]
sys.modules["cstore.digests"] = None
try:
    import cstore.digests
except ModuleNotFoundError:
    told.append("forbidden")
print(json.dumps(told))
""")

    assert told == [True, "forbidden"]
