"""Directories of a store that become links while a command is at work: nobody follows them, at no moment.

A hook that the interpreter calls before each of its system calls on files tells what path each call is given, and puts
the link there just before one of them. So the race is lost for sure, and not by chance.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import MACHINE_ENVIRONMENT
from tests.hostile.test_hostile_stores import (
    READING,
    WRITING,
    Watch,
    clear,
    copy,
    cstore,
    import_everything,
    make_store,
    state,
)
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

DRIVERS = ["overlay", "vfs"]
CALLS = frozenset({"open", *(f"os.{name}" for name in (
    "rename", "remove", "rmdir", "mkdir", "link", "symlink", "listdir", "scandir", "chmod", "chown", "truncate",
    "utime", "setxattr", "getxattr", "listxattr", "removexattr",
))})  # fmt: skip
"""Events of the interpreter. Those that only look at a file's status have none, and open nothing."""
WANTED = int(MACHINE_ENVIRONMENT.get("CSTORE_ALL_SWAPPED_DIRECTORIES") or 10)
"""Samples for each driver; 1 for all."""


def tops(top: Path, driver: str) -> set[str]:
    """The directories that an administrator may have made links."""
    ends = ("", *(f"/{driver}{end}" for end in ("", "-layers", "-images", "-containers")))
    return {f"{top}/{root}{end}" for root in ("graph", "run") for end in ends}


def is_deep(path: Any, allowed: set[str]) -> bool:
    """Whether a path leads through a directory below the top ones, and so trusts that it is no link."""
    text = os.fsdecode(path) if isinstance(path, str | bytes) else ""
    return any(text.startswith(f"{each}/") for each in allowed) and os.path.dirname(text.rstrip("/")) not in allowed


def listen(allowed: set[str], told: str) -> None:
    """Write down each call that is given such a path, and by whom."""
    busy = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        if busy or event not in CALLS or not any(is_deep(each, allowed) for each in arguments[:2]):
            return
        busy = True  # what this does is an event, too
        frame = sys._getframe(1)
        fd = os.open(told, os.O_WRONLY | os.O_APPEND)  # workers close what they inherit
        os.write(fd, f"{event} {arguments[0]} ({frame.f_code.co_filename}:{frame.f_lineno})\n".encode())
        os.close(fd)
        busy = False

    sys.addaudithook(hook)


def swap(place: Path, copied: Path, moment: int, told: str) -> None:
    """Put a link to a copy in the place of a directory just before a call of that number; count the calls."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event not in CALLS:
            return
        count += 1
        if count == moment:
            os.rename(place, f"{place}.moved")
            os.symlink(copied, place)
        elif moment == 0 and arguments and arguments[0] != told:
            os.truncate(told, count)

    sys.addaudithook(hook)


@pytest.fixture(scope="module", params=DRIVERS)
def ready(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, str]]:
    """A store, kept to begin with again and again: the directory of all, the driver, and the case in quarantine."""
    top, driver = tmp_path_factory.mktemp("swapped"), str(request.param)
    import_everything()
    case = make_store(top, driver)
    subprocess.run(["umount", "-l", str(top / "graph" / driver)], check=False, capture_output=True)
    for name in ("graph", "run"):
        copy(top / name, top / "kept" / name)
    yield top, driver, case
    detach_all(str(top))


def begin(top: Path) -> None:
    """Have the store again as it was."""
    clear(top)
    for name in ("graph", "run"):
        copy(top / "kept" / name, top / name)


def test_no_call_is_given_a_path_that_leads_through_a_directory_of_the_store(ready: tuple[Path, str, str]) -> None:
    """Every command goes from an open directory to the next: there is no moment at which a link could be followed."""
    top, driver, case = ready
    told = top / "told"
    told.touch()
    begin(top)
    for line in (*READING, *WRITING):
        if line in WRITING:
            begin(top)
        words = line.replace("CASE", case).split()
        cstore(top, driver, *words, first=partial(listen, tops(top, driver), str(told)))

    assert sorted(set(told.read_text().splitlines())) == []


def chosen(top: Path, driver: str, case: str) -> list[tuple[Path, tuple[str, ...], int]]:
    """Directories, commands that write, and one moment in a hundred parts of each: a sample, or all."""
    folders = [
        path
        for path in sorted((top / "graph").rglob("*"))
        if path.is_dir() and not path.is_symlink() and str(path) not in tops(top, driver)
        if "diff" not in path.parts and path.parent != top / "graph" / "vfs" / "dir"
    ]
    lines = [tuple(line.replace("CASE", case).split()) for line in WRITING]
    found = [(path, words, part) for path in folders for words in lines for part in range(0, 100, 7)]

    def rank(each: tuple[Path, tuple[str, ...], int]) -> str:
        shape = "/".join(part if len(part) < 26 else "*" for part in each[0].relative_to(top).parts)
        return hashlib.sha256(f"{shape.replace(case, '*')} {each[1][:2]} {each[2]}".encode()).hexdigest()

    return sorted(found, key=rank)[: None if WANTED == 1 else WANTED]


def test_a_directory_that_becomes_a_link_at_any_moment_is_not_followed(ready: tuple[Path, str, str]) -> None:
    """What the link leads to is not opened, made, changed or removed; nothing hangs or breaks down."""
    top, driver, case = ready
    counts: dict[tuple[str, ...], int] = {}
    told, wrong = top / "told", []
    for path, words, part in chosen(top, driver, case):
        if words not in counts:
            begin(top)
            told.write_bytes(b"")
            cstore(top, driver, *words, first=partial(swap, path, path, 0, str(told)))
            counts[words] = told.stat().st_size
        begin(top)
        (top / "outside").mkdir()
        copy(path, top / "outside" / "copy")
        before, watch = state(top / "outside"), Watch(top / "outside")
        moment = 1 + counts[words] * part // 100
        done = cstore(top, driver, *words, first=partial(swap, path, top / "outside" / "copy", moment, str(told)))
        found = [f"touches {name}" for name in watch.close()[:3]]
        found += ["changes what is there"] * (state(top / "outside") != before)
        found += [done.text[-600:]] * (done.code < 0 or done.code == 99 or "Traceback" in done.text)
        wrong += [f"{path} becomes a link before call {moment} of {' '.join(words)}: {each}" for each in found]
    clear(top)

    assert wrong == []
