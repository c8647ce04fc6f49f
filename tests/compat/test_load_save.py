"""Images in and out, beside skopeo, Podman, Buildah and umoci: what one of them makes of an archive, all make of it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import compress, differences, directory, make_tar, regular, symlink, tree_manifest
from tests.compat.test_overlay_peer import BASE, TOP
from tests.conftest import OverlayRoots, find_peer
from tests.unit.transfer.archives import (
    as_directory,
    as_json,
    as_tar,
    docker_archive,
    oci_layout,
    platforms_layout,
    sha,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Runner, RunnerMaker

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

NAME = "example.org/app:1"
LAYERS = (BASE, TOP, make_tar(regular("third", b"3" * 5000, mtime=5)))
_IMPLIED = (b"implied", b"implied/on", b"implied/on/the", b"etc", b"gone", b"gone-too", b"dir/old", b"bin")
"""What is not in the archive, or a whiteout: its time is that of the import."""


@pytest.fixture
def theirs(short: str) -> OverlayRoots:
    """A store for the others."""
    return OverlayRoots(f"{short}/peer-graph", f"{short}/peer-run")


def tool(*words: str, check: bool = True) -> str:
    """Run another program; return what it printed."""
    found = [find_peer(words[0]), *words[1:]]
    done = subprocess.run(found, capture_output=True, check=False, timeout=300, stdin=subprocess.DEVNULL)
    assert not check or done.returncode == 0, done.stderr.decode(errors="replace") + done.stdout.decode()
    return done.stdout.decode()


def skopeo(*words: str) -> str:
    """Run skopeo without a policy file."""
    return tool("skopeo", "--insecure-policy", *words)


def podman(roots: OverlayRoots, *words: str) -> str:
    """Run Podman on a store."""
    return tool("podman", *_options(roots), *words)


def _options(roots: OverlayRoots) -> list[str]:
    return ["--root", roots.graph, "--runroot", roots.run, "--storage-driver", "overlay"]


def on(roots: OverlayRoots, name: str = NAME) -> str:
    """Name an image of a store for skopeo."""
    return f"containers-storage:[overlay@{roots.graph}+{roots.run}]{name}"


def write(path: Path, data: bytes) -> str:
    """Put bytes into a file."""
    path.write_bytes(data)
    return str(path)


def docker_25(tmp_path: Path) -> tuple[str, str]:
    """The form of Docker from 25 on: a layout that is a docker-archive too."""
    members = oci_layout(LAYERS, zipped=False)
    archive = docker_archive(LAYERS, (NAME,))
    item = json.loads(archive["manifest.json"])[0]
    names = {f"{sha(body)[7:]}": body for name, body in archive.items() if name != "manifest.json"}
    item["Config"] = f"blobs/sha256/{item['Config'].removesuffix('.json')}"
    item["Layers"] = [f"blobs/sha256/{name.removesuffix('.tar')}" for name in item["Layers"]]
    blobs = {f"blobs/sha256/{name}": body for name, body in names.items()}
    tar = as_tar(dict(sorted({**members, **blobs}.items())) | {"manifest.json": as_json([item])})
    return "docker-archive", write(tmp_path / "docker25.tar", tar)


def copied(form: str, *options: str) -> Callable[[Path], tuple[str, str]]:
    """An archive that skopeo makes of another."""

    def make(tmp_path: Path) -> tuple[str, str]:
        source = write(tmp_path / "source.tar", as_tar(docker_archive(LAYERS, (NAME,))))
        target = str(tmp_path / "copied")
        skopeo("copy", "-q", *options, f"docker-archive:{source}", f"{form}:{target}:{NAME}")
        return form, target

    return make


def plain(tmp_path: Path) -> tuple[str, str]:
    """A docker-archive that no program wrote."""
    return "docker-archive", write(tmp_path / "plain.tar", as_tar(docker_archive(LAYERS, (NAME,))))


def zipped_outside(tmp_path: Path) -> tuple[str, str]:
    """A docker-archive, compressed. Not with gzip: Debian's skopeo and Podman find an early end in any of those."""
    return "docker-archive", write(tmp_path / "p.tar.bz2", compress(as_tar(docker_archive(LAYERS, (NAME,))), "bzip2"))


