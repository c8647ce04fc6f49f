"""When each layer was last looked into: so that a check that has little time goes on where the last one stopped.

This is kept with the user who checks ($XDG_STATE_HOME/cstore, else ~/.local/state/cstore), never in the store, which a
check leaves as it is. A layer is known by its ID and digest; what is lost is only the order of the next check.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256

from cstore.errors import CstoreError
from cstore.fs.atomic import write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.check.contents import LayerJob
    from cstore.config.environment import Environment

_VERSION = 1


def place_of_memory(environment: Environment, graph_root: str, driver: str) -> str:
    """Name the file for one store; "" if the user has no home."""
    state = environment.variables.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        if not os.path.isabs(environment.home):
            return ""
        state = os.path.join(environment.home, ".local", "state")
    name = sha256(f"{os.path.realpath(graph_root)}\0{driver}".encode(errors="surrogateescape")).hexdigest()[:16]
    return os.path.join(state, "cstore", f"check-{name}.json")


class Memory:
    """What one file remembers. A file that is not as we write it remembers nothing."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._times: dict[str, float] = {}
        try:
            with open(path, encoding="utf-8") as file:
                document = json.load(file)
        except (OSError, ValueError):
            return
        if isinstance(document, dict) and document.get("version") == _VERSION:
            times = document.get("layers")
            if isinstance(times, dict):
                self._times = {key: float(when) for key, when in times.items() if isinstance(when, int | float)}

    def order(self, jobs: Iterable[LayerJob]) -> list[LayerJob]:
        """Put those first that were looked into longest ago, or never."""
        return sorted(jobs, key=lambda job: self._times.get(_key(job), 0.0))

    def keep(self, jobs: Iterable[LayerJob], sound: Iterable[str], now: float) -> str:
        """Remember that these layers were found sound; others keep their turn. Returns why that failed, or ""."""
        fine = set(sound)
        keys = {_key(job): now if job.layer in fine else self._times.get(_key(job), 0.0) for job in jobs}
        text = json.dumps({"version": _VERSION, "layers": keys})
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            write_file(self._path, text.encode(), sync=False)
        except (OSError, CstoreError) as error:
            return f"the next check will start from the beginning: {error}"
        return ""


def _key(job: LayerJob) -> str:
    return f"{job.layer} {job.digest}"
