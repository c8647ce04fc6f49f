"""Those who write stores, each with settings of its own: every one leaves two layers, an image and a container.

The container has changed its mode of a file, removed one, emptied and filled a directory, and made a file of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.builders import Entry, directory, make_tar, regular, whiteout
from tests.conftest import ROOT, find_peer

if TYPE_CHECKING:
    from collections.abc import Callable

TIME = 1_600_000_000
BASE = make_tar(
    directory("etc", mtime=TIME), regular("etc/conf", b"one", mtime=TIME), regular("etc/gone", b"g", mtime=TIME),
    directory("dir", mtime=TIME), regular("dir/low", b"low", mtime=TIME),
    directory("full", mtime=TIME), regular("full/old", b"old", mtime=TIME),
)  # fmt: skip
OWNED = make_tar(regular("owned", b"x", uid=7, gid=8, mode=0o4711), end=b"") + BASE
"""With an owner, and a mode that masks hide."""
DEVICE = make_tar(Entry(b"null", type=b"3", device=(1, 3), mode=0o666), end=b"") + OWNED
UNMADE = make_tar(
    directory("dev", mtime=TIME), Entry(b"dev/null", type=b"3", device=(1, 3)), Entry(b"sda", type=b"4"), end=b""
) + BASE  # fmt: skip
"""With devices that a user namespace leaves out."""
TOP = make_tar(directory("dir", mtime=TIME), whiteout("dir/.wh..opq"), regular("dir/new", b"new", mtime=TIME))
CHANGES = "chmod 600 etc/conf && rm etc/gone && rm -r full && mkdir full && echo mine > full/mine && echo n > new"
LATER = {
    "dir": None, "dir/new": "new", "etc": None, "etc/conf": "one", "full": None, "full/mine": "mine\n", "new": "n\n",
}  # fmt: skip
"""What the container shows at last, but for `owned` and the device."""
MAP = ("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536")
NAMESPACE = ("unshare", "-Ur", "-m")


@dataclass(frozen=True)
class Lab:
    """A store, and how cstore is run on it: by `before`, with `options`."""

    top: str
    before: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    driver: str = "overlay"

    @property
    def graph(self) -> str:
        """The graph root."""
        return os.path.join(self.top, "graph")

    def command(self, *words: str) -> list[str]:
        """A command of cstore's on this store."""
        roots = ["--graph", self.graph, "--run", os.path.join(self.top, "run"), "--storage-driver", self.driver]
        return [*self.before, sys.executable, "-m", "cstore", *roots, *self.options, *words]

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run it."""
        environment = {**os.environ, "PYTHONPATH": ROOT, "CONTAINERS_STORAGE_CONF": "/dev/null"}
        return subprocess.run(
            self.command(*words), input=stdin, capture_output=True, check=False, timeout=120, env=environment
        )

    def ok(self, *words: str, stdin: bytes = b"") -> str:
        """Run it, and insist."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, f"{words}: {done.stderr.decode()}{done.stdout.decode()}"
        return done.stdout.decode()

    @property
    def own_layer(self) -> str:
        """The container's layer."""
        (container,) = json.loads(self.ok("containers", "--json"))
        return str(container["layer"])

    def fill(self, base: bytes, *, container: tuple[str, ...] = ()) -> Lab:
        """Import the layers; create image and container."""
        self.ok("import-layer", "--name", "base", stdin=base)
        self.ok("import-layer", "--name", "top", "base", stdin=TOP)
        self.ok("create-image", "--name", "img", "top")
        self.ok("create-container", "--name", "con", *container, "img")
        return self

    def change(self, changes: str = CHANGES) -> Lab:
        """Let the container change its files, in a mount of cstore's."""
        words = " ".join(self.command("mount", "con")[len(self.before) :])
        undo = words.removesuffix("mount con") + "unmount con"
        script = f'M=$({words}) && [ -d "$M/full" ] && cd "$M" && {changes} && cd / && {undo}'
        environment = {**os.environ, "PYTHONPATH": ROOT, "CONTAINERS_STORAGE_CONF": "/dev/null"}
        done = subprocess.run([*self.before, "sh", "-ec", script], capture_output=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr.decode()
        return self


def _fuse(lab: Lab, *more: str) -> Lab:
    if not os.path.exists("/dev/fuse"):
        pytest.skip("no /dev/fuse here")
    words = [f"overlay.mount_program={find_peer('fuse-overlayfs')}", *more]
    options = tuple(part for word in words for part in ("--storage-opt", word))
    return Lab(lab.top, lab.before, options)


def _kernel_writes(lab: Lab, *options: str) -> Lab:
    """Let the kernel mount the container's directories with options of its own, and rename a directory there."""
    lab.fill(OWNED)
    home, layer = os.path.join(lab.graph, "overlay"), lab.own_layer
    with open(os.path.join(home, layer, "lower"), encoding="ascii") as file:
        lowers = ":".join(os.path.realpath(os.path.join(home, name)) for name in file.read().split(":"))
    own, target = os.path.join(home, layer), os.path.join(lab.top, "mount")
    os.mkdir(target)
    text = f"lowerdir={lowers},upperdir={own}/diff,workdir={own}/work,{','.join(options)}"
    done = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", text, target], check=False)
    if done.returncode:
        pytest.skip(f"this kernel does not mount overlay with {', '.join(options)}")
    try:
        subprocess.run(["sh", "-ec", f"cd {target} && {CHANGES} && mv dir moved"], check=True)
    finally:
        subprocess.run(["umount", target], check=True)
    return lab


def _volatile(lab: Lab) -> Lab:
    path = os.path.join(lab.graph, "overlay-containers", "containers.json")
    with open(path, encoding="utf-8") as file:
        rows = json.load(file)
    rows[0]["flags"] = {**rows[0].get("flags", {}), "Volatile": True}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(rows, file)
    return lab


def _namespace(lab: Lab) -> Lab:
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces here")
    return Lab(lab.top, NAMESPACE)


def _fixture(name: str) -> Callable[[Lab], Lab]:
    def unpack(lab: Lab) -> Lab:
        path = os.path.join(os.path.dirname(__file__), "..", "data", "stores", f"store-1.63-{name}.tar.xz")
        subprocess.run(["tar", "--xattrs", "--xattrs-include=*", "-xJf", path, "-C", lab.top], check=True)
        return lab

    return unpack


def _additional(lab: Lab) -> Lab:
    """A layer whose contents a program for additional layer stores would show, which does not run."""
    lab.fill(OWNED).change()
    (base,) = [each for each in json.loads(lab.ok("layers", "--json")) if "base" in (each.get("names") or ())]
    folder = os.path.join(lab.graph, "overlay", base["id"])
    shutil.rmtree(os.path.join(folder, "diff"))
    os.symlink("/nonexistent/store/diff", os.path.join(folder, "diff"))
    with open(os.path.join(folder, "additionallayer"), "w", encoding="ascii") as file:
        file.write("/nonexistent/store")
    return lab


def _ignored(lab: Lab) -> Lab:
    told = Lab(lab.top, _namespace(lab).before, ("--storage-opt", "overlay.ignore_chown_errors=true"))
    return told.fill(DEVICE).change()


WRITERS: dict[str, Callable[[Lab], Lab]] = {
    "root": lambda lab: lab.fill(DEVICE).change(),
    "a map": lambda lab: lab.fill(OWNED, container=MAP).change(f"{CHANGES} && chown -R 100000:100000 full new"),
    "volatile": lambda lab: _volatile(lab.fill(OWNED)).change(),
    "a program": lambda lab: _fuse(lab).fill(OWNED).change(),
    "masks": lambda lab: _fuse(lab, "overlay.force_mask=shared").fill(OWNED).change(),
    "metacopy": lambda lab: _kernel_writes(lab, "metacopy=on", "redirect_dir=on"),
    "redirects": lambda lab: _kernel_writes(lab, "redirect_dir=on"),
    "a user namespace": lambda lab: _namespace(lab).fill(UNMADE).change(),
    "ignored errors": _ignored,
    "a partial pull": _fixture("chunked"),
    "composefs": _fixture("composefs"),
    "an additional layer store": _additional,
}