def many(tmp_path: Path) -> tuple[str, str]:
    """A layout for several platforms."""
    return "oci", as_directory(platforms_layout("amd64", "arm64"), str(tmp_path / "many"))


ARCHIVES: dict[str, Callable[[Path], tuple[str, str]]] = {
    "docker": plain,
    "docker, compressed": zipped_outside,
    "docker 25": docker_25,
    "docker by skopeo": copied("docker-archive"),
    "layout, gzip": copied("oci"),
    "layout, zstd": copied("oci", "--dest-compress-format", "zstd", "--dest-compress"),
    "archive of a layout": copied("oci-archive"),
    "layout for platforms": many,
}


def records(roots: OverlayRoots) -> tuple[list[Any], list[Any]]:
    """What is recorded of layers and images, less times, and less what skopeo writes since 2023 in another way."""
    with open(os.path.join(roots.graph, "overlay-layers", "layers.json"), encoding="utf-8") as file:
        layers = [{**layer, "created": ""} for layer in json.load(file)]
    with open(os.path.join(roots.graph, "overlay-images", "images.json"), encoding="utf-8") as file:
        images = json.load(file)
    for image in images:
        image["metadata"] = "{}"
        image["big-data-names"] = [name for name in image["big-data-names"] if not name.startswith("signature-")]
        for key in ("big-data-sizes", "big-data-digests"):
            image[key] = {name: value for name, value in image[key].items() if not name.startswith("signature-")}
    return layers, images


def data(roots: OverlayRoots) -> dict[str, bytes]:
    """The files of the images, likewise."""
    found = {}
    for folder, _, files in os.walk(os.path.join(roots.graph, "overlay-images")):
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                found[os.path.join(os.path.basename(folder), name)] = file.read()
    return {name: body for name, body in found.items() if body and not name.endswith((".json", ".lock"))}


