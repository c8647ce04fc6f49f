"""Credential helpers: programs `docker-credential-NAME` that store credentials."""

from __future__ import annotations

import json
import re

from cstore.errors import ConfigError
from cstore.registry.access import Credentials
from cstore.registry.errors import cleaned

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
_TIMEOUT = 120
"""Seconds; a helper may ask the user."""
_NOT_FOUND = "credentials not found"
_TOKEN = "<token>"  # noqa: S105  - what helpers return instead of a user name; not a secret
_LARGEST = 1 << 20


def get(name: str, registry: str, search_path: str = "") -> Credentials | None:
    """Ask a helper for a registry's credentials; None if it has none.

    Raises:
        ConfigError: the program does not exist, or fails.
    """
    code, output = _run(name, "get", registry, search_path)
    if code:
        if _NOT_FOUND in output[:1000].decode(errors="replace"):
            return None
        raise _failed(name, "get", output)
    try:
        document = json.loads(output)
        user, secret = document["Username"], document["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        user = secret = None
    if not isinstance(user, str) or not isinstance(secret, str):
        raise ConfigError(f"docker-credential-{name}", "its response is not valid")  # may contain a secret
    if not user and not secret:
        return None
    return Credentials(identity_token=secret) if user == _TOKEN else Credentials(user, secret)


def store(name: str, registry: str, credentials: Credentials, search_path: str = "") -> None:
    """Store credentials in a helper.

    Raises:
        ConfigError: the program does not exist, or fails.
    """
    document = {"ServerURL": registry, "Username": credentials.user, "Secret": credentials.password}
    code, output = _run(name, "store", json.dumps(document), search_path)
    if code:
        raise _failed(name, "store", output)


def erase(name: str, registry: str, search_path: str = "") -> bool:
    """Remove a registry's credentials from a helper; return whether it had any.

    Raises:
        ConfigError: the program does not exist, or fails.
    """
    code, output = _run(name, "erase", registry, search_path)
    if code and _NOT_FOUND not in output[:1000].decode(errors="replace"):
        raise _failed(name, "erase", output)
    return not code


def _run(name: str, action: str, text: str, search_path: str) -> tuple[int, bytes]:
    import shutil
    import subprocess

    if not _NAME.fullmatch(name):
        raise ConfigError("credential helper", f"{name!r} is not a valid program name")
    program = f"docker-credential-{name}"
    path = shutil.which(program, path=search_path or None)
    if path is None:
        raise ConfigError(program, "program not found", hint="install it, or remove it from the configuration")
    try:
        done = subprocess.run([path, action], input=text.encode(), capture_output=True, check=False, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise ConfigError(program, f"no response within {_TIMEOUT} seconds") from None
    except OSError as error:
        raise ConfigError(program, f"cannot be run: {error.strerror}") from None
    return done.returncode, (done.stdout or done.stderr)[:_LARGEST] if done.returncode else done.stdout[:_LARGEST]


def _failed(name: str, action: str, output: bytes) -> ConfigError:
    told = cleaned(output.decode(errors="replace")) if action != "store" else ""
    return ConfigError(f"docker-credential-{name}", f"{action} failed{f': {told}' if told else ''}")
