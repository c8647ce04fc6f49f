"""The oldest archives, of Docker before 1.10: a directory an image, each with a layer and a JSON (docker 18.1).

They name images by random IDs and say nothing of DiffIDs, so the layers are read once to learn these, and the configs
are made as Docker makes them.
"""

from __future__ import annotations

import re

from cstore.digests import digest_from, new_hash
from cstore.errors import ImageArchiveError
from cstore.oci.run_config import run_config
from cstore.records.model import ZERO_TIME
from cstore.transfer.docker_archive import REPOSITORIES
from cstore.transfer.manifests import LARGEST, load_json
from cstore.transfer.members import get_part
from cstore.transfer.plan import ImagePlan, LayerPlan, merge, read_config
from cstore.transfer.rawjson import encoded, raw_object, raw_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cstore.transfer.members import Members
    from cstore.transfer.plan import Naming


_DROPPED = frozenset({"id", "parent", "Size", "parent_id", "layer_id", "throwaway"})
_TEXTS = ("comment", "container", "docker_version", "author", "architecture", "variant", "os")
"""The fields of an image before Docker 1.8.3; other fields in such a JSON are dropped."""

_OLD_ID = re.compile(r"[a-f0-9]{64}", re.ASCII)
_FIRST_TO_KEEP = (1, 8, 3)
_LONGEST_CHAIN = 500


def read_plans(members: Members, naming: Naming) -> list[ImagePlan]:
    """Read those images that `repositories` names and that are wanted.

    Raises:
        ArchiveError: a document or a layer is not what it should be, or is not there.
    """
    raw = get_part(members, REPOSITORIES, "the format").read(LARGEST)
    repositories = load_json(raw, REPOSITORIES)
    reading = _Reading(members)
    plans = []
    for repository, tags in _objects(repositories, REPOSITORIES).items():
        for tag, old_id in _objects(tags, f"{REPOSITORIES}: {repository}").items():
            name = naming.read(f"{repository}:{tag}", REPOSITORIES)
            if naming.wants([name]):
                plans.append(reading.image(old_id, REPOSITORIES).with_(names=(name,) if name else ()))
    return merge(plans)


def _objects(found: object, where: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise ImageArchiveError(where, "expected a JSON object")
    return found


class _Reading:
    """One archive being read; an image that several names or children share is read once."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._plans: dict[str, ImagePlan] = {}

    def image(self, old_id: object, where: str) -> ImagePlan:
        """Read an image and all that it was made from, without recursion: chains may be long."""
        top = wanted = _check_id(old_id, where)
        chain: list[tuple[str, dict[str, Any], bytes]] = []
        while wanted and wanted not in self._plans:
            where = f"{wanted}/json"
            if any(wanted == known for known, _, _ in chain) or len(chain) == _LONGEST_CHAIN:
                raise ImageArchiveError(where, "its parents form a loop", go_text="max depth exceeded")
            raw = get_part(self._members, where, "an image").read(LARGEST)
            document = dict(_objects(load_json(raw, where), where))
            chain.append((wanted, document, raw))
            wanted = _check_id(document["parent"], where) if document.get("parent") else ""
        for one, document, raw in reversed(chain):
            self._plans[one] = self._made(one, document, raw)
        return self._plans[top]

    def _made(self, old_id: str, document: dict[str, Any], raw: bytes) -> ImagePlan:
        """Make the config of one image as Docker does: its own JSON, its layers, its history."""
        from cstore.transfer.verifying import drained, uncompressed

        below = self._plans.get(document.get("parent") or "")
        part = get_part(self._members, f"{old_id}/layer.tar", f"{old_id}/json")
        hashed = new_hash()
        with part.opened() as reader:
            for piece in drained(uncompressed(reader)):
                hashed.update(piece)
        layers = (*(below.layers if below else ()), LayerPlan(part.name, digest_from(hashed)))
        command = _object(document.get("container_config")).get("Cmd")
        step = {
            "created": document.get("created") or ZERO_TIME,
            "author": document.get("author"),
            "created_by": " ".join(map(str, command)) if isinstance(command, list) else "",
            "comment": document.get("comment"),
        }
        history = [*(below.config.document["history"] if below else ()), {k: v for k, v in step.items() if v}]
        values = {key: value for key, value in _understood(document, raw).items() if key not in _DROPPED}
        values["rootfs"] = encoded({"type": "layers", "diff_ids": [layer.diff_id for layer in layers]})
        values["history"] = encoded(history)
        config = raw_object(values)
        return ImagePlan(f"{old_id}/json", read_config(config, f"{old_id}/json"), layers)


def _check_id(found: object, where: str) -> str:
    if not isinstance(found, str) or not _OLD_ID.fullmatch(found):
        raise ImageArchiveError(
            where, f"expected the ID of an image, found {found!r}", go_text=f"invalid target ID: {found}"
        )
    return found


def _understood(document: dict[str, Any], raw: bytes) -> dict[str, str]:
    """Return the part of an image's JSON for its config: all of it, or for old images the fields of that time."""
    version = re.match(r"(\d+)\.(\d+)\.(\d+)", str(document.get("docker_version") or ""))
    if version is not None and tuple(map(int, version.groups())) >= _FIRST_TO_KEEP:
        return raw_values(raw)
    known = {key: document[key] for key in _TEXTS if document.get(key)}
    known["created"] = document.get("created") or ZERO_TIME
    known["container_config"] = run_config(_object(document.get("container_config")))
    if document.get("config") is not None:
        known["config"] = run_config(_object(document["config"]))
    return {key: encoded(value) for key, value in known.items()}


def _object(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}
