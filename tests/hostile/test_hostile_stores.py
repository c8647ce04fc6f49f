"""Every structural path of a store replaced by what must not be there: nothing outside is touched, nothing hangs.

A sample, the same on every run. All of it with CSTORE_ALL_HOSTILE_STORES=1.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

SECRET = "what-nobody-may-read"  # noqa: S105  - the bytes that must not come out
KINDS = ("link to a file", "link to a directory", "link to nothing", "link to zeros", "FIFO", "socket", "device")
COMMANDS = (
    ("layers",),
    ("get-image-data", "img", "key"),
    ("container", "con"),
    ("check", "--quick"),
    ("mount", "con"),
    ("create-layer", "base"),
    ("set-image-data", "--file", "INPUT", "img", "key"),
    ("repair", "--yes"),
    ("gc",),
    ("delete-container", "con"),
    ("wipe",),
)
PER_DRIVER = 24


def cstore(top: Path, driver: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command on the store in `top`, with ten seconds and little memory."""
    roots = ("--graph", str(top / "graph"), "--run", str(top / "run"), "--storage-driver", driver)
    given = [str(top / "input") if word == "INPUT" else word for word in words]
    line = ["prlimit", f"--as={1 << 30}", sys.executable, "-m", "cstore", *roots, "--no-sync", *given]
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(top / "storage.conf")}
    return subprocess.run(
        line, capture_output=True, text=True, errors="replace", timeout=10, check=False, env=environment
    )


def make_store(top: Path, driver: str) -> None:
    """Make two layers, an image with data, and a container that was mounted."""
    (top / "storage.conf").write_text("")
    (top / "input").write_text("changed")
    (top / "low.tar").write_bytes(make_tar(regular("f", b"one")))
    for words in (
        ("import-layer", "--name", "base", "--file", str(top / "low.tar")),
        ("create-image", "--name", "img", "base"),
        ("set-image-data", "--file", "INPUT", "img", "key"),
        ("create-container", "--name", "con", "img"),
        ("mount", "con"),
        ("unmount", "con"),
    ):
        done = cstore(top, driver, *words)
        assert done.returncode == 0, done.stderr


def structure(top: Path, driver: str) -> list[str]:
    """Every path below the store's top directories that is not the contents of a layer."""
    found = []
    for root in ("graph", "run"):
        for folder, folders, files in os.walk(top / root):
            where = os.path.relpath(folder, top)
            depth = where.count("/")
            if driver == "vfs" and where == "graph/vfs/dir":
                found += [f"{where}/{name}" for name in folders]
                folders.clear()
                continue
            found += [f"{where}/{name}" for name in files]
            if depth:
                found += [f"{where}/{name}" for name in folders]
            folders[:] = [name for name in folders if name != "diff"]
    return [path for path in sorted(found) if "quarantine" not in path]


def put(path: Path, kind: str, outside: Path) -> None:
    """Put something else in the place of what is at `path`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    targets = {"a file": outside / "file", "a directory": outside / "folder", "nothing": outside / "made"}
    targets["zeros"] = type(outside)("/dev/zero")
    if kind.startswith("link"):
        path.symlink_to(targets[kind.removeprefix("link to ")])
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    else:
        here = os.open(path.parent, os.O_PATH)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def state(outside: Path) -> list[object]:
    """What a watched directory holds."""
    found: list[object] = []
    for path in sorted([outside, *outside.rglob("*")]):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found.append((str(path), status.st_mode, status.st_uid, status.st_ino, content))
    return found


def chosen(paths: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of a path and a kind: a sample that is spread evenly and does not change, or all."""
    pairs = [(path, kind) for path in paths for kind in KINDS]
    if os.environ.get("CSTORE_ALL_HOSTILE_STORES"):
        return iter(pairs)

    def rank(pair: tuple[str, str]) -> str:
        shape = "/".join(part if len(part) < 26 else "*" for part in pair[0].split("/"))
        return hashlib.sha256(f"{shape} {pair[1]}".encode()).hexdigest()

    return iter(sorted(pairs, key=rank)[:PER_DRIVER])


def clear(top: Path) -> None:
    """Unmount and remove the store."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        points = [line.split()[4] for line in file]
    for point in sorted(points, reverse=True):
        if point.startswith(f"{top}/"):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)
    for root in ("graph", "run"):
        shutil.rmtree(top / root, ignore_errors=True)


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_what_stands_in_place_of_a_file_or_directory_harms_nothing_outside(tmp_path: Path, driver: str) -> None:
    """Nothing outside is read, made, changed or removed; no command hangs, dies of memory or ends with a traceback."""
    make_store(tmp_path, driver)
    clear_mounts_of(tmp_path)
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    for name in ("file", "folder/diff", "folder/link"):
        (outside / name).write_text(SECRET)
        (outside / name).chmod(0o600)
    shutil.copytree(tmp_path / "graph", tmp_path / "g0", symlinks=True)
    shutil.copytree(tmp_path / "run", tmp_path / "r0", symlinks=True)
    before, wrong = state(outside), []
    for number, (path, kind) in enumerate(chosen(structure(tmp_path, driver))):
        clear(tmp_path)
        shutil.copytree(tmp_path / "g0", tmp_path / "graph", symlinks=True)
        shutil.copytree(tmp_path / "r0", tmp_path / "run", symlinks=True)
        put(tmp_path / path, kind, outside)
        whole = bool(os.environ.get("CSTORE_ALL_HOSTILE_STORES"))
        for words in COMMANDS if whole else [COMMANDS[(number + step) % len(COMMANDS)] for step in (0, 3, 4, 7)]:
            try:
                done = cstore(tmp_path, driver, *words)
            except subprocess.TimeoutExpired:
                wrong.append(f"{path} is a {kind}: {words} hangs")
                continue
            said = done.stdout + done.stderr
            if SECRET in said or "Traceback" in said or "internal error" in said or done.returncode < 0:
                wrong.append(f"{path} is a {kind}: {words} says {said[-300:]}")
            if state(outside) != before:
                wrong.append(f"{path} is a {kind}: {words} changes what is outside")
                before = state(outside)
    clear(tmp_path)
    assert not wrong, "\n".join(wrong)


def clear_mounts_of(top: Path) -> None:
    """Take away the mount of the driver's home, so that the store can be copied and replaced."""
    subprocess.run(["umount", "-l", str(top / "graph" / "overlay")], check=False, capture_output=True)
