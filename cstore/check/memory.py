"""Record when each layer was last read, so that a check with a time limit continues where the last one stopped.

The file belongs to the user who runs the check ($XDG_STATE_HOME/cstore, else ~/.local/state/cstore) and is never in the
store, which a check does not change. Layers are identified by ID and digest. Losing the file loses only the order of
the next check.
"""

from __future__ import annotations

import json
import os
from hashlib import sha256

from cstore.config.parse import read_named
from cstore.errors import ConfigError, CstoreError
from cstore.fs.atomic import write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.check.contents import LayerJob
    from cstore.config.environment import Environment

_VERSION = 1
_LARGEST = 64 << 20


def place_of_memory(environment: Environment, graph_root: str, driver: str) -> str:
    """Return the path of the memory file for one store and driver; "" if the user has no home directory."""
    state = environment.variables.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        if not os.path.isabs(environment.home):
            return ""
        state = os.path.join(environment.home, ".local", "state")
    name = sha256(f"{os.path.realpath(graph_root)}\0{driver}".encode(errors="surrogateescape")).hexdigest()[:16]
    return os.path.join(state, "cstore", f"check-{name}.json")


class Memory:
    """The contents of one memory file. A missing or invalid file is empty."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._times: dict[str, float] = {}
        try:
            document = json.loads(read_named(path, _LARGEST))
        except (OSError, ValueError, ConfigError):
            return
        if isinstance(document, dict) and document.get("version") == _VERSION:
            times = document.get("layers")
            if isinstance(times, dict):
                self._times = {key: float(when) for key, when in times.items() if isinstance(when, int | float)}

    def order(self, jobs: Iterable[LayerJob]) -> list[LayerJob]:
        """Sort jobs: those never read first, then those read longest ago."""
        return sorted(jobs, key=lambda job: self._times.get(_key(job), 0.0))

    def keep(self, jobs: Iterable[LayerJob], sound: Iterable[str], now: float) -> str:
        """Record that the layers in `sound` were read at `now` (seconds since 1970); other layers keep their times.

        Returns:
            Why the file could not be written, or "".
        """
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
