"""Laws of unpacking: as GNU tar does it, and back again; cut or changed anywhere, it is ours to refuse, cleanly."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.archive.apply import ApplyOptions, apply_archive
from cstore.archive.rebuild import rebuild
from cstore.archive.tarsplit import read_lines
from cstore.archive.whiteout import WhiteoutForm
from cstore.errors import ArchiveError, EntryFailed
from tests.builders import (
    Entry,
    differences,
    directory,
    flip_byte,
    hardlink,
    make_tar,
    node,
    regular,
    symlink,
    tree_manifest,
    whiteout,
)
from tests.unit.archive.unpacking.conftest import Collected, assert_no_name_twice, assert_nothing_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("needs_root")

FEW = settings(max_examples=40, deadline=None)
MANY = settings(max_examples=120, deadline=None)


@pytest.fixture(scope="module")
def place() -> Iterator[str]:
    """A directory in memory if there is one: hundreds of trees are made in it."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=base, ignore_cleanup_errors=True) as path:
        yield path


def unpack(place: str, data: bytes, *, has_lower: bool = False, form: WhiteoutForm = WhiteoutForm.PLAIN) -> str:
    """Unpack bytes into a new tree and prove that they come out again."""
    base = tempfile.mkdtemp(dir=place)
    tree, split, source = (os.path.join(base, name) for name in ("tree", "split", "source"))
    os.mkdir(tree)
    with open(source, "wb") as file:
        file.write(data)
    try:
        with open(source, "rb") as file:
            applied = apply_archive(
                file.fileno(), tree, split, ApplyOptions(sync=False, has_lower=has_lower, form=form)
            )
        sink = Collected()
        rebuild(split, [tree], sink, "layer")
        assert sink.data == data
        assert applied.diff_digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert_no_name_twice(read_lines(split))
    except BaseException:
        shutil.rmtree(base)
        raise
    finally:
        assert_nothing_runs()
    return tree


def forget(tree: str) -> None:
    """Remove a tree and what is beside it."""
    shutil.rmtree(os.path.dirname(tree))


# ── as GNU tar does it ────────────────────────────────────────────────────────────────────────────────────────────────


def grow_tree(root: str, seed: int) -> None:
    """Fill a directory with some of everything."""
    choice = random.Random(seed)
    folders: list[str] = [root]
    files: list[str] = []
    for number in range(choice.randrange(3, 40)):
        folder = choice.choice(folders)
        name = choice.choice(["f", "é", "a b", "-n", ".dot", "x" * choice.randrange(1, 200), "\udcff"]) + str(number)
        path = os.path.join(folder, name)
        _GROWERS[choice.randrange(len(_GROWERS))](path, choice, files)
        if os.path.isdir(path) and not os.path.islink(path):
            folders.append(path)
        os.lchown(path, choice.randrange(3), choice.choice([0, 5, 70_000]))
        if not os.path.islink(path):
            os.chmod(path, choice.choice([0o644, 0o755, 0o4711, 0o2770, 0o1777, 0o000]))
        os.utime(path, ns=(0, choice.randrange(2**33) * 10**9 + choice.randrange(10**9)), follow_symlinks=False)


def _grow_file(path: str, choice: random.Random, files: list[str]) -> None:
    with open(path, "wb") as file:
        file.write(choice.randbytes(choice.choice([0, 1, 511, 512, 5000, 1_100_000])))
    if choice.random() < 0.3:
        os.setxattr(path, "user.note", choice.randbytes(9))
    files.append(path)


def _grow_link(path: str, choice: random.Random, files: list[str]) -> None:
    if files:
        os.link(choice.choice(files), path)
    else:
        os.symlink("nowhere", path)


def _grow_hole(path: str, choice: random.Random, files: list[str]) -> None:
    with open(path, "wb") as file:
        file.seek(choice.randrange(1, 9) * 100_000)
        file.write(b"end")
    files.append(path)


_GROWERS = (
    _grow_file,
    _grow_file,
    lambda path, *_: os.mkdir(path),
    lambda path, *_: os.mkdir(path),
    lambda path, choice, _: os.symlink(choice.choice(["..", "/etc", "f", "é/../x" * 30]), path),
    _grow_link,
    lambda path, *_: os.mkfifo(path),
    lambda path, choice, _: os.mknod(path, 0o20600, os.makedev(choice.randrange(1, 300), choice.randrange(300))),
    _grow_hole,
)


