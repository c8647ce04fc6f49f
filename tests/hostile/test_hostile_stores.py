"""Every structural path of a store replaced by what must not be there: nothing outside is touched, nothing hangs.

A sample of places, kinds and commands, the same on every run. With CSTORE_ALL_HOSTILE_STORES=1 all of them, which takes
hours; with a larger number so many for each driver.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import os
import pkgutil
import resource
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import cstore as package
from cstore.cli import main
from tests.builders import make_tar, regular
from tests.conftest import MACHINE_ENVIRONMENT
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

pytestmark = pytest.mark.usefixtures("needs_root")

SECRET = "what-nobody-may-read"  # noqa: S105  - the bytes that must not come out
LINKS = ("link to a file", "link to a directory", "link to nothing", "link to zeros", "link to its like")
KINDS = (*LINKS, "FIFO", "socket", "device", "the other type", "monster")
READING = (
    "layers",
    "layer base",
    "images",
    "image img",
    "container con",
    "get-image-data img key",
    "get-container-data con key",
    "get-layer-data base key",
    "list-image-data img",
    "changes top",
    "diff -f OUTPUT top",
    "diffsize top",
    "mounted con",
    "copy base:/f OUTPUT",
    "ls -R con",
    "cat top:/f",
    "stat --digest base:/f",
    "find --all --name f",
    "compare base img",
    "blame --waste",
    "blame top:/f",
    "save -o OUTPUT img",
    "check --quick",
    "check",
    "repair --dry-run",
    "repair --list",
    "gc --dry-run",
    "df",
    "df -v",
    "why img base con",
    "whois base img",
    "rm --dry-run --force img",
    "prune --dry-run --unused",
    "status",
)
WRITING = (
    "get-image-dir img",
    "get-container-run-dir con",
    "mount con",
    "unmount con",
    "mount --read-only img",
    "create-layer base",
    "create-container img",
    "import-layer --file INPUT",
    "applydiff -f INPUT top",
    "copy INPUT top:/g",
    "set-image-data --file INPUT img key",
    "set-container-data --file INPUT con key",
    "set-layer-data --file INPUT base key",
    "add-names --name other img",
    "repair --yes",
    "repair --yes --undo CASE",
    "gc",
    "gc --quarantine 0s",
    "delete-container con",
    "delete-image img",
    "delete con",
    "rm --force img",
    "prune --unused --keep none",
    "wipe",
    "shutdown",
)
WANTED = int(MACHINE_ENVIRONMENT.get("CSTORE_ALL_HOSTILE_STORES") or 50)
"""Samples for each of the usual drivers, and a quarter of that for each other kind of store; 1 for all."""
IMAGES = "images"
"""The directory of the separate image store, which a store has that was begun with one."""
ROOTS = ("graph", "run", IMAGES)
MEGABYTE = 1 << 20
MONSTER = 1 << 33


class Said(NamedTuple):
    """What became of a command."""

    code: int
    text: str
    memory: int
    """What it took at its peak beyond what this process did, bytes."""


@pytest.fixture(autouse=True)
def _unmounted(tmp_path: Path) -> Iterator[None]:
    """Leave nothing mounted, whatever became of the test."""
    yield
    detach_all(str(tmp_path))


def cstore(top: Path, driver: str, *words: str, first: Callable[[], None] | None = None) -> Said:
    """Run a command on the store in `top`, in a process that is allowed ten seconds, of the clock a minute, and 1 GiB.

    It is a fork of this one, because starting Python would take most of the time. It does what `first` does before.
    """
    roots = ("--graph", str(top / "graph"), "--run", str(top / "run"), "--storage-driver", driver, "--no-sync")
    places = {"INPUT": str(top / "low.tar"), "OUTPUT": str(top / "output")}
    line = [*roots, *(places.get(word, word) for word in words)]
    if (top / IMAGES).exists():
        line = ["--image-store", str(top / IMAGES), *line]
    child = os.fork()
    if child == 0:
        _become(top, line, first)
    ended = os.pidfd_open(child)
    try:
        if not select.select([ended], [], [], 60)[0]:
            os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
    finally:
        os.close(ended)
    memory = (used.ru_maxrss - resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) << 10
    return Said(os.waitstatus_to_exitcode(status), (top / "said").read_text(errors="replace"), memory)


def _become(top: Path, line: list[str], first: Callable[[], None] | None) -> NoReturn:
    """Be the command."""
    try:
        os.environ["CONTAINERS_STORAGE_CONF"] = str(top / "storage.conf")
        said = os.open(top / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for number, fd in enumerate((null, said, said)):
            os.dup2(fd, number)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  - until the process ends
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  - until the process ends
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        if first is not None:
            first()
        main(line)
    finally:
        os._exit(99)


def make_store(top: Path, driver: str) -> str:
    """Make layers, an image with data, a container, a quarantine case and leftovers; name the case."""
    (top / "storage.conf").write_text("")
    (top / "low.tar").write_bytes(make_tar(regular("f", b"one")))
    for line in (
        "import-layer --name base --file INPUT",
        "import-layer --name top --file INPUT base",
        "create-image --name img top",
        "set-image-data --file INPUT img key",
        "set-layer-data --file INPUT base key",
        "create-container --name con img",
        "set-container-data --file INPUT con key",
        "mount con",
        "unmount con",
    ):
        done = cstore(top, driver, *line.split())
        assert done.code == 0, done.text
    put(root_of_images(top) / f"{driver}-images" / "images.lock", "FIFO", top)
    done = cstore(top, driver, "repair", "--yes")
    assert done.code == 0, done.text
    (case,) = (path.name for path in (top / "graph" / "cstore-quarantine").iterdir() if path.is_dir())
    graph = top / "graph"
    for place in (graph / "cstore-staging" / driver, graph / driver / "tempdirs", graph / f"{driver}-layers" / "tmp"):
        (place / "temp-dir-123").mkdir(parents=True)
        (place / "lock-123").touch()
    (graph / "cstore-intents").mkdir(exist_ok=True)
    (graph / "cstore-intents" / "123").touch()
    return case


def root_of_images(top: Path) -> Path:
    """Where the images' records are."""
    return next(path for name in (IMAGES, "graph") if (path := top / name).exists())


