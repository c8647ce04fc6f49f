"""Apply Containerfile instructions to a run config: `CMD ["/bin/sh"]`, `ENV A=1`."""

from __future__ import annotations

import json
import re
import shlex

from cstore.errors import UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Config = dict[str, Any]

_SHELL = ("/bin/sh", "-c")
_LAST_PORT = 65535
_PROTOCOLS = ("tcp", "udp", "sctp")
_HEALTH_TIMES = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def changed(config: Mapping[str, Any], changes: Iterable[str]) -> Config:
    """Return a copy of a run config with instructions applied in order.

    Raises:
        UsageMistake: a change is not an instruction, or not one that changes a config.
    """
    result: Config = dict(config)
    for change in changes:
        # The keyword ends at white space or, as in Podman, at an equals sign.
        text = change.strip()
        end = next((place for place, char in enumerate(text) if char.isspace() or char == "="), len(text))
        keyword, value = text[:end].upper(), text[end + 1 :].strip()
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


def _command(key: str) -> Callable[[Config, str], None]:
    def set_command(config: Config, value: str) -> None:
        words = _json_list(value) if value.startswith("[") else None
        config[key] = [*_SHELL, value] if words is None else words

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
        number, _, protocol = text.lower().partition("/")
        first, _, last = number.partition("-")
        if not all(each.isdecimal() and 0 < int(each) <= _LAST_PORT for each in (first, last or first)):
            raise ValueError(f"{text!r} is not a port, such as 80 or 53/udp")
        if text.endswith("/") or (protocol or "tcp") not in _PROTOCOLS:
            raise ValueError(f"the protocol of {text!r} is none of {', '.join(_PROTOCOLS)}")
        ports[f"{number}/{protocol or 'tcp'}"] = {}
    config["ExposedPorts"] = ports


def _volumes(config: Config, value: str) -> None:
    paths = (_json_list(value) if value.startswith("[") else None) or shlex.split(value)
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}


def _triggers(config: Config, value: str) -> None:
    config["OnBuild"] = [*(config.get("OnBuild") or ()), value]


def _signal(config: Config, value: str) -> None:
    import signal

    text = _unquoted(value)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    known = text in map(str, range(1, signal.SIGRTMAX + 1)) or name in signal.Signals.__members__
    if not known and not re.fullmatch(r"SIGRTM(IN\+|AX-)\d{1,2}", name):
        raise ValueError(f"{text!r} is not a signal, such as SIGTERM or 15")
    config["StopSignal"] = text


def _health_check(config: Config, value: str) -> None:
    """Set Docker's health check, which Podman also runs: `NONE`, or `[--interval=30s …] CMD …`."""
    check: dict[str, Any] = {}
    while value.startswith("--"):
        option, _, value = value.partition(" ")
        name, _, text = option[2:].partition("=")
        value = value.strip()
        if name == "retries" and text.isdecimal():
            check["Retries"] = int(text)
        elif name in _HEALTH_TIMES:
            check[_HEALTH_TIMES[name]] = _nanoseconds(text)
        else:
            raise ValueError(f"{option!r} is not one of its options")
    kind, _, command = value.partition(" ")
    command = command.strip()
    if kind.upper() == "NONE" and not command and not check:
        check["Test"] = ["NONE"]
    elif kind.upper() == "CMD" and command:
        words = _json_list(command) if command.startswith("[") else None
        check["Test"] = ["CMD-SHELL", command] if words is None else ["CMD", *words]
    else:
        raise ValueError("expected NONE or CMD COMMAND")
    config["Healthcheck"] = check


def _nanoseconds(text: str) -> int:
    """Parse a duration in Go's format, such as `1m30s`."""
    parts = re.findall(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration, such as 30s or 1m30s")
    return sum(round(float(number) * _UNITS[unit]) for number, unit in parts)


_INSTRUCTIONS: dict[str, Callable[[Config, str], None]] = {
    "CMD": _command("Cmd"),
    "ENTRYPOINT": _command("Entrypoint"),
    "ENV": _environment,
    "EXPOSE": _ports,
    "HEALTHCHECK": _health_check,
    "LABEL": _labels,
    "ONBUILD": _triggers,
    "STOPSIGNAL": _signal,
    "USER": _text("User"),
    "VOLUME": _volumes,
    "WORKDIR": _text("WorkingDir"),
}


def _pairs(value: str) -> dict[str, str]:
    """Parse `NAME=TEXT …`, or the old form `NAME TEXT`, where the text may contain spaces."""
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


def _json_list(value: str) -> list[str] | None:
    """Parse a JSON list; None if it is not JSON, such as `[ -e /x ] && run`, which is for a shell."""
    try:
        found = json.loads(value)
    except ValueError:
        return None
    if not all(isinstance(text, str) for text in found):
        raise ValueError("expected a JSON list of strings")
    return list(found)
