"""Write a container config, the object with the parameters for running an image (docker 6.1)."""

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
"""The fields that Docker knows, in its order: key, default value, and whether the default is written."""

_STRUCTURE = "Healthcheck"
"""An object whose keys have a fixed order; those of other objects are arbitrary and are sorted."""


def run_config(said: Mapping[str, Any]) -> dict[str, object]:
    """Return a container config as Docker writes it: only the fields that it knows, in its order.

    The keys of maps are sorted. A command that is one string becomes a list.
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
