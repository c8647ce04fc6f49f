"""Finding credentials in auth.json, similar files and credential helpers, most specific first; storing them there.

Credentials never appear in messages. Files are replaced as a whole, with mode 0600, and keep unknown keys.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode

from cstore import presence
from cstore.arguments import checked
from cstore.config.parse import read_named
from cstore.errors import ConfigError, SystemFailure
from cstore.fs.atomic import write_file
from cstore.registry.access import Credentials
from cstore.registry.errors import cleaned
from cstore.registry.registries_conf import AUTH_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.registry.settings import AuthFile, Settings

HUB = "docker.io"
HUB_HOST = "registry-1.docker.io"
"""The host that serves docker.io."""
HUB_KEY = "https://index.docker.io/v1/"
"""The key of docker.io in Docker's own file."""
_LARGEST = 8 << 20

_HELPER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*", re.ASCII)
_TIMEOUT = 120
"""Seconds; a helper may ask the user."""
_NOT_FOUND = "credentials not found"
_TOKEN = "<token>"  # noqa: S105  - what helpers return instead of a user name; not a secret
_LARGEST_ANSWER = 1 << 20


@checked
def find_credentials(settings: Settings, registry: str, repository: str = "") -> Credentials | None:
    """Find the credentials for a repository, or for a registry.

    Raises:
        ConfigError: a file is damaged, or a helper fails.
    """
    found = find_with_source(settings, registry, repository)
    return found[0] if found else None


@checked
def find_with_source(settings: Settings, registry: str, repository: str = "") -> tuple[Credentials, str] | None:
    """Return the same with the file or program that has them."""
    for helper in settings.registries.helpers:
        if helper != AUTH_FILES:
            found = _ask_helper(helper, registry, settings.search_path)
            if found is not None:
                return found, f"docker-credential-{helper}"
            continue
        for file in settings.auth_files:
            found = _in_file(file, registry, repository, settings)
            if found is not None:
                return found, file.path
    return None


def _in_file(file: AuthFile, registry: str, repository: str, settings: Settings) -> Credentials | None:
    document = _read(file.path)
    auths = document if file.legacy else _table(document, "auths", file.path)
    helpers = {} if file.legacy else _table(document, "credHelpers", file.path)
    for key in _same(registry):
        if isinstance(helper := helpers.get(key), str) and helper:
            return _ask_helper(helper, _helper_key(registry), settings.search_path)
    parts = [*registry.split("/"), *(repository.split("/") if repository else ())]
    for key in ("/".join(parts[:count]) for count in range(len(parts), 0, -1)):  # the most specific first
        found = _entry(auths, key, exact=key != registry, path=file.path)
        if found is not None:
            return found
    helper = None if file.legacy else document.get("credsStore")
    return (
        _ask_helper(helper, _helper_key(registry), settings.search_path) if isinstance(helper, str) and helper else None
    )


def _same(registry: str) -> tuple[str, ...]:
    """Return all spellings of a registry."""
    if registry in {HUB, HUB_HOST, "index.docker.io"}:
        return (HUB, "index.docker.io", HUB_HOST, HUB_KEY)
    return (registry,)


def _helper_key(registry: str) -> str:
    return HUB_KEY if len(_same(registry)) > 1 else registry


def _entry(auths: dict[str, Any], key: str, *, exact: bool, path: str) -> Credentials | None:
    """Return the credentials for a key. The key of a registry may also be a URL, as Docker writes it."""
    keys = [key]
    if not exact:
        wanted = _same(key)
        keys = [*wanted, *(one for one in auths if _host_in(one) in wanted)]
    for one in keys:
        entry = auths.get(one)
        token, text = (entry.get("identitytoken"), entry.get("auth")) if isinstance(entry, dict) else (None, None)
        token = token if isinstance(token, str) else ""
        if isinstance(text, str) and text:
            try:
                user, colon, password = b64decode(text, validate=True).decode().partition(":")
            except ValueError:
                colon = ""
            if not colon:
                reason = f"the entry for {one!r} is not a valid user and password"
                raise ConfigError(path, reason, hint="log in again")
            return Credentials(user, password.rstrip("\0"), token)
        if token:
            return Credentials(identity_token=token)
    return None


def _host_in(key: str) -> str:
    """Return the registry in a key that is a URL; "" for any other key."""
    scheme, mark, rest = key.partition("://")
    return rest.partition("/")[0] if mark and scheme in {"http", "https"} else ""