def structure(top: Path, driver: str) -> list[str]:
    """Every path below the store's top directories that is not the contents of a layer, and some that come and go."""
    found = [
        f"graph/{driver}-layers/container.json",
        f"graph/{driver}-layers/{'a' * 64}.replacing.json",
        *(f"graph/{driver}-{kind}/item.json" for kind in ("layers", "containers")),
        f"{root_of_images(top).name}/{driver}-images/item.json",
        f"graph/{driver}/staging",
        "graph/userns.lock",
    ]
    for root in ROOTS:
        for folder, folders, files in os.walk(top / root):
            where = os.path.relpath(folder, top)
            found += [f"{where}/{name}" for name in files]
            if "/" in where or root != "run":
                tops = {f"{root}/{driver}{end}" for end in ("", "-layers", "-images", "-containers")}
                found += [path for name in folders if (path := f"{where}/{name}") not in tops]
            whole = where.endswith(("vfs/dir", "btrfs/subvolumes"))
            folders[:] = [] if whole else [name for name in folders if name != "diff"]
    return sorted(set(found))


def put(path: Path, kind: str, outside: Path) -> None:
    """Put something else in the place of what is at `path`."""
    folder = path.is_dir() and not path.is_symlink()
    if kind == "link to its like" and os.path.lexists(path):
        path.rename(outside / "like")
    elif folder:
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    names = {"a file": "file", "a directory": "folder", "nothing": "made", "its like": "like", "zeros": "/dev/zero"}
    if kind.startswith("link"):
        path.symlink_to(outside / names[kind.removeprefix("link to ")])
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    elif kind == "socket":
        here = os.open(path.parent, os.O_PATH)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name[:60]}")
        os.rename(path.parent / path.name[:60], path)
        os.close(here)
    elif kind == "the other type" and not folder:
        path.mkdir()
        (path / "something").touch()
    else:
        path.touch()
        os.truncate(path, MONSTER if kind == "monster" else 0)


def state(outside: Path) -> list[object]:
    """What a watched directory holds."""
    found: list[object] = []
    for path in sorted([outside, *outside.rglob("*")]):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found.append((str(path), status.st_mode, status.st_uid, status.st_ino, content))
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        found += [point for line in file if (point := line.split()[4]).startswith(str(outside))]
    return found