@pytest.mark.parametrize("make", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_a_store_is_the_one_that_skopeo_makes(
    make: Callable[[Path], tuple[str, str]], ours: Runner, roots: OverlayRoots, theirs: OverlayRoots, tmp_path: Path
) -> None:
    """Records, data files and overlay trees are equal, times aside."""
    form, path = make(tmp_path)
    name = "example.org/many:1" if make is many else NAME
    tag = "" if form == "docker-archive" else f":{name}"
    skopeo("copy", "-q", f"{form}:{path}{tag}", on(theirs, name))

    assert ours("load", "--format", "docker" if form == "docker-archive" else "oci", path).ok().lines == [
        f"Loaded image: {name}"
    ]

    assert records(roots) == records(theirs)
    assert data(roots) == data(theirs)
    for layer in records(roots)[0]:
        mine, other = tree_manifest(roots.tree(layer["id"])), tree_manifest(theirs.tree(layer["id"]))
        for implied in _IMPLIED:
            for manifest in (mine, other):
                if implied in manifest:
                    manifest[implied] = replace(manifest[implied], mtime=None)
        assert differences(mine, other) == []


def test_a_layer_that_is_a_link_is_described_as_skopeo_describes_it(
    ours: Runner, roots: OverlayRoots, theirs: OverlayRoots, tmp_path: Path
) -> None:
    """Docker before 25 wrote links where images share a layer; skopeo takes one only for a layer that it has."""
    first = write(tmp_path / "first.tar", as_tar(docker_archive(LAYERS, (NAME,))))
    members = docker_archive(LAYERS, ("example.org/app:2",), comment="of the same layers")
    (item,) = json.loads(members["manifest.json"])
    members["old/layer.tar"] = f"-> ../{item['Layers'][1]}".encode()
    item["Layers"][1] = "old/layer.tar"
    second = write(tmp_path / "second.tar", as_tar({**members, "manifest.json": as_json([item])}))
    for path, name in ((first, NAME), (second, "example.org/app:2")):
        skopeo("copy", "-q", f"docker-archive:{path}", on(theirs, name))
        ours("load", path).ok()

    assert records(roots) == records(theirs)
    assert data(roots) == data(theirs)


def test_names_are_in_the_order_of_podman(
    ours: Runner, roots: OverlayRoots, theirs: OverlayRoots, tmp_path: Path
) -> None:
    """Of several, the last one stands first, and the history tells how they came."""
    path = write(tmp_path / "named.tar", as_tar(docker_archive(LAYERS, ("example.org/b:1", "example.org/a:1", "c:1"))))
    podman(theirs, "load", "-q", "-i", path)
    ours("load", "--podman-names", path).ok()

    assert records(roots) == records(theirs)


def test_an_image_that_came_twice_is_recorded_as_skopeo_records_it(
    ours: Runner, roots: OverlayRoots, theirs: OverlayRoots, tmp_path: Path
) -> None:
    """First as a docker-archive, then as a layout under another name: one record, both manifests."""
    _, first = plain(tmp_path)
    _, second = copied("oci")(tmp_path)
    other = "example.org/again:2"
    skopeo("copy", "-q", f"docker-archive:{first}", on(theirs))
    skopeo("copy", "-q", f"oci:{second}:{NAME}", on(theirs, other))

    ours("load", first).ok()
    ours("load", "--tag", other, second).ok()

    assert records(roots) == records(theirs)
    assert data(roots) == data(theirs)


def program_tar(*paths: str) -> bytes:
    """A layer with some programs of this machine and the libraries that they need."""
    needed = set(paths)
    for path in paths:
        printed = subprocess.run(["ldd", path], capture_output=True, check=True, text=True).stdout
        needed |= {word for word in printed.split() if word.startswith("/")}
    entries = [directory(name) for name in ("etc", "tmp", "proc", "sys", "dev", "root", "run")]
    entries.append(regular("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"))
    for path in sorted(needed):
        with open(os.path.realpath(path), "rb") as file:
            entries.append(regular(path.lstrip("/"), file.read(), mode=0o755))
    return make_tar(*entries, symlink("greeting", "etc/greeting"))


def test_podman_lists_and_buildah_runs_what_was_loaded(ours: Runner, roots: OverlayRoots, tmp_path: Path) -> None:
    """The image is listed with its name and config, and a program in it runs."""
    layers = (program_tar("/bin/cat"), make_tar(regular("etc/greeting", b"hello from above\n")))
    path = write(tmp_path / "run.tar", as_tar(docker_archive(layers, (NAME,), config={"Cmd": ["/bin/cat"]})))
    ours("load", "-i", path).ok()

    assert NAME in podman(roots, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    told = json.loads(podman(roots, "image", "inspect", NAME))[0]
    assert told["RootFS"]["Layers"] == [sha(layer) for layer in layers]
    assert told["Config"]["Cmd"] == ["/bin/cat"]
    buildah = ["buildah", "--root", roots.graph, "--runroot", roots.run, "--storage-driver", "overlay"]
    container = tool(*buildah, "from", "--pull-never", NAME).strip()
    run = [*buildah, "run", "--isolation", "chroot", container, "/bin/cat", "/greeting"]
    assert tool(*run) == "hello from above\n"
    tool(*buildah, "rm", container)


def test_podman_lists_and_buildah_runs_what_was_imported(ours: Runner, roots: OverlayRoots, tmp_path: Path) -> None:
    """The layer is the one that Podman makes of the same tar, the name is completed alike, and the program runs."""
    root = write(tmp_path / "root.tar", program_tar("/bin/cat"))
    changes = ["--change", 'ENTRYPOINT ["/bin/cat"]', "--change", "ENV A=b"]
    image = ours("import", *changes, "--message", "from a tar", root, "mine").ok().lines[0]
    podman(roots, "import", "-q", *changes, root, "theirs")

    assert "localhost/mine:latest" in podman(roots, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    mine, theirs = json.loads(podman(roots, "image", "inspect", "mine", "theirs"))
    assert (mine["Id"], mine["Comment"]) == (image, "from a tar")
    for key in ("RootFS", "Config", "Architecture", "Os"):
        assert mine[key] == theirs[key]
    buildah = ["buildah", "--root", roots.graph, "--runroot", roots.run, "--storage-driver", "overlay"]
    container = tool(*buildah, "from", "--pull-never", "localhost/mine:latest").strip()
    run = [*buildah, "run", "--isolation", "chroot", container, "/bin/cat", "/etc/passwd"]
    assert tool(*run) == "root:x:0:0:root:/root:/bin/sh\n"
    tool(*buildah, "rm", container)
    ours("check").ok()


def test_podman_cannot_list_an_image_without_a_manifest(ours: Runner, roots: OverlayRoots, tmp_path: Path) -> None:
    """As create-image says of what it makes, and check; both name the image."""
    ours("import", write(tmp_path / "root.tar", make_tar(regular("f"))), "whole").ok()
    layer = ours("import-layer", "--id-only", "-f", write(tmp_path / "other.tar", make_tar(regular("g")))).ok().lines[0]
    made = ours("create-image", "--name", "localhost/bare:1", layer).ok()
    image = made.lines[0]

    assert image in made.stderr
    assert "no manifest" in made.stderr
    assert "whole" not in tool("podman", *_options(roots), "images", check=False)
    found = json.loads(ours("check", "--json").output)["Findings"]
    assert [(one["kind"], one["severity"]) for one in found] == [("image-without-data", "leftover")]
    ours("delete-image", image).ok()
    assert "whole" in podman(roots, "images")


@pytest.fixture
def loaded(ours: Runner, tmp_path: Path) -> Runner:
    """A store with an image in it."""
    ours("load", write(tmp_path / "in.tar", as_tar(docker_archive(LAYERS, (NAME,))))).ok()
    return ours


def test_a_saved_docker_archive_is_the_one_that_skopeo_writes(
    loaded: Runner, roots: OverlayRoots, tmp_path: Path
) -> None:
    """To the byte; and so it is on every run, to a file and to a pipe."""
    theirs, mine = str(tmp_path / "theirs.tar"), str(tmp_path / "mine.tar")
    skopeo("copy", "-q", on(roots), f"docker-archive:{theirs}:{NAME}")
    loaded("save", "-o", mine, NAME).ok()

    with open(theirs, "rb") as one, open(mine, "rb") as two:
        written = two.read()
        assert one.read() == written
    assert loaded("save", NAME).ok().output == written


SAVED = [
    ("docker-archive", "none"),
    ("docker-archive", "zstd"),
    ("oci-archive", "none"),
    ("oci-archive", "gzip"),
    ("oci-archive", "zstd"),
]


@pytest.mark.parametrize(("form", "compression"), SAVED)
def test_skopeo_and_podman_take_what_was_saved(
    form: str, compression: str, loaded: Runner, roots: OverlayRoots, theirs: OverlayRoots, tmp_path: Path
) -> None:
    """Same image ID, same layers; the same bytes from run to run."""
    path = str(tmp_path / "saved.tar")
    loaded("save", "--format", form, "--compress", compression, "-o", path, NAME).ok()
    with open(path, "rb") as file:
        assert loaded("save", "--format", form, "--compress", compression, NAME).ok().output == file.read()

    assert len(json.loads(skopeo("inspect", f"{form}:{path}"))["Layers"]) == 3
    skopeo("copy", "-q", f"{form}:{path}", on(theirs))
    assert [layer["id"] for layer in records(theirs)[0]] == [layer["id"] for layer in records(roots)[0]]
    assert records(theirs)[1][0]["id"] == records(roots)[1][0]["id"]
    podman(theirs, "rmi", "-f", NAME)
    assert NAME in podman(theirs, "load", "-q", "-i", path)
    assert records(theirs)[1][0]["id"] == records(roots)[1][0]["id"]


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_umoci_unpacks_a_saved_layout(compression: str, loaded: Runner, tmp_path: Path) -> None:
    """The tree is there, and no program complains of the layout."""
    layout, bundle = str(tmp_path / "layout"), str(tmp_path / "bundle")
    loaded("save", "--format", "oci-dir", "--compress", compression, "-o", layout, NAME).ok()

    tool("umoci", "unpack", "--image", f"{layout}:{NAME}", bundle)

    with open(os.path.join(bundle, "rootfs", "etc", "a"), encoding="ascii") as file:
        assert file.read() == "changed"
    assert not os.path.lexists(os.path.join(bundle, "rootfs", "gone"))


def test_what_was_saved_loads_again_into_an_equal_store(
    loaded: Runner, run_on: RunnerMaker, roots: OverlayRoots, theirs: OverlayRoots
) -> None:
    """From a pipe, all of it in one pass; the records are those of the first load."""
    layout = loaded("save", NAME).ok().output
    run_on(theirs)("load", stdin=layout).ok()

    assert records(theirs) == records(roots)
    assert data(theirs) == data(roots)
