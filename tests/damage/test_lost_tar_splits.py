"""A layer whose tar-split is lost gets one again: its files are written as known writers would, until the digest fits.

Layers are made afresh by the programs themselves. What the search cannot know stays a finding, and the layer as it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from cstore.archive.compression import Compression
from cstore.archive.streams import HashingSink
from cstore.store import NewLayer
from tests.damage.healing import repair
from tests.damage.specimen import Specimen, put
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LAYER = "1" * 64
LONG = "a-directory-with-a-name-of-some-length/" * 3 + "and-a-file-in-it"

GNU = ["tar", "--create", "--file"]
BSD = ["bsdtar", "-c", "-f"]
NO_TIMES = "--pax-option=delete=atime,delete=ctime"
WRITERS: dict[str, list[str]] = {
    "GNU tar": [*GNU, "OUT", "."],
    "GNU tar, sorted": [*GNU, "OUT", "--sort=name", "."],
    "GNU tar, sorted, numbers": [*GNU, "OUT", "--sort=name", "--numeric-owner", "."],
    "GNU tar, names as given": [*GNU, "OUT", "--sort=name", "bin", "etc", "srv"],
    "GNU tar, ustar": [*GNU, "OUT", "--format=ustar", "--sort=name", "."],
    "GNU tar, posix without times": [*GNU, "OUT", "--format=posix", NO_TIMES, "--sort=name", "."],
    "GNU tar, posix, unsorted": [*GNU, "OUT", "--format=posix", NO_TIMES, "."],
    "GNU tar, posix, attributes": [*GNU, "OUT", "--format=posix", NO_TIMES, "--xattrs", "--xattrs-include=*", "."],
    "bsdtar": [*BSD, "OUT", "."],
    "bsdtar, names as given": [*BSD, "OUT", "bin", "etc", "srv"],
    "bsdtar, ustar": [*BSD, "OUT", "--format=ustar", "."],
    "busybox": ["busybox", "tar", "-c", "-f", "OUT", "."],
}


@pytest.fixture
def store(tmp_path: Path, needs_root: None) -> Iterator[Callable[[str], Specimen]]:
    """An empty store of a driver."""
    place = tmp_path / "store"
    place.mkdir()
    yield lambda driver: Specimen(driver, str(place))
    detach_all(str(tmp_path))


@pytest.fixture
def tree(tmp_path: Path) -> str:
    """A root file system: links of both kinds, owners, a device, long names, times with fractions."""
    top = tmp_path / "tree"
    for folder in ("etc/conf.d", "bin", "srv/" + os.path.dirname(LONG), "etc/a.d"):
        (top / folder).mkdir(parents=True)
    files = ("etc/hosts", "bin/tool", "etc/conf.d/zz", "etc/conf.d/aa", "srv/" + LONG, "etc/empty")
    for number, name in enumerate(files):
        (top / name).write_bytes(b"" if name.endswith("empty") else bytes([65 + number]) * (300 * number + 7))
        os.utime(top / name, ns=(10**18, 1_600_000_000 * 10**9 + number * 123_456_789_123))
    os.link(top / "bin/tool", top / "bin/same")
    os.symlink("bin", top / "sbin")
    os.symlink(LONG, top / "etc/long")
    os.chmod(top / "bin/tool", 0o4755)  # noqa: S103  - a privilege to be kept
    os.chown(top / "etc/hosts", 33, 12345)
    os.mknod(top / "etc/null", 0o20666, os.makedev(1, 3))
    for folder in ("etc/conf.d", "etc/a.d", "etc", "bin", "srv", "."):
        os.utime(top / folder, ns=(10**18, 1_650_000_000 * 10**9 + len(folder) * 987_654_321))
    return str(top)


def lose(specimen: Specimen, archive: bytes) -> None:
    """Import an archive, and lose its tar-split."""
    put(specimen.open(), NewLayer(id=LAYER), archive, specimen.root)
    os.unlink(specimen.tar_split(LAYER))


def digest(specimen: Specimen, layer: str = LAYER) -> str:
    """The digest of what a layer gives back."""
    sink = HashingSink()
    specimen.open().layers.diff(layer, sink, compression=Compression.NONE)
    return sink.digest


def recorded(specimen: Specimen, layer: str = LAYER) -> str:
    """The digest that is recorded."""
    found = specimen.open().layers.find(layer)
    assert found is not None
    return found.diff_digest


def written_by(name: str, tree: str, out: Path) -> bytes:
    """Let a program write a tar of a tree."""
    command = [str(out) if word == "OUT" else word for word in WRITERS[name]]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    if "ustar" in name:
        os.unlink(os.path.join(tree, "etc/long"))  # no such header has room for its target
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    return out.read_bytes()


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
@pytest.mark.parametrize("name", WRITERS)
def test_the_archive_of_a_known_writer_is_found(
    name: str, driver: str, store: Callable[[str], Specimen], tree: str, tmp_path: Path
) -> None:
    """The layer gives back the very archive again, and nothing is wrong with the store."""
    specimen = store(driver)
    lose(specimen, written_by(name, tree, tmp_path / "x.tar"))

    result = repair(specimen)

    assert result.serious == []
    assert result.failed == ()
    assert digest(specimen) == recorded(specimen)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_the_archive_of_python_is_found(form: int, store: Callable[[str], Specimen], tree: str, tmp_path: Path) -> None:
    """Python writes times as floats."""
    with tarfile.open(tmp_path / "x.tar", "w", format=form) as file:
        file.add(tree, arcname=".")
    specimen = store("overlay")
    lose(specimen, (tmp_path / "x.tar").read_bytes())

    assert repair(specimen).serious == []
    assert digest(specimen) == recorded(specimen)
