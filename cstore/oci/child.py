"""The config of an image that is another one with a layer more, as Docker's commit writes it (docker 6.3, 6.4)."""

from __future__ import annotations

from cstore import gojson
from cstore.oci.chain import EMPTY_DIFF_ID
from cstore.oci.config import HistoryItem, ImageConfig, RootFS, parse_config
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_CONFIG_FIELDS: tuple[tuple[str, object], ...] = (
    ("Hostname", ""), ("Domainname", ""), ("User", ""), ("AttachStdin", False), ("AttachStdout", False),
    ("AttachStderr", False), ("ExposedPorts", ...), ("Tty", False), ("OpenStdin", False), ("StdinOnce", False),
    ("Env", None), ("Cmd", None), ("Healthcheck", ...), ("ArgsEscaped", ...), ("Image", ""), ("Volumes", None),
    ("WorkingDir", ""), ("Entrypoint", None), ("NetworkDisabled", ...), ("MacAddress", ...), ("OnBuild", None),
    ("Labels", None), ("StopSignal", ...), ("StopTimeout", ...), ("Shell", ...),
)  # fmt: skip
"""The fields of a container config in Docker's order, with what stands for nothing; `...`: the field is left out."""


class Child(Value, kw_only=True):
    """What is new in a child image. `config` and `container_config` are container configs, with Docker's keys."""

    diff_id: str
    author: str = ""
    comment: str = ""
    container: str = ""
    config: Mapping[str, Any] = {}
    container_config: Mapping[str, Any] = {}


def new_child(
    parent: ImageConfig | None, child: Child, *, created: str, system: str, architecture: str, version: str = ""
) -> ImageConfig:
    """Make the config of a child image. A layer that holds nothing is not added, only told of in the history.

    Args:
        parent: None for an image with nothing beneath.
        child: what is new.
        created: now, RFC 3339.
        system: the operating system, such as `linux`.
        architecture: in Go's words, for a parent that does not say.
        version: of the program that makes it.
    """
    empty = child.diff_id == EMPTY_DIFF_ID
    rootfs = parent.rootfs if parent else RootFS()
    words = child.container_config.get("Cmd") or ()
    item = HistoryItem(created, " ".join(map(str, words)), child.author, child.comment, empty)
    history = [*(parent.history if parent else ()), item]
    fields: dict[str, object] = {
        "architecture": (parent.platform.architecture if parent else "") or architecture,
        "author": child.author,
        "config": container_config(child.config),
        "container": child.container,
        "container_config": container_config(child.container_config),
        "created": created,
        "docker_version": version,
        "history": [one.document() for one in history],
        "os": system,
        "os.features": list(parent.platform.os_features) if parent else [],
        "os.version": parent.platform.os_version if parent else "",
        "rootfs": _rootfs(rootfs if empty else rootfs.append(child.diff_id)),
        "variant": parent.platform.variant if parent else "",
    }
    return parse_config(gojson.encode({key: value for key, value in fields.items() if value}))


def container_config(values: Mapping[str, Any]) -> dict[str, Any]:
    """Order a container config as Docker does and put in the empty fields that it writes; others follow."""
    known = {name: values.get(name, empty) for name, empty in _CONFIG_FIELDS}
    rest = {name: value for name, value in values.items() if name not in known}
    return {name: value for name, value in {**known, **rest}.items() if value is not ...}


def _rootfs(rootfs: RootFS) -> dict[str, object]:
    diff_ids = {"diff_ids": list(rootfs.diff_ids)} if rootfs.diff_ids else {}
    return {"type": rootfs.type, **diff_ids}
