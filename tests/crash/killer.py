"""Kill a program anywhere in its life, again and again, from a seed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time


class Killer:
    """Starts a program and kills it after a random part of the time it needs.

    The first round runs to its end, to learn that time; every later one is cut anywhere in it. One that was done before
    it could be cut tells that less time is needed by now: the machine had other work when it was learnt.

    Attributes:
        hits: how many programs were alive when the signal came.
    """

    def __init__(self, seed: int, environment: dict[str, str]) -> None:
        self.hits = 0
        self._choice = random.Random(seed)
        self._environment = environment
        self._needed = 0.0

    def strike(self, command: list[str]) -> str:
        """Run `command`, kill it somewhere, and wait until all it started is gone. Returns what was done, in words."""
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=self._environment,
        )
        with process:
            if not self._needed:
                _, said = process.communicate(timeout=120)
                assert process.returncode == 0, said.decode()
                self._needed = time.monotonic() - began
                return f"let it run for {self._needed:.3f} s"
            moment = self._choice.uniform(min(0.03, self._needed), self._needed)
            time.sleep(max(0.0, began + moment - time.monotonic()))
            alive = process.poll() is None
            self.hits += alive
            if not alive:
                self._needed = (self._needed + moment) / 2
            process.kill()
            process.communicate()
        assert alone(process.pid), "a worker outlived the killed command"
        return f"killed after {moment:.3f} s" + ("" if alive else " (it was done)")


def alone(group: int, lock_policy: float = 5.0) -> bool:
    """Whether a process group empties by itself in time; what is left of it is killed."""
    end = time.monotonic() + lock_policy
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.005)
    os.killpg(group, signal.SIGKILL)
    return False
