"""A layer whose tar-split is lost gets one again: its files are written as known writers would, until the digest fits.

Layers are made afresh by the programs themselves. What the search cannot know stays a finding, and the layer as it is.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from cstore.archive.compression import Compression
from cstore.archive.streams import HashingSink
from cstore.store import NewLayer
from tests.builders import make_tar, regular
from tests.damage.healing import facts, repair
from tests.damage.specimen import Specimen, put
from tests.dockerd import docker_daemon
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
    "bsdtar, GNU": [*BSD, "OUT", "--format=gnutar", "."],
    "busybox": ["busybox", "tar", "-c", "-f", "OUT", "."],
}


@pytest.fixture
def store(needs_root: None) -> Iterator[Callable[[str], Specimen]]:
    """An empty store of a driver, its directory short enough for Podman."""
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as place:
        yield lambda driver: Specimen(driver, place)
        detach_all(place)


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


def podman_like(program: str, specimen: Specimen, *arguments: str, text: str = "") -> str:
    """Run Buildah or Podman on the specimen's store."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    roots = ["--root", specimen.graph, "--runroot", specimen.run, "--storage-driver", specimen.driver]
    done = subprocess.run([program, *roots, *arguments], check=True, capture_output=True, text=True, input=text)
    return done.stdout.strip()


def lose_all(specimen: Specimen) -> list[str]:
    """Lose the tar-splits of all imported layers; give the layers."""
    lost = [layer.id for layer in specimen.open().layers.list() if layer.diff_digest]
    for layer in lost:
        with suppress(FileNotFoundError):
            os.unlink(specimen.tar_split(layer))
    return lost


def change(place: str) -> None:
    """Change a mounted tree: files added, changed and removed, a directory emptied and filled again."""
    shutil.rmtree(os.path.join(place, "etc/conf.d"))
    os.unlink(os.path.join(place, "sbin"))
    os.unlink(os.path.join(place, "bin/same"))
    os.mkdir(os.path.join(place, "etc/conf.d"), 0o750)
    for name in ("etc/conf.d/new", "etc/hosts", "srv/added"):
        with open(os.path.join(place, name), "a", encoding="ascii") as file:
            file.write(f"more in {name}\n" * 99)


def test_layers_of_buildah_are_found(store: Callable[[str], Specimen], tree: str) -> None:
    """A base layer, and one above it with whiteouts and an opaque directory, whose times are searched for."""
    specimen = store("overlay")
    first = podman_like("buildah", specimen, "from", "scratch")
    podman_like("buildah", specimen, "copy", first, tree, "/")
    podman_like("buildah", specimen, "commit", "--rm", first, "localhost/base")
    second = podman_like("buildah", specimen, "from", "--pull-never", "localhost/base")
    change(podman_like("buildah", specimen, "mount", second))
    podman_like("buildah", specimen, "umount", second)
    podman_like("buildah", specimen, "commit", "--rm", second, "localhost/app")
    lost = lose_all(specimen)

    result = repair(specimen)

    assert len(lost) == 2
    assert result.serious == []
    assert [digest(specimen, layer) for layer in lost] == [recorded(specimen, layer) for layer in lost]


def test_layers_of_podman_are_found(store: Callable[[str], Specimen], tree: str, tmp_path: Path) -> None:
    """An imported root file system, and what a container has changed above it."""
    specimen = store("overlay")
    archive = tmp_path / "x.tar"
    written_by("GNU tar, sorted", tree, archive)
    podman_like("podman", specimen, "import", "--quiet", str(archive), "localhost/base")
    container = podman_like("podman", specimen, "create", "localhost/base", "/bin/tool")
    change(podman_like("podman", specimen, "mount", container))
    podman_like("podman", specimen, "umount", container)
    podman_like("podman", specimen, "commit", "--quiet", container, "localhost/app")
    podman_like("podman", specimen, "rm", container)
    lost = lose_all(specimen)

    result = repair(specimen)

    assert len(lost) == 2
    assert result.serious == []
    assert [digest(specimen, layer) for layer in lost] == [recorded(specimen, layer) for layer in lost]


def test_layers_of_umoci_are_found(store: Callable[[str], Specimen], tree: str, tmp_path: Path) -> None:
    """The first repacked layer has an entry for the root; the second one removes, with whiteouts of 1970."""
    if shutil.which("umoci") is None:
        pytest.skip("umoci is not installed")
    layout = str(tmp_path / "layout")
    subprocess.run(["umoci", "init", "--layout", layout], check=True, capture_output=True)
    subprocess.run(["umoci", "new", "--image", f"{layout}:0"], check=True, capture_output=True)
    for number, act in enumerate((lambda root: copy_into(tree, root), change)):
        bundle = str(tmp_path / f"bundle{number}")
        subprocess.run(["umoci", "unpack", "--image", f"{layout}:{number}", bundle], check=True, capture_output=True)
        act(os.path.join(bundle, "rootfs"))
        image = f"{layout}:{number + 1}"
        subprocess.run(["umoci", "repack", "--image", image, bundle], check=True, capture_output=True)
    assert_found_again(store("overlay"), layers_of(layout, "2"))


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_layers_of_docker_are_found(driver: str, store: Callable[[str], Specimen], tree: str, tmp_path: Path) -> None:
    """What `docker cp` put into an image, and what was changed above it."""
    archive = tmp_path / "x.tar"
    written_by("GNU tar, sorted", tree, archive)
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as folder:
        archives = docker_layers(str(archive), folder)
    assert_found_again(store(driver), archives)


