"""A Docker daemon for a test, with its own data root and socket and without network."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 40
"""Seconds to start and to stop."""


class Daemon:
    """A running daemon. `data` is its data root."""

    def __init__(self, folder: str) -> None:
        self.data = os.path.join(folder, "data")
        self._host = f"unix://{os.path.join(folder, 'sock')}"

    def __call__(self, *words: str) -> str:
        """Run `docker`; return its output."""
        done = subprocess.run(
            ["docker", "-H", self._host, *words], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def answers(self) -> bool:
        """Return whether it is ready."""
        command = ["docker", "-H", self._host, "version"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def docker_daemon(folder: str, driver: str) -> Iterator[Daemon]:
    """Run a daemon below a directory, which must be short and on a real file system; skip if that is impossible."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a Docker daemon wants it")
    for program in ("dockerd", "docker"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
    options = [f"--{option}={os.path.join(folder, name)}" for option, name in places.items()]
    quiet = ["--iptables=false", "--ip6tables=false", "--bridge=none", f"--storage-driver={driver}"]
    log_path = os.path.join(folder, "log")
    with open(log_path, "wb") as log:
        server = subprocess.Popen(
            ["dockerd", *options, *quiet, "-H", f"unix://{os.path.join(folder, 'sock')}"], stdout=log, stderr=log
        )
    daemon = Daemon(folder)
    try:
        deadline = time.monotonic() + TIMEOUT
        while not daemon.answers():
            if server.poll() is not None or time.monotonic() > deadline:
                with open(log_path, encoding="utf-8", errors="replace") as log_text:
                    pytest.skip(f"dockerd does not start here: {log_text.read()[-500:]}")
            time.sleep(0.2)
        yield daemon
    finally:
        server.terminate()
        try:
            server.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
