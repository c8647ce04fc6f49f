"""Read the containers of a data root (docker 1)."""

from __future__ import annotations

import os

from cstore.docker.root import files
from cstore.errors import DockerRootDamaged
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.docker.root.layerdb import DockerMount
    from cstore.docker.root.place import Place


class DockerContainer(Value):
    """A container: its ID and name, its image's ID (or ""), its state as in `docker ps`, and its writable layer."""

    id: str
    name: str
    image: str
    created: str
    state: str
    mount: DockerMount | None


def read_containers(
    place: Place, mounts: Mapping[str, DockerMount]
) -> tuple[list[DockerContainer], list[DockerRootDamaged]]:
    """Read all containers of the driver; return them, and the errors of those that cannot be read."""
    folder = os.path.join(place.root, "containers")
    found: list[DockerContainer] = []
    flaws: list[DockerRootDamaged] = []
    for name in files.directories(folder):
        path = os.path.join(folder, name, "config.v2.json")
        try:
            document = files.read_json(path)
        except DockerRootDamaged as flaw:
            flaws.append(flaw)
            continue
        if document is None or document.get("Driver", place.driver) != place.driver:
            continue
        if document.get("ID") != name:
            flaws.append(DockerRootDamaged(path, f"it belongs to container {document.get('ID')!r}"))
            continue
        container = DockerContainer(
            id=name,
            name=str(document.get("Name") or "").removeprefix("/"),
            image=str(document.get("Image") or "").removeprefix("sha256:"),
            created=str(document.get("Created") or ""),
            state=_state(document.get("State")),
            mount=mounts.get(name),
        )
        found.append(container)
    return found, flaws


def _state(state: object) -> str:
    """Return the state as `docker ps` names it, at the time of the daemon's last write."""
    if not isinstance(state, dict):
        return ""
    marks = (("Paused", "paused"), ("Restarting", "restarting"), ("Running", "running"), ("Dead", "dead"))
    told = next((name for mark, name in marks if state.get(mark) is True), "")
    if told:
        return told
    return "created" if str(state.get("StartedAt", "")).startswith("0001-") else "exited"


def find_container(containers: list[DockerContainer], ref: str) -> DockerContainer | None:
    """Return the container with that name, else the only one whose ID has that prefix; None if there is none."""
    named = [one for one in containers if ref and one.name == ref.removeprefix("/")]
    begun = named or [one for one in containers if ref and one.id.startswith(ref)]
    return begun[0] if len(begun) == 1 else None
