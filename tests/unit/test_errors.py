"""Every error of cstore can be handed from process to process, and says its sentence wherever it arrives."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import subprocess
import sys
from importlib import import_module
from pkgutil import walk_packages
from typing import TYPE_CHECKING, Any

import pytest

import cstore
from cstore import errors
from cstore.errors import CstoreError, ImageWithoutLayers, LayerUnknown
from cstore.fs.within import file_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

for _found in walk_packages(cstore.__path__, "cstore."):
    if not _found.name.endswith("__main__"):
        import_module(_found.name)  # errors that a room keeps to itself belong to the family, too


def _family(parent: type[CstoreError] = CstoreError) -> Iterator[type[CstoreError]]:
    yield parent
    for child in parent.__subclasses__():
        yield from _family(child)


def _made(kind: type[CstoreError]) -> CstoreError:
    """An error of that class, whatever its constructor takes."""
    arguments: list[Any] = []
    for parameter in list(inspect.signature(kind.__init__).parameters.values())[1:]:
        wanted = str(parameter.annotation)
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            continue
        if "OSError" in wanted:
            arguments.append(OSError(2, "No such file or directory"))
        elif wanted == "CstoreError":
            arguments.append(LayerUnknown("base"))
        elif "Mapping" in wanted:
            arguments.append([{"kind": "layer", "id": "one", "names": []}])
        elif "Sequence" in wanted or "Iterable" in wanted:
            arguments.append(["one", "two"])
        else:
            arguments.append(7 if wanted in {"int", "float"} else "layer")
    maker: Callable[..., CstoreError] = kind
    return maker(*arguments)


def _through_pickle(error: CstoreError) -> CstoreError:
    there: CstoreError = pickle.loads(pickle.dumps(error))  # noqa: S301  - our own bytes
    return there


FAMILY = sorted(set(_family()), key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("way", [_through_pickle, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_an_error_keeps_its_class_its_sentence_and_its_parts(
    kind: type[CstoreError], way: Callable[[CstoreError], CstoreError]
) -> None:
    error = _made(kind)
    there = way(error)
    assert type(there) is kind
    assert (str(there), vars(there)) == (str(error), vars(error))


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_an_error_as_text_is_its_sentence(kind: type[CstoreError]) -> None:
    error = _made(kind)
    assert str(error) == error.message


def test_an_error_whose_sentence_was_changed_says_the_new_one() -> None:
    error = LayerUnknown("base").only_in("/store", "layer")
    assert "/store" in str(error)
    assert str(_through_pickle(error)) == str(error)
    assert str(ImageWithoutLayers("debian")) == "image debian has no layer"


_POOL = """
from concurrent.futures import ProcessPoolExecutor

from cstore.errors import SystemFailure


def fail(number):
    raise SystemFailure("read", f"/file-{number}", OSError(5, "Input/output error"), hint="look at the disk")


if __name__ == "__main__":
    with ProcessPoolExecutor(1) as pool:
        error = pool.submit(fail, 3).exception()
    print(type(error).__name__, error, error.hint, error.errno, sep="|")
"""


def test_a_process_pool_hands_over_the_error_of_its_worker(tmp_path: Path) -> None:
    """In a program of its own: a pool may leave servers, for the pools to come, until its program ends."""
    program = tmp_path / "pool.py"
    program.write_text(_POOL)

    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)

    assert done.stdout == "SystemFailure|cannot read /file-3: Input/output error|look at the disk|5\n", done.stderr


def test_notes_on_an_error_travel_with_it() -> None:
    error = errors.ConfigError("storage.conf", "no", line=3)
    error.add_note("while opening the store")
    assert _through_pickle(error).__notes__ == ["while opening the store"]


def test_an_error_of_reading_an_open_directory_names_no_file() -> None:
    """It has the number of the descriptor there, which is no path."""
    read, write = os.pipe()
    os.close(write)
    try:
        with pytest.raises(OSError, match=os.strerror(20)) as descriptor:
            os.listdir(read)
    finally:
        os.close(read)
    with pytest.raises(FileNotFoundError) as path:
        os.listdir("/no such directory")

    assert [file_of(descriptor.value), file_of(path.value)] == ["", "/no such directory"]


@pytest.mark.parametrize(("number", "hint"), [(28, "free some space"), (122, "free some space"), (5, "")])
def test_whatever_fails_on_a_full_disk_says_what_helps(number: int, hint: str) -> None:
    """Be it the disk or somebody's share of it; unless there is better advice."""
    error = OSError(number, os.strerror(number))

    assert errors.SystemFailure("write", "/file", error).hint.startswith(hint)
    assert bool(errors.SystemFailure("write", "/file", error).hint) is bool(hint)
    assert errors.SystemFailure("write", "/file", error, hint="wait").hint == "wait"
