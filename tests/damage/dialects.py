"""How many lost tar-splits are found again, by the writer of the layer.

Run as root: `python -m tests.damage.dialects [--seed N] [--seconds S] [WRITER...]`. Each writer that is here makes
layers afresh, of random trees and with random options; each loses its tar-split and is repaired, which may search S
seconds a layer. Only equal digests count. Prints a line a writer, and what was not found.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from typing import TYPE_CHECKING

from cstore.store import NewLayer
from tests.damage.healing import repair
from tests.damage.specimen import Specimen, put
from tests.damage.test_lost_tar_splits import (
    NO_TIMES,
    change,
    copy_into,
    digest,
    docker_layers,
    layers_of,
    lose_all,
    podman_like,
    recorded,
)
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Layers = tuple[str, list[bytes]]
"""How they were made, and archives, each above the one before."""


def make_tree(top: str, choice: random.Random) -> str:
    """A root file system of random names, owners, modes, times and sizes, with links, a device and long names."""
    folders = ["bin", "etc", "srv"]
    for number in range(choice.randint(3, 12)):
        folders.append(os.path.join(choice.choice(folders), f"{choice.choice('abxyz')}{number}"))
    folders.append("srv/" + "a-directory-with-a-long-name/" * choice.randint(4, 8) + "end")
    for folder in folders:
        os.makedirs(os.path.join(top, folder), exist_ok=True)
    os.makedirs(os.path.join(top, "etc/conf.d"), exist_ok=True)
    count = choice.randint(8, 30)
    names = [f"{choice.choice(folders)}/{choice.choice('ABab.-_z')}{number}f" for number in range(count)]
    for name in (*names, "etc/hosts", "bin/tool", "etc/conf.d/own"):
        path = os.path.join(top, name)
        with open(path, "wb") as file:
            file.write(choice.randbytes(choice.choice((0, 1, 511, 512, 513, 5000))))
        os.chmod(path, choice.choice((0o644, 0o755, 0o600, 0o4755, 0o2711)))
        if choice.random() < 0.3:
            os.chown(path, choice.choice((0, 33, 1000, 70_000)), choice.choice((0, 33, 12_345)))
        fraction = choice.choice((0, 0, choice.randrange(10**9)))
        os.utime(path, ns=(10**18, choice.randint(10**9, 1_700_000_000) * 10**9 + fraction))
    os.link(os.path.join(top, "bin/tool"), os.path.join(top, "bin/same"))
    os.link(os.path.join(top, names[0]), os.path.join(top, "etc/zz-same"))
    os.symlink("bin", os.path.join(top, "sbin"))
    os.symlink("/" + "etc/" * choice.choice((1, 40)) + "hosts", os.path.join(top, "etc/link"))
    os.mknod(os.path.join(top, "etc/null"), 0o20666, os.makedev(1, 3))
    times = {folder: choice.randint(10**9, 1_700_000_000) * 10**9 for folder in sorted({*folders, "etc/conf.d"})}
    times["."] = max(at for folder, at in times.items() if "/" not in folder)  # when the last of them was made
    for folder, at in times.items():
        os.utime(os.path.join(top, folder), ns=(10**18, at))
    return top


# ── the writers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _written(command: list[str], tree: str) -> Layers:
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "x.tar")
        subprocess.run([word if word != "OUT" else out for word in command], cwd=tree, check=True, capture_output=True)
        with open(out, "rb") as file:
            return " ".join(word for word in command if word not in os.listdir(tree)), [file.read()]


def gnu_tar(tree: str, choice: random.Random) -> Layers:
    """GNU tar, with the options of recipes that people use."""
    posix = ["--format=posix"]
    forms = choice.choice(([], [], ["--format=gnu"], ["--format=ustar"], [*posix, NO_TIMES], [*posix, NO_TIMES], posix))
    order = choice.choice(([], ["--sort=name"], ["--sort=name"]))
    of_root = ["--owner=0", "--group=0"]
    owner = choice.choice(([], ["--numeric-owner"], of_root, [*of_root, "--numeric-owner"]))
    times = choice.choice(([], [], [], ["--mtime=@1600000000"]))
    attributes = ["--xattrs", "--xattrs-include=*"] if "--format=posix" in forms and choice.random() < 0.3 else []
    names = choice.choice((["."], ["."], sorted(os.listdir(tree))))
    if "--format=ustar" in forms:
        _without_long_names(tree)
    return _written(["tar", "--create", "--file", "OUT", *forms, *order, *owner, *times, *attributes, *names], tree)


def bsdtar(tree: str, choice: random.Random) -> Layers:
    """That of libarchive."""
    forms = choice.choice(([], [], [], ["--format=pax"], ["--format=ustar"], ["--format=gnutar"]))
    owner = choice.choice(([], [], ["--uid", "0", "--gid", "0"], ["--numeric-owner"]))
    if "--format=ustar" in forms:
        _without_long_names(tree)
    names = choice.choice((["."], sorted(os.listdir(tree))))
    return _written(["bsdtar", "-c", "-f", "OUT", *forms, *owner, *names], tree)


def busybox(tree: str, choice: random.Random) -> Layers:
    """That of small systems."""
    return _written(["busybox", "tar", "-c", "-f", "OUT", *choice.choice((["."], sorted(os.listdir(tree))))], tree)


def python(tree: str, choice: random.Random) -> Layers:
    """The module `tarfile`."""
    form = choice.choice((tarfile.PAX_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))
    whole, anonymous, owner = choice.random() < 0.5, choice.random() < 0.3, choice.choice(("", "root"))

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        if anonymous:
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = owner
        return entry

    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "x.tar")
        with tarfile.open(out, "w", format=form) as file:
            for name in ["."] if whole else sorted(os.listdir(tree)):
                file.add(os.path.join(tree, name), arcname=name, filter=owned)
        with open(out, "rb") as made:
            how = f"format {form}, {'the whole' if whole else 'names'}, {'anonymous' if anonymous else 'owners'}"
            return how, [made.read()]


def umoci(tree: str, choice: random.Random) -> Layers:
    """Two layers by `umoci repack`."""
    del choice
    with tempfile.TemporaryDirectory() as folder:
        layout = os.path.join(folder, "layout")
        subprocess.run(["umoci", "init", "--layout", layout], check=True, capture_output=True)
        subprocess.run(["umoci", "new", "--image", f"{layout}:0"], check=True, capture_output=True)
        acts: tuple[Callable[[str], None], ...] = (lambda root: copy_into(tree, root), change)
        for number, act in enumerate(acts):
            bundle, image = os.path.join(folder, f"bundle{number}"), f"{layout}:{number}"
            subprocess.run(["umoci", "unpack", "--image", image, bundle], check=True, capture_output=True)
            act(os.path.join(bundle, "rootfs"))
            image = f"{layout}:{number + 1}"
            subprocess.run(["umoci", "repack", "--image", image, bundle], check=True, capture_output=True)
        return "repack", layers_of(layout, "2")


def docker(tree: str, choice: random.Random) -> Layers:
    """A base imported from a sorted GNU tar, and what `docker commit` makes of changes."""
    del choice
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as folder:
        archive = os.path.join(folder, "base.tar")
        subprocess.run(["tar", "--create", "--file", archive, "--sort=name", "."], cwd=tree, check=True)
        return "commit", docker_layers(archive, folder)


def buildah(specimen: Specimen, tree: str, choice: random.Random) -> str:
    """A base of a directory that is copied, and a layer of changes."""
    first = podman_like("buildah", specimen, "from", "scratch")
    podman_like("buildah", specimen, "copy", first, tree, "/")
    podman_like("buildah", specimen, "commit", "--rm", first, "localhost/base")
    second = podman_like("buildah", specimen, "from", "--pull-never", "localhost/base")
    change(place := podman_like("buildah", specimen, "mount", second))
    for number in range(choice.randint(0, 5)):
        shutil.copy2(os.path.join(place, "etc/hosts"), os.path.join(place, f"srv/copy{number}"))
    podman_like("buildah", specimen, "umount", second)
    podman_like("buildah", specimen, "commit", "--rm", second, "localhost/app")
    return "commit"


def podman(specimen: Specimen, tree: str, choice: random.Random) -> str:
    """A base imported from a tar, and what a container changed above it."""
    archive = os.path.join(specimen.root, "base.tar")
    order = choice.choice(([], ["--sort=name"]))
    subprocess.run(["tar", "--create", "--file", archive, *order, "."], cwd=tree, check=True)
    podman_like("podman", specimen, "import", "--quiet", archive, "localhost/base")
    container = podman_like("podman", specimen, "create", "localhost/base", "/bin/tool")
    change(podman_like("podman", specimen, "mount", container))
    podman_like("podman", specimen, "umount", container)
    podman_like("podman", specimen, "commit", "--quiet", container, "localhost/app")
    podman_like("podman", specimen, "rm", container)
    return f"import {' '.join(order)}, commit"


def _without_long_names(tree: str) -> None:
    """Take away what has no room in a header of 1988."""
    shutil.rmtree(os.path.join(tree, "srv/a-directory-with-a-long-name"))
    os.unlink(os.path.join(tree, "etc/link"))


ARCHIVES = {
    "GNU tar": (gnu_tar, "tar", 22), "bsdtar": (bsdtar, "bsdtar", 10), "Python": (python, "python3", 8),
    "busybox": (busybox, "busybox", 3), "umoci": (umoci, "umoci", 3), "Docker": (docker, "dockerd", 4),
}  # fmt: skip
"""Writers of archives, the program of each, and how often it is asked."""
STORES = {"Buildah": (buildah, "buildah", 6), "Podman": (podman, "podman", 5)}
"""Those that write into the store themselves."""


# ── what is found ─────────────────────────────────────────────────────────────────────────────────────────────────────


def found_again(writer: str, seed: str, seconds: float) -> Iterator[tuple[str, bool]]:
    """Let a writer make layers, lose them, and tell which are found again."""
    choice = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as folder:
        tree = make_tree(os.path.join(folder, "tree"), choice)
        specimen = Specimen("overlay", os.path.join(folder, "store"))
        os.mkdir(specimen.root)
        if writer in STORES:
            how = STORES[writer][0](specimen, tree, choice)
        else:
            how, archives = ARCHIVES[writer][0](tree, choice)
            parent = ""
            for number, archive in enumerate(archives):
                put(specimen.open(), NewLayer(id=str(number) * 64, parent=parent), archive, specimen.root)
                parent = str(number) * 64
        lost = lose_all(specimen)
        repair(specimen, search_time=seconds)
        for number, layer in enumerate(lost):
            if os.path.exists(specimen.tar_split(layer)):
                assert digest(specimen, layer) == recorded(specimen, layer)
            yield f"{seed}, layer {number}: {how}", os.path.exists(specimen.tar_split(layer))
        detach_all(folder)


def main() -> int:
    """Try the writers. Returns 1 if less was found of any than must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.damage.dialects", description=__doc__)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("writers", nargs="*", default=[])
    given = parser.parse_args()
    for writer, (_, program, count) in {**ARCHIVES, **STORES}.items():
        if (given.writers and writer not in given.writers) or shutil.which(program) is None:
            continue
        results = [
            result
            for number in range(count)
            for result in found_again(writer, f"{given.seed} {writer} {number}", given.seconds)
        ]
        missed = [what for what, found in results if not found]
        print(f"{writer}: {len(results) - len(missed)} of {len(results)}", flush=True)
        for what in missed:
            print(f"    not found: {what}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
