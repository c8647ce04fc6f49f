"""Changes of a run config as a Containerfile writes them: `CMD ["/bin/sh"]`, `ENV A=1`."""

from __future__ import annotations

import json
import shlex

from cstore.errors import UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Config = dict[str, Any]

_SHELL = ("/bin/sh", "-c")


def changed(config: Mapping[str, Any], changes: Iterable[str]) -> Config:
    """Return a run config with changes made to it, one after the other.

    Raises:
        UsageMistake: one of them is no instruction, or not one for a config.
    """
    result: Config = dict(config)
    for change in changes:
        keyword, value = _parted(change)
        instruction = _INSTRUCTIONS.get(keyword)
        if instruction is None:
            known = ", ".join(sorted(_INSTRUCTIONS))
            raise UsageMistake(f"{change!r} is not a Containerfile instruction", hint=f"begin it with one of: {known}")
        if not value:
            raise UsageMistake(f"{change!r} has no value", hint=f"write it as: {keyword} VALUE")
        try:
            instruction(result, value)
        except ValueError as error:
            raise UsageMistake(f"cannot parse {change!r}: {error}") from None
    return result


def _parted(change: str) -> tuple[str, str]:
    """Split an instruction after its keyword, which a blank or, for Podman's users, an equals sign ends."""
    text = change.strip()
    end = next((place for place, char in enumerate(text) if char.isspace() or char == "="), len(text))
    return text[:end].upper(), text[end + 1 :].strip()


def _command(key: str) -> Callable[[Config, str], None]:
    def set_command(config: Config, value: str) -> None:
        config[key] = _json_list(value) if value.startswith("[") else [*_SHELL, value]

    return set_command


def _text(key: str) -> Callable[[Config, str], None]:
    def set_text(config: Config, value: str) -> None:
        config[key] = _unquoted(value)

    return set_text


def _environment(config: Config, value: str) -> None:
    variables = dict(text.partition("=")[::2] for text in config.get("Env") or ())
    variables.update(_pairs(value))
    config["Env"] = [f"{name}={text}" for name, text in variables.items()]


def _labels(config: Config, value: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **_pairs(value)}


def _ports(config: Config, value: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for text in shlex.split(value):
        number, slash, protocol = text.partition("/")
        if not all(part.isdecimal() for part in number.split("-")) or (slash and not protocol):
            raise ValueError(f"{text!r} is not a port, such as 80 or 53/udp")
        ports[f"{number}/{protocol.lower() or 'tcp'}"] = {}
    config["ExposedPorts"] = ports


def _volumes(config: Config, value: str) -> None:
    paths = _json_list(value) if value.startswith("[") else shlex.split(value)
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}


def _triggers(config: Config, value: str) -> None:
    config["OnBuild"] = [*(config.get("OnBuild") or ()), value]


_INSTRUCTIONS: dict[str, Callable[[Config, str], None]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _environment,
    "EXPOSE": _ports,
    "LABEL": _labels,
    "ONBUILD": _triggers,
    "STOPSIGNAL": _text("StopSignal"),
    "USER": _text("User"),
    "VOLUME": _volumes,
    "WORKDIR": _text("WorkingDir"),
}


def _pairs(value: str) -> dict[str, str]:
    """Read `NAME=TEXT …`, or the old form `NAME TEXT`, in which the text may have blanks."""
    name, _, rest = value.partition(" ")
    if "=" not in name:
        return {name: _unquoted(rest.strip())}
    found = {}
    for text in shlex.split(value):
        name, equals, content = text.partition("=")
        if not name or not equals:
            raise ValueError(f"{text!r} is not of the form NAME=TEXT")
        found[name] = content
    return found


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def _json_list(value: str) -> list[str]:
    found = json.loads(value)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError("expected a JSON list of texts")
    return found