@FEW
@given(st.integers(0, 2**32), st.sampled_from(["gnu", "pax", "posix"]), st.booleans(), st.booleans())
def test_like_gnu_tar(place: str, seed: int, format_: str, sparse: bool, by_name: bool) -> None:
    """A tree that GNU tar packs is unpacked by us as by GNU tar itself."""
    base = tempfile.mkdtemp(dir=place)
    root, expected, archive = (os.path.join(base, name) for name in ("root", "expected", "archive"))
    os.mkdir(root)
    os.mkdir(expected)
    grow_tree(root, seed)
    options = ["--xattrs", "--xattrs-include=*"] if format_ != "gnu" else []
    options += ["--sparse"] * sparse + ["--sort=name"] * by_name
    subprocess.run(["tar", "-c", f"--format={format_}", *options, "-f", archive, "-C", root, "."], check=True)
    unpacking = ["--same-owner", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*"]
    subprocess.run(["tar", "-x", *unpacking, "-f", archive, "-C", expected], check=True)
    with open(archive, "rb") as file:
        tree = unpack(place, file.read())

    found = differences(tree_manifest(expected), tree_manifest(tree))
    forget(tree)
    shutil.rmtree(base)
    assert found == []


# ── any row of entries ────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = st.sampled_from(
    ["a", "b", "a/", "./a", "a/b", "a/b/c", "b/a", "a/../b", "/a/b", "l/a", "l/b", "l", "a//b", "..a", "b/l/x"]
)
BODIES = st.sampled_from([b"", b"1", b"22", b"x" * 700, b"y" * 1_048_577])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry, of a few names, so that they get in each other's way."""
    name = draw(NAMES)
    kind = draw(st.integers(0, 9))
    owner: dict[str, Any] = {"uid": draw(st.integers(0, 2)), "mode": draw(st.sampled_from([0o644, 0o2755, 0o4700]))}
    if kind < 4:
        return regular(name, draw(BODIES), **owner)
    if kind < 6:
        return directory(name, **owner)
    if kind == 6:
        return symlink(name, draw(st.sampled_from(["a", "b", "/a/b", "..", "nowhere", "l"])), **owner)
    if kind == 7:
        return hardlink(name, draw(NAMES), **owner)
    if kind == 8:
        return node(name, b"6", **owner)
    return draw(st.sampled_from([whiteout(name.strip("/")), regular(os.path.join(name, ".wh..wh..opq"), b"zz")]))


@MANY
@given(st.lists(entries(), max_size=12), st.booleans(), st.sampled_from([*WhiteoutForm]))
def test_any_entries(place: str, row: list[Entry], has_lower: bool, form: WhiteoutForm) -> None:
    """Any entries, in any order, are unpacked and come out byte for byte, or one of them cannot be created."""
    try:
        forget(unpack(place, make_tar(*row), has_lower=has_lower, form=form))
    except EntryFailed as error:
        assert error.name  # noqa: PT017  - a success is fine as well


@MANY
@given(st.lists(entries(), min_size=1, max_size=5), st.data())
def test_any_damage(place: str, row: list[Entry], data: st.DataObject) -> None:
    """An archive with a changed byte, or cut, is unpacked as it is and comes out as it is, or is one of our errors."""
    archive = make_tar(*row)
    if data.draw(st.booleans()):
        archive = flip_byte(archive, data.draw(st.integers(0, len(archive) - 1)))
    else:
        archive = archive[: data.draw(st.integers(0, len(archive)))]
    try:
        forget(unpack(place, archive))
    except ArchiveError as error:
        assert error.message  # noqa: PT017  - a success is fine as well


@FEW
@given(st.binary(max_size=3000))
def test_any_bytes(place: str, data: bytes) -> None:
    """Any bytes whatever are an archive or one of our errors."""
    try:
        forget(unpack(place, data))
    except ArchiveError as error:
        assert error.message  # noqa: PT017  - a success is fine as well
