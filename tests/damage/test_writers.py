"""Stores that other settings and tools wrote, read with other settings: sound, and exported rightly or refused."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from tests.damage.specimen import look
from tests.damage.writers import LATER, NAMESPACE, OWNED, TOP, WRITERS, Lab
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: owners, devices and trusted xattrs")


@dataclass(frozen=True)
class Reader:
    """Somebody who reads: in a namespace or not, with options of today."""

    before: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def of(self, lab: Lab) -> Lab:
        """The store as it is read."""
        words = tuple(part for word in self.options for part in ("--storage-opt", word))
        return replace(lab, before=self.before, options=words)


FUSE = "overlay.mount_program=/usr/bin/fuse-overlayfs"
READERS = {
    "root": Reader(),
    "metacopy": Reader(options=("overlay.mountopt=metacopy=on",)),
    "a program": Reader(options=(FUSE,)),
    "masks": Reader(options=(FUSE, "overlay.force_mask=0700")),
    "ignored errors": Reader(options=("overlay.ignore_chown_errors=true",)),
    "a user namespace": Reader(before=NAMESPACE),
}
IN_NAMESPACE = frozenset({"a user namespace", "ignored errors"})
"""Written there: root cannot tell from such a store that its writer had no other IDs."""
NOT_READ = frozenset({"an additional layer store"})
RIGHT = frozenset(
    {("root", reader) for reader in ("root", "metacopy", "a program", "masks", "ignored errors")}
    | {(writer, "root") for writer in ("a map", "volatile", "a program", "masks", "metacopy", "redirects")}
    | {("a user namespace", "root"), ("a user namespace", "a user namespace"), ("masks", "masks")}
    | {("ignored errors", "a user namespace"), ("a partial pull", "root")}
)
"""Who must not be refused."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Lab]]:
    """Let somebody write a store, once, and give it as it was left: with nothing mounted, and no run root."""
    made: dict[str, Lab] = {}

    def write(writer: str) -> Lab:
        if writer not in made:
            top = str(tmp_path_factory.mktemp("written"))
            made[writer] = WRITERS[writer](Lab(top))
            detach_all(top)
        return made[writer]

    yield write
    for lab in made.values():
        detach_all(lab.top)


def _cases() -> list[tuple[str, str]]:
    """Who reads what whom wrote. What root has marked no namespace sees, and what it may not open it does not read."""
    return [
        (writer, reader)
        for writer in WRITERS
        for reader in READERS
        if reader != "a user namespace" or writer in IN_NAMESPACE
        if writer != "ignored errors" or reader == "a user namespace"
    ]


@pytest.mark.parametrize(("writer", "reader"), _cases())
def test_nothing_is_wrong_and_nothing_to_do(writer: str, reader: str, written: Callable[[str], Lab]) -> None:
    """Whatever the options of today are, a check is clean, a repair has no step, and neither changes anything."""
    lab = READERS[reader].of(written(writer))
    before = look(lab.graph)
    checked, planned = lab.run("check"), lab.run("repair", "--dry-run")

    assert (checked.returncode, checked.stdout) == (0, b""), checked.stdout.decode() + checked.stderr.decode()
    assert (planned.returncode, planned.stdout) == (0, b""), planned.stdout.decode() + planned.stderr.decode()
    assert (b"was not read" in checked.stderr) == (writer in NOT_READ)
    assert look(lab.graph) == before


@pytest.mark.parametrize(("writer", "reader"), _cases())
def test_an_export_is_right_or_refused(writer: str, reader: str, written: Callable[[str], Lab], tmp_path: Path) -> None:
    """Applied to the same layers elsewhere, it gives what the container shows; or there is a sentence and no tar."""
    lab = READERS[reader].of(written(writer))
    done = lab.run("diff", "-u", lab.own_layer)

    if done.returncode:
        assert (writer, reader) not in RIGHT, done.stderr.decode()
        assert done.stdout == b""
        assert done.stderr.count(b"\n") == 1
        assert b"internal error" not in done.stderr
        return
    assert writer not in NOT_READ
    if writer in {"a partial pull", "composefs"}:
        return
    lab = Lab(str(tmp_path), driver="vfs")
    lab.ok("import-layer", "--name", "base", stdin=OWNED)
    lab.ok("import-layer", "--name", "top", "base", stdin=TOP)
    lab.ok("import-layer", "--name", "own", "top", stdin=done.stdout)
    tree = lab.ok("mount", "own").strip()
    assert _contents(tree) == _expected(writer)
    assert stat.S_IMODE(os.stat(os.path.join(tree, "etc/conf")).st_mode) == 0o600
    owners = {(os.lstat(os.path.join(tree, name)).st_uid) for name in ("new", "etc/conf", "full")}
    assert owners == {0}


def _contents(tree: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for folder, directories, files in os.walk(tree):
        for name in directories:
            found[os.path.relpath(os.path.join(folder, name), tree)] = None
        for name in files:
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                found[os.path.relpath(path, tree)] = file.read()
    return found


def _expected(writer: str) -> dict[str, str | None]:
    """What the container shows, with a directory renamed where the kernel could do that without a copy."""
    shown = {**LATER, "owned": "x"}
    if writer not in {"metacopy", "redirects"}:
        return shown
    return {name.replace("dir", "moved", 1): text for name, text in shown.items()}


@pytest.mark.parametrize("fixture", ["composefs", "a partial pull"])
def test_layers_of_partial_pulls(fixture: str, written: Callable[[str], Lab]) -> None:
    """The layer itself and what lies above it are given back byte for byte."""
    lab = READERS["root"].of(written(fixture))
    archives = {}
    for name in ("base", "top"):
        with open(os.path.join(lab.top, f"{name}.tar"), "rb") as file:
            archives[name] = file.read()
    base = "7".zfill(64)

    assert lab.run("diff", "-u", "top").stdout == archives["top"]
    assert lab.run("diff", "-u", base).stdout == archives["base"]
