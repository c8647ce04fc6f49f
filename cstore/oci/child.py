"""Create the config of an image that adds a layer to another one, like Docker's commit (docker 6.3, 6.4)."""

from __future__ import annotations

from cstore import gojson
from cstore.oci.chain import EMPTY_DIFF_ID
from cstore.oci.config import HistoryItem, ImageConfig, RootFS, parse_config
from cstore.oci.run_config import run_config
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Child(Value, kw_only=True):
    """The new parts of a child image. `config` and `container_config` are container configs, with Docker's keys."""

    diff_id: str = EMPTY_DIFF_ID
    author: str = ""
    comment: str = ""
    container: str = ""
    config: Mapping[str, Any] = {}
    container_config: Mapping[str, Any] = {}


def new_child(
    parent: ImageConfig | None, child: Child, *, created: str, system: str, architecture: str, version: str = ""
) -> ImageConfig:
    """Return the config of a child image. An empty layer appears only in the history.

    Args:
        parent: the parent's config; None for an image without parent.
        child: the new parts.
        created: the current time, RFC 3339.
        system: the operating system, such as `linux`.
        architecture: the architecture in Go's terms, used if the parent has none.
        version: the version of the program that builds the image.
    """
    empty = child.diff_id == EMPTY_DIFF_ID
    rootfs = parent.rootfs if parent else RootFS()
    if not empty:
        rootfs = rootfs.append(child.diff_id)
    words = child.container_config.get("Cmd") or ()
    item = HistoryItem(created, " ".join(map(str, words)), child.author, child.comment, empty)
    history = [*(parent.history if parent else ()), item]
    fields: dict[str, object] = {
        "architecture": (parent.platform.architecture if parent else "") or architecture,
        "author": child.author,
        "config": _complete(child.config),
        "container": child.container,
        "container_config": _complete(child.container_config),
        "created": created,
        "docker_version": version,
        "history": [one.document() for one in history],
        "os": system,
        "os.features": list(parent.platform.os_features) if parent else [],
        "os.version": parent.platform.os_version if parent else "",
        "rootfs": {"type": rootfs.type, **({"diff_ids": list(rootfs.diff_ids)} if rootfs.diff_ids else {})},
        "variant": parent.platform.variant if parent else "",
    }
    return parse_config(gojson.encode({key: value for key, value in fields.items() if value}))


def _complete(said: Mapping[str, Any]) -> dict[str, object]:
    """Add the empty fields that Docker writes, and then the fields that Docker does not know."""
    known = run_config(said)
    return {**known, **{key: value for key, value in said.items() if key not in known and value}}