class Watch:
    """Hears of whatever is opened, made, changed or removed below a directory."""

    def __init__(self, top: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for folder in [top, *(path for path in top.rglob("*") if path.is_dir() and not path.is_symlink())]:
            everything = 0xFFF & ~0x18  # but that a file is closed
            assert libc.inotify_add_watch(self._fd, os.fsencode(folder), everything) >= 0

    def close(self) -> list[str]:
        """Stop, and tell of what was touched."""
        heard = os.read(self._fd, 1 << 16) if select.select([self._fd], [], [], 0)[0] else b""
        os.close(self._fd)
        found = []
        while heard:
            mask, length = int.from_bytes(heard[4:8], sys.byteorder), int.from_bytes(heard[12:16], sys.byteorder)
            found.append(f"{heard[16 : 16 + length].rstrip(bytes(1)).decode()} ({mask:#x})")
            heard = heard[16 + length :]
        return found


def chosen(top: Path, driver: str, case: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Places, kinds and commands: a sample that is spread evenly and does not change, or all."""
    paths = structure(top, driver)
    lines = [tuple(line.replace("CASE", case).split()) for line in (*READING, *WRITING)]
    found = [(path, kind, words) for path in paths for kind in KINDS for words in lines]

    def rank(each: tuple[str, str, tuple[str, ...]]) -> str:
        shape = "/".join(part if len(part) < 26 else "*" for part in each[0].split("/"))
        return hashlib.sha256(f"{shape.replace(case, '*')} {each[1]} {each[2][:2]}".encode()).hexdigest()

    wanted = WANTED if driver in {"overlay", "vfs"} and not (top / IMAGES).exists() else WANTED // 4
    return sorted(found, key=rank)[: None if WANTED == 1 else wanted]


def clear(top: Path) -> None:
    """Unmount and remove the store, and what a command made."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        points = [line.split()[4] for line in file]
    for point in sorted(points, reverse=True):
        if point.startswith(f"{top}/"):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)
    for root in (*ROOTS, "outside"):
        shutil.rmtree(top / root, ignore_errors=True)
    (top / "output").unlink(missing_ok=True)


def make_outside(outside: Path) -> None:
    """Make what nobody may touch."""
    (outside / "folder").mkdir(parents=True)
    for name in ("file", "folder/diff", "folder/link"):
        (outside / name).write_text(SECRET)
        (outside / name).chmod(0o600)


def harm(top: Path, driver: str, words: tuple[str, ...]) -> list[str]:
    """Run a command; tell what is wrong about what it did."""
    outside = top / "outside"
    before, watch = state(outside), Watch(outside)
    code, said, memory = cstore(top, driver, *words)
    found = [f"touches {name} outside" for name in watch.close()[:3]]
    if memory > 200 * MEGABYTE:
        found.append(f"takes {memory // MEGABYTE} MiB")
    if code < 0 or code == 99:
        found.append(f"ends with {code}: {said[-600:]}")
    if any(mark in said for mark in (SECRET, "Traceback", "internal error", "MemoryError", "Errno")):
        found.append(f"says {said[-600:]}")
    if state(outside) != before:
        found.append("changes what is outside")
    return found


def copy(source: Path, target: Path) -> None:
    """Copy a tree in which anything may stand, pipes included."""
    target.parent.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", "--", str(source), str(target)], check=True)
    for subvolume in source.glob("btrfs/subvolumes/*"):  # of which the copy is a directory
        copied = target / subvolume.relative_to(source)
        shutil.rmtree(copied)
        subprocess.run(["btrfs", "-q", "subvolume", "snapshot", str(subvolume), str(copied)], check=True)


def import_everything() -> None:
    """Import all of cstore once, and not in every process."""
    for module in pkgutil.walk_packages(package.__path__, "cstore."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


@pytest.mark.parametrize("kind", ["overlay", "vfs", "btrfs", "overlay with images", "vfs with images"])
def test_what_stands_in_place_of_a_file_or_directory_harms_nothing_outside(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    """Nothing outside is opened, made, changed or removed; no command hangs, takes much memory or breaks down."""
    import_everything()
    driver, _, images = kind.partition(" with ")
    top = Path(request.getfixturevalue("btrfs_disk")) / "hostile" if driver == "btrfs" else tmp_path
    (top / images).mkdir(parents=True, exist_ok=True)
    case = make_store(top, driver)
    subprocess.run(["umount", "-l", str(top / "graph" / driver)], check=False, capture_output=True)
    roots = [name for name in ROOTS if (top / name).exists()]
    for name in roots:
        copy(top / name, top / "kept" / name)
    wrong = []
    for path, what, words in chosen(top, driver, case):
        clear(top)
        for name in roots:
            copy(top / "kept" / name, top / name)
        make_outside(top / "outside")
        put(top / path, what, top / "outside")
        found = harm(top, driver, words)
        wrong += [f"{path} is a {what}: {' '.join(words)} {each}" for each in found]
    clear(top)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_the_top_directories_may_be_links_of_the_administrator(tmp_path: Path, driver: str) -> None:
    """The roots and the driver's own directories in them: every command works, and nothing is found or put aside."""
    make_store(tmp_path, driver)
    subprocess.run(["umount", "-l", str(tmp_path / "graph" / driver)], check=False, capture_output=True)
    for name in ("", *(f"{driver}{end}" for end in ("", "-layers", "-images", "-containers"))):
        for root in ("graph", "run"):
            place, elsewhere = tmp_path / root / name, tmp_path / "elsewhere" / f"{root}-{name}"
            if place.exists():
                elsewhere.parent.mkdir(exist_ok=True)
                place.rename(elsewhere)
                place.symlink_to(elsewhere)
    sound = [line for line in WRITING[:14] if not line.startswith(("mount --read", "applydiff", "copy"))]
    for line in ("gc", "check", *READING[:10], *sound, "check", "delete-container con", "wipe"):
        done = cstore(tmp_path, driver, *line.split())
        assert done.code == 0, f"{line}: {done.text}"
    assert "nothing needs repair" in cstore(tmp_path, driver, "repair", "--yes").text
    subprocess.run(["umount", "-l", str(tmp_path / "elsewhere" / f"graph-{driver}")], check=False, capture_output=True)


IN_PLACE_OF = (
    ("cstore-quarantine", "FIFO"),
    ("cstore-quarantine/lock", "link to a file"),
    ("cstore-quarantine/CASE/case.json", "FIFO"),
    ("overlay/l", "link to its like"),
    ("overlay/tempdirs", "link to its like"),
    ("overlay/tempdirs/lock-123", "FIFO"),
    ("overlay/staging", "device"),
    ("overlay/.has-mount-program", "FIFO"),
    ("overlay/CONTAINER/merged", "link to its like"),
    ("overlay/CONTAINER/work", "link to its like"),
    ("overlay/CONTAINER/link", "monster"),
    ("overlay/CONTAINER/lower", "FIFO"),
    ("overlay-layers/tmp", "link to its like"),
    ("overlay-layers/container.json", "FIFO"),
    ("overlay-layers/layers.lock", "device"),
    ("overlay-layers/LAYER.replacing.json", "FIFO"),
)


@pytest.mark.parametrize(("place", "kind"), IN_PLACE_OF, ids=lambda value: value.replace("/", "-"))
def test_check_finds_what_stands_in_place_of_a_thing_and_repair_puts_it_aside(
    tmp_path: Path, place: str, kind: str
) -> None:
    """After that the store is sound, its container can be mounted, and a second repair has nothing to do."""
    case = make_store(tmp_path, "overlay")
    subprocess.run(["umount", "-l", str(tmp_path / "graph" / "overlay")], check=False, capture_output=True)
    make_outside(tmp_path / "outside")
    layers = {path.parent.name: path for path in (tmp_path / "graph" / "overlay").glob("*/lower")}
    (container,) = (name for name, path in layers.items() if (path.parent / "work" / "work").exists())
    where = place.replace("CASE", case).replace("CONTAINER", container).replace("LAYER", "a" * 64)
    put(tmp_path / "graph" / where, kind, tmp_path / "outside")

    found = cstore(tmp_path, "overlay", "check", "--quick")
    healed = cstore(tmp_path, "overlay", "repair", "--yes")
    cstore(tmp_path, "overlay", "gc")

    assert (found.code, str(tmp_path / "graph" / where) in found.text) == (1, True), found.text
    assert healed.code == 0, healed.text
    assert cstore(tmp_path, "overlay", "check").code == 0
    assert "nothing needs repair" in cstore(tmp_path, "overlay", "repair", "--yes").text
    assert cstore(tmp_path, "overlay", "mount", "con").code == 0
    clear(tmp_path)
