"""Podman among those who work on an overlay store at once.

Run as `python -m tests.concurrency.podman NAME SEED SECONDS`, with a storage.conf that names the store. It
imports images, mounts them, makes containers of them and removes all it made, so it leaves nothing to remember:
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


def podman(*words: str) -> str:
    """Run one command; returns what it prints."""
    done = subprocess.run(["podman", *words], capture_output=True, text=True, check=False, timeout=TIMEOUT)
    if done.returncode != 0:
        raise RuntimeError(f"podman {' '.join(words)}: exit {done.returncode}: {done.stderr}")
    return done.stdout.strip()


def use_an_image(reference: str, choice: random.Random) -> None:
    """Let an image come, be mounted, become a container, and go."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        archive.write(make_tar(*(regular(f"f{n}", choice.randbytes(choice.randrange(20_000))) for n in range(12))))
        archive.flush()
        podman("import", "--quiet", archive.name, reference)
    tree = podman("image", "mount", reference)
    if not os.path.exists(os.path.join(tree, "f11")):
        raise RuntimeError(f"{reference} is not mounted on {tree}")
    podman("image", "unmount", reference)
    container = podman("create", "--network", "none", reference, "/f0")
    top = podman("mount", container)
    with open(os.path.join(top, "written"), "w", encoding="ascii") as file:
        file.write("by podman")
    podman("unmount", container)
    podman("rm", container)
    podman("rmi", reference)


def main(name: str, seed: str, seconds: str) -> None:
    """Work until the time is over."""
    choice = random.Random(int(seed))
    end, steps = time.monotonic() + float(seconds), 0
    while time.monotonic() < end:
        use_an_image(f"localhost/{name}:{steps}", choice)
        steps += 1
    print(json.dumps({"layers": {}, "steps": steps}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
