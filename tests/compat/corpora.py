"""Real layers: a Debian root, an npm tree, Python wheels; plain, compressed, and as GNU tar unpacks them.

They are made once a run. The Debian root takes the longest to make, so its tar is kept in the user's cache directory;
remove `cstore-tests` there to make it anew. What cannot be had (no network) is skipped by name, never silently.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from functools import cached_property

import pytest

from tests.builders import Fact, many_files, tree_manifest
from tests.conftest import MACHINE_ENVIRONMENT, find_peer

NAMES = ("debian", "npm", "wheels")
FORMS = {"tar": (0, ["cat"]), "gzip": (2, ["gzip", "-n", "-1"]), "zstd": (4, ["zstd", "-q", "-1"])}
"""Form: the number in the layer's record, and the program that makes it."""

NPM_PACKAGES = (
    "date-fns", "lodash", "core-js", "rxjs", "eslint", "webpack", "jest", "ramda", "@babel/preset-env", "moment",
)  # fmt: skip
NPM_FILES = 20_000
WHEELS = ("numpy", "Django", "Pygments", "babel")


class Corpus:
    """One real layer.

    Attributes:
        folder: where its files lie.
        origin: how it was made, in words.
    """

    def __init__(self, name: str, folder: str, origin: str) -> None:
        self.name, self.folder, self.origin = name, folder, origin

    def path(self, form: str) -> str:
        """The archive in one of FORMS, made when first asked for."""
        path = os.path.join(self.folder, f"{self.name}.{form}")
        if not os.path.exists(path):
            with open(self.path("tar"), "rb") as source, open(path + ".part", "wb") as target:
                subprocess.run(FORMS[form][1], stdin=source, stdout=target, check=True)
            os.rename(path + ".part", path)
        return path

    @cached_property
    def sha256(self) -> str:
        """The digest of the uncompressed archive, as records hold it."""
        return file_digest(self.path("tar"))

    @cached_property
    def tree(self) -> str:
        """The directory into which GNU tar unpacked the archive."""
        tree = os.path.join(self.folder, "unpacked")
        os.mkdir(tree)
        options = ["-p", "--same-owner", "--numeric-owner", "--xattrs", "--xattrs-include=*"]
        subprocess.run(["tar", "-x", *options, "-f", self.path("tar")], cwd=tree, check=True)
        return tree

    @cached_property
    def manifest(self) -> dict[bytes, Fact]:
        """Every path of that tree."""
        return tree_manifest(self.tree)


def file_digest(path: str) -> str:
    """The digest of a file as records hold it."""
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def make_corpus(name: str, folder: str) -> Corpus:
    """Make one of NAMES inside an empty directory."""
    makers = {"debian": _debian, "npm": _npm, "wheels": _wheels}
    return Corpus(name, folder, makers[name](os.path.join(folder, f"{name}.tar")))


# ── the three of them ─────────────────────────────────────────────────────────────────────────────────────────────────


def _debian(archive: str) -> str:
    """Take the root of a minimal Debian from the cache, or let debootstrap make it."""
    kept = os.path.join(_cache_directory(), "debian.tar")
    if not os.path.exists(kept):
        program = find_peer("debootstrap")
        root = archive.removesuffix(".tar") + ".root"
        _attempt([program, "--variant=minbase", _debian_release(), root, *_debian_mirror()], root)
        # Two facts that debootstrap does not make: an attribute and a name that is not ASCII.
        with open(os.path.join(root, "etc/hostname"), "a", encoding="utf-8"):
            pass  # debootstrap copies the machine's, if it has one
        os.setxattr(os.path.join(root, "etc/hostname"), "user.origin", b"\x00made by debootstrap\xff")
        with open(os.path.join(root, "etc/na\u00efve"), "w", encoding="utf-8") as file:
            file.write("naïve\n")
        _pack(root, kept + f".{os.getpid()}", ["--xattrs", "--xattrs-include=*"])
        with suppress(FileExistsError):  # another test process made one meanwhile, which its tests use already
            os.link(kept + f".{os.getpid()}", kept)
        os.unlink(kept + f".{os.getpid()}")
        shutil.rmtree(root)
    os.symlink(kept, archive)
    return "debootstrap --variant=minbase"


def _npm(archive: str) -> str:
    """Install well-known packages; without npm, write as many small files."""
    root = archive.removesuffix(".tar") + ".root"
    os.mkdir(root)
    origin = "synthetic"
    if shutil.which("npm"):
        options = ["--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _attempt(["npm", "install", *options, "--prefix", root, *NPM_PACKAGES])
        origin = "npm install"
    count = sum(len(files) for _, _, files in os.walk(root))
    if count < NPM_FILES:
        many_files(os.path.join(root, "more"), NPM_FILES - count)
        origin += f", {NPM_FILES - count} files synthetic"
    _pack(root, archive)
    shutil.rmtree(root)
    return origin


def _wheels(archive: str) -> str:
    """Unpack a few wheels side by side."""
    root = archive.removesuffix(".tar") + ".root"
    downloads = root + ".downloads"
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "-d", downloads]
    _attempt([sys.executable, "-m", "pip", "download", *options, *WHEELS])
    for wheel in glob.glob(os.path.join(downloads, "*.whl")):
        with zipfile.ZipFile(wheel) as opened:
            opened.extractall(root)
    # The dialect that most build tools write: no PAX records but where a name needs one.
    _pack(root, archive, ["--format=gnu"])
    shutil.rmtree(root)
    shutil.rmtree(downloads)
    return "pip download"


# ── how ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pack(root: str, archive: str, options: list[str] | None = None) -> None:
    chosen = options or []
    dialect = [] if any(option.startswith("--format") for option in chosen) else ["--format=pax"]
    ordered = ["--sort=name", "--numeric-owner", *dialect, *chosen]
    subprocess.run(["tar", "-c", "-f", archive, "-C", root, *ordered, "."], check=True)


def _attempt(command: list[str], leftover: str = "") -> None:
    """Run a program that needs the network, three times at most, then skip with its last words."""
    said = ""
    for lock_policy in (0, 5, 20):
        time.sleep(lock_policy)
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(MACHINE_ENVIRONMENT))
        if done.returncode == 0:
            return
        said = (done.stderr or done.stdout).strip()[-300:]
        if leftover:
            shutil.rmtree(leftover, ignore_errors=True)
    pytest.skip(f"{os.path.basename(command[0])} could not fetch what it needs: {said}")


def _cache_directory() -> str:
    base = MACHINE_ENVIRONMENT.get("XDG_CACHE_HOME") or os.path.join(MACHINE_ENVIRONMENT.get("HOME", "/tmp"), ".cache")
    path = os.path.join(base, "cstore-tests")
    os.makedirs(path, exist_ok=True)
    return path


def _debian_release() -> str:
    """The release this machine runs, or the one the figures were taken with."""
    with open("/etc/os-release", encoding="utf-8") as file:
        found = re.search(r"^VERSION_CODENAME=(\w+)$", file.read(), re.MULTILINE)
    return found.group(1) if found else "bookworm"


def _debian_mirror() -> list[str]:
    """The mirror that apt uses here, in either of its two file formats; none lets debootstrap choose."""
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        if path.endswith((".list", ".sources")) and os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
            one_line = re.search(rf"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+{_debian_release()}\s", text, re.MULTILINE)
            stanza = re.search(rf"^URIs:\s*(\S+)\s*\nSuites:\s*{_debian_release()}\b(?!-)", text, re.MULTILINE)
            found = one_line or stanza
            if found:
                return [found.group(1)]
    return []
