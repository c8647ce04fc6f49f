"""Buildah, Podman, and a cstore that checks, repairs and collects, among those who work on an overlay store at once.

Run as `python -m tests.concurrency.engines KIND NAME SEED SECONDS`, with a storage.conf that names the store, in which
there is an image `localhost/kept`. Buildah and Podman remove all that they make, and nobody may fail. Each prints
{"layers": {}, "steps": number}.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time

from tests.builders import make_tar, regular
from tests.concurrency.worker import TIMEOUT

KEPT = "localhost/kept"


def run(*words: str) -> str:
    """Run one command; returns what it prints."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}: {done.stderr}{done.stdout}")
    return done.stdout.strip()


def build(folder: str, reference: str, choice: random.Random) -> None:
    """Let Buildah make an image on top of the one that is there, and take all away again."""
    source = os.path.join(folder, "source")
    with open(source, "wb") as file:
        file.write(choice.randbytes(choice.randrange(50_000)))
    container = run("buildah", "from", "--pull-never", KEPT)
    run("buildah", "copy", container, source, "/copied")
    run("buildah", "commit", "--quiet", container, reference)
    tree = run("buildah", "mount", container)
    with open(os.path.join(tree, "copied"), "rb") as file, open(source, "rb") as original:
        if file.read() != original.read():
            raise RuntimeError(f"{container} has another file than was copied")
    run("buildah", "umount", container)
    run("buildah", "rm", container)
    run("buildah", "rmi", reference)


def load(folder: str, reference: str, choice: random.Random) -> None:
    """Let Podman bring an image in from a tar, write it out, load it, and remove it, twice."""
    tar, archive = os.path.join(folder, "root.tar"), os.path.join(folder, "image.tar")
    with open(tar, "wb") as file:
        file.write(make_tar(*(regular(f"f{n}", choice.randbytes(choice.randrange(20_000))) for n in range(20))))
    run("podman", "import", "--quiet", tar, reference)
    run("podman", "save", "--quiet", "--format", "oci-archive", "--output", archive, reference)
    run("podman", "rmi", reference)
    run("podman", "load", "--quiet", "--input", archive)
    if not os.path.exists(os.path.join(run("podman", "image", "mount", reference), "f19")):
        raise RuntimeError(f"{reference} is not whole")
    run("podman", "image", "unmount", reference)
    run("podman", "rmi", reference)
    os.unlink(archive)


def look_after(_folder: str, _reference: str, choice: random.Random) -> None:
    """Check, repair or collect: there is never anything wrong."""
    words = choice.choice((("check",), ("repair", "--yes"), ("gc",), ("gc", "--dry-run")))
    run(sys.executable, "-m", "cstore", "--lock-timeout", str(TIMEOUT), *words)


WORK = {"buildah": build, "podman": load, "caretaker": look_after}


def main(kind: str, name: str, seed: str, seconds: str) -> None:
    """Work until the time is over."""
    choice = random.Random(int(seed))
    end, steps = time.monotonic() + float(seconds), 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            WORK[kind](folder, f"localhost/{name}:{steps}", choice)
            steps += 1
    print(json.dumps({"layers": {}, "steps": steps}))


if __name__ == "__main__":
    main(*sys.argv[1:5])
