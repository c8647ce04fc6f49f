"""How a container of an image is run: the object that Docker calls a container config (docker 6.1)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_FIELDS: tuple[tuple[str, object, bool], ...] = (
    ("Hostname", "", True), ("Domainname", "", True), ("User", "", True), ("AttachStdin", False, True),
    ("AttachStdout", False, True), ("AttachStderr", False, True), ("ExposedPorts", None, False), ("Tty", False, True),
    ("OpenStdin", False, True), ("StdinOnce", False, True), ("Env", None, True), ("Cmd", None, True),
    ("Healthcheck", None, False), ("ArgsEscaped", False, False), ("Image", "", True), ("Volumes", None, True),
    ("WorkingDir", "", True), ("Entrypoint", None, True), ("NetworkDisabled", False, False),
    ("MacAddress", "", False), ("OnBuild", None, True), ("Labels", None, True), ("StopSignal", "", False),
    ("StopTimeout", None, False), ("Shell", None, False),
)  # fmt: skip
"""What Docker knows of it, in its order: key, what it is if nothing is said, and whether that is written."""

_STRUCTURE = "Healthcheck"
"""An object whose keys have an order; those of the others are names that somebody chose."""


def run_config(said: Mapping[str, Any]) -> dict[str, object]:
    """Write a container config as Docker does: what it knows, in its order, and nothing else.

    Maps have their keys sorted. A command that is one text becomes a list of it.
    """
    written: dict[str, object] = {}
    for key, nothing, always in _FIELDS:
        value: Any = said.get(key)
        value = nothing if value is None else value
        if key in {"Cmd", "Entrypoint"} and isinstance(value, str):
            value = [value]
        if always or value:
            sortable = isinstance(value, dict) and key != _STRUCTURE
            written[key] = {name: value[name] for name in sorted(value)} if sortable else value
    return written