def _read(path: str) -> dict[str, Any]:
    """Read a file with credentials; {} if it does not exist.

    Raises:
        ConfigError: it is invalid.
        SystemFailure: it cannot be read.
    """
    try:
        data = read_named(path, _LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise SystemFailure("read", path, error) from None
    try:
        document = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConfigError(path, "not valid JSON", hint="correct it, or move it away and log in again")
    return document


def _table(document: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    found = document.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(path, "must be a table", key=key)
    return found


# ── login and logout ──────────────────────────────────────────────────────────────────────────────────────────────────


@checked
def keep_credentials(settings: Settings, key: str, credentials: Credentials) -> str:
    """Store credentials for a registry, or for a path there; return the file or program that has them.

    Raises:
        ConfigError: the file is invalid, or a helper fails.
        SystemFailure: the file cannot be written.
    """
    if helper := _first_helper(settings):
        _fill_helper(helper, key, credentials, settings.search_path)
        return f"docker-credential-{helper}"
    path = settings.auth_files[0].path
    document = _read(path)
    if helper := _helper_of(document, key, path):
        _fill_helper(helper, _helper_key(key), credentials, settings.search_path)
        return f"docker-credential-{helper}"
    auths = dict(_table(document, "auths", path))
    secret = f"{credentials.user}:{credentials.password}".encode()
    auths[key] = {"auth": b64encode(secret).decode("ascii")}
    _write(path, {**document, "auths": auths})
    return path


@checked
def forget_credentials(settings: Settings, key: str) -> bool:
    """Remove the credentials for a registry, or for a path there; return whether there were any.

    Raises:
        ConfigError: the file is invalid, or a helper fails.
        SystemFailure: the file cannot be written.
    """
    if helper := _first_helper(settings):
        return _clear_helper(helper, key, settings.search_path)
    path = settings.auth_files[0].path
    document = _read(path)
    if helper := _helper_of(document, key, path):
        return _clear_helper(helper, _helper_key(key), settings.search_path)
    auths = _table(document, "auths", path)
    spellings = {*_same(key)}
    gone = {one for one in auths if one in spellings or (_host_in(one) or None) in spellings}
    if not gone:
        return False
    _write(path, {**document, "auths": {one: entry for one, entry in auths.items() if one not in gone}})
    return True


@checked
def forget_all(settings: Settings) -> int:
    """Remove all credentials from the file that login writes; return how many there were.

    Raises:
        ConfigError, SystemFailure: as for `forget_credentials`.
    """
    path = settings.auth_files[0].path
    document = _read(path)
    auths = _table(document, "auths", path)
    for registry, helper in _table(document, "credHelpers", path).items():
        if isinstance(helper, str):
            _clear_helper(helper, _helper_key(registry), settings.search_path)
    if auths:
        _write(path, {**document, "auths": {}})
    return len(auths)


def _first_helper(settings: Settings) -> str:
    """Return the helper in which registries.conf wants to store credentials; "" for a file."""
    first = settings.registries.helpers[0]
    return "" if first == AUTH_FILES else first


def _helper_of(document: dict[str, Any], key: str, path: str) -> str:
    """Return the helper that stores a registry's credentials according to a file; "" for none."""
    helpers = _table(document, "credHelpers", path)
    found = next((helpers[one] for one in _same(key) if isinstance(helpers.get(one), str)), "")
    store_name = document.get("credsStore")
    return found or (store_name if isinstance(store_name, str) else "")


def _write(path: str, document: dict[str, Any]) -> None:
    folder = os.path.dirname(path) or "."
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise SystemFailure("create", folder, error) from None
    # Follow a symbolic link, which users create to share one file; keep the null device, which means "no file".
    if presence.exists(path) and not presence.is_file(path):
        raise ConfigError(path, "is not a file, so it cannot keep credentials", hint="name another one with --authfile")
    data = json.dumps(document, indent="\t", ensure_ascii=False).encode() + b"\n"
    write_file(os.path.realpath(path), data, mode=0o600)


# ── credential helpers: programs `docker-credential-NAME` ─────────────────────────────────────────────────────────────


def _ask_helper(name: str, registry: str, search_path: str) -> Credentials | None:
    """Ask a helper for a registry's credentials; None if it has none.

    Raises:
        ConfigError: the program does not exist, or fails.
    """
    code, output = _run_helper(name, "get", registry, search_path)
    if code:
        if _NOT_FOUND in output[:1000].decode(errors="replace"):
            return None
        raise _helper_failed(name, "get", output)
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


def _fill_helper(name: str, registry: str, credentials: Credentials, search_path: str) -> None:
    """Store credentials in a helper.

    Raises:
        ConfigError: the program does not exist, or fails.
    """
    document = {"ServerURL": registry, "Username": credentials.user, "Secret": credentials.password}
    code, output = _run_helper(name, "store", json.dumps(document), search_path)
    if code:
        raise _helper_failed(name, "store", output)


def _clear_helper(name: str, registry: str, search_path: str) -> bool:
    """Remove a registry's credentials from a helper; return whether it had any.

    Raises:
        ConfigError: the program does not exist, or fails.
    """
    code, output = _run_helper(name, "erase", registry, search_path)
    if code and _NOT_FOUND not in output[:1000].decode(errors="replace"):
        raise _helper_failed(name, "erase", output)
    return not code


def _run_helper(name: str, action: str, text: str, search_path: str) -> tuple[int, bytes]:
    import shutil
    import subprocess

    if not _HELPER_NAME.fullmatch(name):
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
    return done.returncode, (done.stdout or done.stderr)[:_LARGEST_ANSWER] if done.returncode else done.stdout[
        :_LARGEST_ANSWER
    ]


def _helper_failed(name: str, action: str, output: bytes) -> ConfigError:
    told = cleaned(output.decode(errors="replace")) if action != "store" else ""
    return ConfigError(f"docker-credential-{name}", f"{action} failed{f': {told}' if told else ''}")