def docker_layers(base: str, folder: str) -> list[bytes]:
    """Let a Docker daemon in a folder import an archive and commit changes above it; give both layers."""
    with docker_daemon(folder, "overlay2") as docker:
        docker("import", base, "base:1")
        container = docker("create", "base:1", "/bin/tool")
        data = json.loads(docker("inspect", "--format", "{{json .GraphDriver.Data}}", container))
        with mounted(data, folder) as place:
            change(place)
        docker("commit", container, "app:1")
        docker("save", "-o", os.path.join(folder, "saved.tar"), "app:1")
    detach_all(folder)
    with tarfile.open(os.path.join(folder, "saved.tar")) as saved:
        names = json.loads(member(saved, "manifest.json"))[0]["Layers"]
        return [member(saved, name) for name in names]


@contextmanager
def mounted(data: dict[str, str], folder: str) -> Iterator[str]:
    """Mount a container of Docker's that does not run."""
    place = os.path.join(folder, "merged")
    os.mkdir(place)
    options = f"lowerdir={data['LowerDir']},upperdir={data['UpperDir']},workdir={data['WorkDir']}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def member(archive: tarfile.TarFile, name: str) -> bytes:
    """A file in an archive."""
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def assert_found_again(specimen: Specimen, archives: list[bytes]) -> None:
    """Import layers, one above the other; each loses its tar-split, and gives back its archive after a repair."""
    parent = ""
    for number, archive in enumerate(archives):
        put(specimen.open(), NewLayer(id=str(number) * 64, parent=parent), archive, specimen.root)
        parent = str(number) * 64
    lost = lose_all(specimen)

    result = repair(specimen)

    assert len(lost) == 2
    assert result.serious == []
    assert [digest(specimen, layer) for layer in lost] == [recorded(specimen, layer) for layer in lost]


def copy_into(tree: str, root: str) -> None:
    """Copy a tree with everything that belongs to its files."""
    subprocess.run(["cp", "-a", tree + "/.", root], check=True)


def layers_of(layout: str, tag: str) -> list[bytes]:
    """The plain archives of an image's layers in an OCI layout."""

    def blob(digest: str) -> bytes:
        with open(os.path.join(layout, "blobs", *digest.split(":")), "rb") as file:
            return file.read()

    with open(os.path.join(layout, "index.json"), "rb") as file:
        index = json.load(file)
    name = "org.opencontainers.image.ref.name"
    found = next(one for one in index["manifests"] if one["annotations"][name] == tag)
    return [gzip.decompress(blob(one["digest"])) for one in json.loads(blob(found["digest"]))["layers"]]


def test_what_nothing_shows_is_left_as_it_is(store: Callable[[str], Specimen], tree: str, tmp_path: Path) -> None:
    """With times of access in its headers no archive can be made again: a finding below damage, and nothing is done."""
    specimen = store("overlay")
    subprocess.run([*GNU, str(tmp_path / "x.tar"), "--format=posix", "."], cwd=tree, check=True)
    lose(specimen, (tmp_path / "x.tar").read_bytes())
    before = facts(specimen)

    result = repair(specimen, search_time=5)

    assert [(one.kind, one.severity.value) for one in result.serious] == [("tar-split-missing", "export")]
    assert result.done == ()
    assert not specimen.check().clean
    assert "they may still be correct" in result.plans[-1].unrepairable[0].reason
    assert facts(specimen) == before


def test_a_layer_with_a_changed_file_is_not_healed(store: Callable[[str], Specimen], tree: str, tmp_path: Path) -> None:
    """Only the recorded digest counts: a tar-split that fits what is there now would hide the damage."""
    specimen = store("overlay")
    lose(specimen, written_by("GNU tar, sorted", tree, tmp_path / "x.tar"))
    with open(specimen.tree(LAYER, "etc/hosts"), "r+b") as file:
        file.write(b"!")

    result = repair(specimen, search_time=5)

    assert (result.done, [one.kind for one in result.serious]) == ((), ["tar-split-missing"])
    assert not os.path.exists(specimen.tar_split(LAYER))


def test_without_time_nothing_is_searched(store: Callable[[str], Specimen], tree: str, tmp_path: Path) -> None:
    """A search may be long, and may be left out."""
    specimen = store("overlay")
    lose(specimen, written_by("GNU tar, sorted", tree, tmp_path / "x.tar"))

    assert [one.kind for one in repair(specimen, search_time=0).serious] == ["tar-split-missing"]
    assert repair(specimen).serious == []


@pytest.mark.parametrize("damage", ["cut", "another layer's"])
def test_a_tar_split_that_is_cut_or_wrong(
    damage: str, store: Callable[[str], Specimen], tree: str, tmp_path: Path
) -> None:
    """It does not matter how it was lost; a wrong one does not make sound files suspect."""
    specimen = store("overlay")
    put(specimen.open(), NewLayer(id=LAYER), written_by("GNU tar, sorted", tree, tmp_path / "x.tar"), specimen.root)
    if damage == "cut":
        os.truncate(specimen.tar_split(LAYER), os.path.getsize(specimen.tar_split(LAYER)) // 2)
    else:
        put(specimen.open(), NewLayer(id="2" * 64), make_tar(regular("other", b"file")), specimen.root)
        shutil.copy(specimen.tar_split("2" * 64), specimen.tar_split(LAYER))

    assert repair(specimen).serious == []
    assert digest(specimen) == recorded(specimen)
