"""Two ways to resolve a path, the kernel's and ours, never disagree, and neither ever leaves the root."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from cstore.fs import scoped
from cstore.fs.tree import remove_tree
from cstore.kernel import files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PARTS = st.sampled_from(["a", "b", "c", "..", ".", ""])
PATHS = st.builds(lambda start, parts: start + "/".join(parts), st.sampled_from(["", "/"]), st.lists(PARTS, max_size=6))
PLACES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
KINDS = st.one_of(st.just("file"), st.just("dir"), PATHS.map(lambda path: f"link:{path}"))
FORESTS = st.dictionaries(PLACES, KINDS, max_size=8)


def plant(root: str, forest: Mapping[str, str]) -> None:
    """Make what can be made of it; what lies below a file is left out."""
    for place in sorted(forest, key=len):
        path, kind = os.path.join(root, place), forest[place]
        parent = os.path.dirname(path)
        if os.path.realpath(parent) != parent or os.path.lexists(path):
            continue
        try:
            os.makedirs(parent, exist_ok=True)
            if kind == "dir":
                os.mkdir(path)
            elif kind == "file":
                with open(path, "wb"):
                    pass
            elif kind != "link:":
                os.symlink(kind.removeprefix("link:"), path)
        except OSError:
            continue  # a file or a loop of links is in the way


def outcome(opener: Callable[[], int]) -> object:
    """Which file was opened, or which error came."""
    try:
        fd = opener()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    try:
        status = os.fstat(fd)
        return status.st_dev, status.st_ino
    finally:
        os.close(fd)


@settings(max_examples=300, deadline=None)
@given(forest=FORESTS, path=PATHS)
@example(forest={"a": "link:/..", "b": "file"}, path="a/b")
@example(forest={"a": "link:b/../..", "b": "dir"}, path="a/../b")
@example(forest={"a": "link:a"}, path="a")
def test_kernel_and_walk_agree(forest: Mapping[str, str], path: str) -> None:
    """Same file or same error, for both functions; and a file is always one of the root's."""
    base = os.path.realpath(tempfile.mkdtemp())
    root = os.path.join(base, "root")
    os.mkdir(root)
    plant(root, forest)
    inside = {(status.st_dev, status.st_ino) for status in _everything(root)}
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    real = files.openat2
    try:
        for opener in (scoped.open_in_root, scoped.open_beneath):
            found = []
            for kernel in (real, _missing):
                files.openat2 = kernel
                found.append(outcome(lambda opener=opener: opener(fd, path.encode(), os.O_RDONLY | os.O_NONBLOCK)))  # type: ignore[misc]
            assert found[0] == found[1]
            assert isinstance(found[0], str) or found[0] in inside
    finally:
        files.openat2 = real
        os.close(fd)
        remove_tree(base)


def _missing(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _everything(root: str) -> list[os.stat_result]:
    found = [os.lstat(root)]
    for folder, folders, names in os.walk(root):
        found += [os.lstat(os.path.join(folder, name)) for name in [*folders, *names]]
    return found
