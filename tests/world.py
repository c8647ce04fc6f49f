"""The environment of the examples in help texts and the README: a store with a few items, and files beside it.

Layers `base` and `app`, which is its child; images `debian` and `alpine` with one layer, `app` with two, and a child; a
container `web`; archives of each kind; a Docker data root. Programs find the store through storage.conf alone, as on a
user's machine.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zstandard

from tests.builders import directory, make_tar, regular, typical_tar
from tests.unit.docker.dataroots import DataRoot
from tests.unit.transfer.archives import as_directory, as_tar, config_of, docker_archive, platforms_layout, sha

if TYPE_CHECKING:
    from pathlib import Path

ROOTFS = make_tar(directory("srv"), end=b"") + typical_tar()[:-1024]
ROOTFS += make_tar(regular("etc/passwd", b"root:x:0:0::/:/bin/sh\n"))
APP = make_tar(directory("srv/www"), regular("srv/www/index.html", b"<p>hello</p>\n"), regular("etc/passwd", b"none\n"))
NOTHING = bytes(1024)

BASE_ID = "3ede" + "0" * 60

FURNISHING = f"""
cstore import-layer --id {BASE_ID} --name base -f rootfs.tar.gz
cstore import-layer --name app -f app.tar.gz base
for image in debian alpine app; do
    cstore load --quiet -i $image.tar
    cstore add-names --name $image docker.io/library/$image:latest
done
cstore add-names --name app:1.2 --name localhost/app:latest docker.io/library/app:latest
cstore create-image --name old-image
cstore create-container --name web debian
cstore create-container --name old-container alpine
cstore set-layer-data -f sbom.json base sbom
cstore set-container-data -f config.json web config
"""


@dataclass(frozen=True)
class World:
    """One copy of the environment. `place` is the directory of its files, in which commands run."""

    place: str
    programs: str
    docker: str

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run shell lines in it. The first failure, even inside a pipe, ends them."""
        for text, here in self._stand_ins().items():
            script = script.replace(text, here)
        environment = {
            **os.environ,
            "PATH": os.pathsep.join((self.programs, os.environ["PATH"])),
            "CONTAINERS_STORAGE_CONF": self._config,
        }
        return subprocess.run(
            ["bash", "--norc", "-euo", "pipefail", "-c", script],
            cwd=self.place,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
        )

    def _stand_ins(self) -> dict[str, str]:
        """Return replacements for paths of the machine and for unpredictable IDs in examples."""
        image = hashlib.sha256(config_of(_IMAGES["app"])).hexdigest()
        return {
            "/var/lib/docker": self.docker,
            "/etc/containers/storage.conf": self._config,
            "/var/lib/containers/storage": f"{self.place}/graph",
            "2c037b": image[:6],
            "/tmp/graph": f"{self.place}/library/graph",
            "/tmp/run": f"{self.place}/library/run",
        }

    def copy(self, place: str) -> World:
        """Return a separate copy in the same state."""
        subprocess.run(["cp", "-a", "--reflink=auto", self.place, place], check=True)
        other = World(place, self.programs, self.docker)
        other.configure()
        return other

    def configure(self) -> None:
        """Write a storage.conf that names the store of this copy."""
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(_CONFIGURATION.format(place=self.place))

    @property
    def _config(self) -> str:
        return os.path.join(self.place, "storage.conf")


def empty_world(top: Path) -> World:
    """Return an environment with files and without a store."""
    place = str(top / "world")
    os.mkdir(place)
    world = World(place, _programs(str(top / "bin")), _docker_root(top))
    world.configure()
    _write_files(place)
    return world


def furnish(world: World) -> World:
    """Fill the store with ordinary commands."""
    done = world.run(FURNISHING)
    assert done.returncode == 0, done.stderr
    return world


def _programs(place: str) -> str:
    """Create a directory with a `cstore` that runs this code."""
    os.mkdir(place)
    path = os.path.join(place, "cstore")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {sys.executable} -m cstore "$@"\n')
    os.chmod(path, 0o700)
    return place


def _docker_root(top: Path) -> str:
    root = DataRoot(top, "vfs")
    one = make_tar(regular("one.txt", b"first\n"))
    two = make_tar(regular("two.txt", b"second\n"))
    root.layer(two, root.layer(one))
    root.image(sha(one), names=("alpine:3.19",))
    image = root.image(sha(one), sha(two), names=("my-app:1",))
    root.container("my-container", root.chains[1], image)
    return root.path


def _write_files(place: str) -> None:
    archives = {name: docker_archive(layers, (f"{name}:latest",)) for name, layers in _IMAGES.items()}
    files = {
        "rootfs.tar.gz": gzip.compress(ROOTFS, mtime=0),
        "rootfs.tar.zst": zstandard.compress(ROOTFS),
        "base.tar": NOTHING,
        "app.tar.gz": gzip.compress(APP, mtime=0),
        "update.tar.gz": gzip.compress(make_tar(regular("srv/www/new.html", b"new")), mtime=0),
        **{f"{name}.tar": as_tar(members) for name, members in archives.items()},
        "image.tar": as_tar(docker_archive(tags=("example.org/other:1",))),
        "sbom.json": b"{}",
        "prune.toml": b'older-than = "30d"\nkeep = ["debian*"]\n',
        "config.json": b"{}",
        "manifest.json": archives["debian"]["manifest.json"],
        "site/index.html": b"<p>hello</p>",
        "rootfs/etc/os-release": b"ID=none\n",
    }
    as_directory(files, place)
    as_directory(platforms_layout("amd64", "arm64"), os.path.join(place, "layout"))


_CONFIGURATION = """
[storage]
driver = "vfs"
graphroot = "{place}/graph"
runroot = "{place}/run"
[storage.options]
pull_options = {{enable_partial_images = "true"}}
"""
_IMAGES = {"debian": (ROOTFS,), "alpine": (make_tar(regular("bin/sh", b"#!\n")),), "app": (ROOTFS, APP)}
