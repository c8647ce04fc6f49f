"""The names that a data root gives to its images (docker 9)."""

from __future__ import annotations

import os
import re

from cstore.docker.root import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.docker.root.place import Place


_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_NAME = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?/)?{_PART}(?:/{_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{32,})?"
)


def read_names(place: Place) -> dict[str, list[str]]:
    """Read `repositories.json`: the familiar names and digest references of each image, sorted, by its ID.

    What is no name (docker 9.1) is left out.

    Raises:
        DockerRootDamaged: it is damaged.
    """
    document = files.read_json(os.path.join(place.records, "repositories.json")) or {}
    repositories = document.get("Repositories")
    found: dict[str, list[str]] = {}
    for references in (repositories or {}).values() if isinstance(repositories, dict) else ():
        for reference, image in references.items() if isinstance(references, dict) else ():
            if isinstance(image, str) and _NAME.fullmatch(reference):
                found.setdefault(image, []).append(reference)
    return {image: sorted(references) for image, references in found.items()}


def full_name(familiar: str, *, podman: bool = False) -> str:
    """Complete a familiar name: `child:1` is `docker.io/library/child:1`, or as Podman has it `localhost/child:1`."""
    first, slash, _ = familiar.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first or first != first.lower()):
        return familiar
    if podman:
        return f"localhost/{familiar}"
    return f"docker.io/{familiar}" if slash else f"docker.io/library/{familiar}"
