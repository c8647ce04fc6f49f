"""The environment variables that configure cstore, and those in paths of configuration files.

Only this module reads the environment. Paths are expanded where they get their final form (config spec, 6).
"""

from __future__ import annotations

import os

from cstore import errors, presence
from cstore.config import keys
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from cstore.config.options import FileSettings


class Environment(Value):
    """The settings in the environment (config spec, 11). "" means unset or empty, except where None means unset.

    Attributes:
        config_file, override_file: CONTAINERS_STORAGE_CONF and CONTAINERS_STORAGE_CONF_OVERRIDE.
        driver, driver_options: STORAGE_DRIVER; STORAGE_OPTS, None if unset.
        home, config_home, data_home, runtime_dir, temporary_dir: HOME, the three XDG directories, TMPDIR.
            `config_home` is None if unset.
        search_path, user, shell: PATH, USER, SHELL.
        in_namespace: _CONTAINERS_USERNS_CONFIGURED: a parent process has entered a user namespace for this one.
        rootless_uid, rootless_gid: _CONTAINERS_ROOTLESS_UID and _GID, the user and group before that.
        isolation: BUILDAH_ISOLATION.
        mapped_mounts_off: _CONTAINERS_OVERLAY_DISABLE_IDMAP is `yes`.
        variables: all variables, for the expansion of paths.
    """

    config_file: str = ""
    override_file: str = ""
    driver: str = ""
    driver_options: str | None = None
    home: str = ""
    config_home: str | None = None
    data_home: str = ""
    runtime_dir: str = ""
    temporary_dir: str = ""
    search_path: str = ""
    user: str = ""
    shell: str = ""
    in_namespace: str = ""
    rootless_uid: str = ""
    rootless_gid: str = ""
    isolation: str = ""
    mapped_mounts_off: bool = False
    variables: Mapping[str, str] = {}


def mark_entered(uid: int, gid: int) -> None:
    """Set the variables by which the Go tools recognize a user namespace that was entered, and its user."""
    os.environ.update(
        _CONTAINERS_USERNS_CONFIGURED="done", _CONTAINERS_ROOTLESS_UID=str(uid), _CONTAINERS_ROOTLESS_GID=str(gid)
    )
    os.environ.setdefault("BUILDAH_ISOLATION", "rootless")


def read_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """Read `environ`, or the environment of this process."""
    variables = os.environ if environ is None else environ

    def word(name: str) -> str:
        return variables.get(name, "")

    return Environment(
        config_file=word("CONTAINERS_STORAGE_CONF"),
        override_file=word("CONTAINERS_STORAGE_CONF_OVERRIDE"),
        driver=word("STORAGE_DRIVER"),
        driver_options=variables.get("STORAGE_OPTS"),
        home=word("HOME"),
        config_home=variables.get("XDG_CONFIG_HOME"),
        data_home=word("XDG_DATA_HOME"),
        runtime_dir=word("XDG_RUNTIME_DIR"),
        temporary_dir=word("TMPDIR"),
        search_path=word("PATH"),
        user=word("USER"),
        shell=word("SHELL"),
        in_namespace=word("_CONTAINERS_USERNS_CONFIGURED"),
        rootless_uid=word("_CONTAINERS_ROOTLESS_UID"),
        rootless_gid=word("_CONTAINERS_ROOTLESS_GID"),
        isolation=word("BUILDAH_ISOLATION"),
        mapped_mounts_off=word("_CONTAINERS_OVERLAY_DISABLE_IDMAP") == "yes",
        variables=variables,
    )


# ── variables in paths ──

_ROOTS = (keys.RUN_ROOT, keys.GRAPH_ROOT, keys.ROOTLESS_PATH)
_STORES = (keys.IMAGE_STORE, keys.OPTIONS_IMAGE_STORE)
_LISTS = (keys.MORE_IMAGE_STORES, keys.MORE_LAYER_STORES)

# Compiled when the first path has a variable; most have none.
_VARIABLE = (
    r"\$(?:"
    r"\{(?P<braced>[^}]*)\}"
    r"|(?P<unclosed>\{)"
    r"|(?P<special>[*#$@!?0-9-])"
    r"|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)"
    r")"
)


def expand(text: str, variables: Mapping[str, str], uid: int) -> tuple[str, list[str]]:
    """Replace `$UID` with `uid`, then `$NAME` and `${NAME}` with the variable's value; unset ones become empty.

    `$UID` is replaced as text, so `$UIDX` begins with it, but `${UID}` is an ordinary variable. `~` is not expanded.

    Returns:
        The text, and the names of unset variables.
    """
    unset: list[str] = []
    if "$" not in text:
        return text, unset
    import re

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["special"] or match["bare"] or ""
        if name and name not in variables:
            unset.append(name)
        return variables.get(name, "")

    return re.sub(_VARIABLE, value, text.replace("$UID", str(uid))), unset


def plain_path(path: str) -> str:
    """Return the absolute path, with symbolic links resolved if it exists, otherwise only normalized."""
    absolute = os.path.abspath(path)
    return os.path.realpath(absolute) if presence.can_be_seen(path, follow=True) else "/" + absolute.lstrip("/")


def expand_settings(
    settings: FileSettings, variables: Mapping[str, str], uid: int
) -> tuple[FileSettings, list[errors.ConfigError]]:
    """Expand the variables in every path of a file, and normalize the paths.

    Returns:
        The settings, and a remark for each unset variable.

    Raises:
        ConfigError: a path expands to "", or that of a separate or additional store is not absolute.
    """
    work = _Expansion(settings, variables, uid)
    changes: dict[str, object] = {}
    for key in (*_ROOTS, *_STORES):
        if text := settings.string(key):
            changes[key] = work.path(key, text, absolute=key in _STORES)
    for key in _LISTS:
        if texts := settings.strings(key):
            changes[key] = [work.store(key, text) for text in texts if text]
    return settings.with_values(changes), work.remarks


class _Expansion:
    def __init__(self, settings: FileSettings, variables: Mapping[str, str], uid: int) -> None:
        self._settings = settings
        self._variables = variables
        self._uid = uid
        self.remarks: list[errors.ConfigError] = []

    def store(self, key: str, text: str) -> str:
        """Expand the path of an additional store. Layer stores may have an option, as in `PATH:ref`."""
        path, colon, option = text.partition(":") if key == keys.MORE_LAYER_STORES else (text, "", "")
        return self.path(key, path, absolute=True) + colon + option

    def path(self, key: str, text: str, *, absolute: bool) -> str:
        path, unset = expand(text, self._variables, self._uid)
        self.remarks += [self._error(key, f"the variable {name} is not set, so {text} means {path}") for name in unset]
        if not path:
            raise self._error(key, f"{text!r} expands to nothing")
        if absolute and not path.startswith("/"):
            raise self._error(key, f"{path!r} is not an absolute path", "begin it with /")
        return plain_path(path)

    def _error(self, key: str, reason: str, hint: str = "") -> errors.ConfigError:
        return errors.ConfigError(self._settings.file(key), reason, line=self._settings.line(key), key=key, hint=hint)
