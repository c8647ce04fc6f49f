"""Read the names of the images in a data root (docker 9)."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.docker.root import files
from cstore.errors import InvalidName
from cstore.oci.names import DOCKER, LOCAL, parse_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.docker.root.place import Place


def read_names(place: Place) -> dict[str, list[str]]:
    """Read `repositories.json`: the familiar names and digest references of each image, sorted, by its ID.

    Invalid names (docker 9.1) are left out.

    Raises:
        DockerRootDamaged: the file is damaged.
    """
    document = files.read_json(os.path.join(place.records, "repositories.json")) or {}
    repositories = document.get("Repositories")
    found: dict[str, list[str]] = {}
    for references in (repositories or {}).values() if isinstance(repositories, dict) else ():
        for reference, image in references.items() if isinstance(references, dict) else ():
            if not isinstance(image, str):
                continue
            with suppress(InvalidName):
                parse_name(reference)
                found.setdefault(image, []).append(reference)
    return {image: sorted(references) for image, references in found.items()}


def full_name(familiar: str, *, podman: bool = False) -> str:
    """Complete a familiar name: `child:1` to `docker.io/library/child:1`, or for Podman to `localhost/child:1`.

    Raises:
        InvalidName: it is not a valid name.
    """
    return str(parse_name(familiar, home=LOCAL if podman else DOCKER))
