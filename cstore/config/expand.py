"""Variables in paths of a configuration file, and the plain form of a path (config spec, 6)."""

from __future__ import annotations

import os

from cstore import errors
from cstore.config import keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from cstore.config.options import FileSettings

_ROOTS = (keys.RUN_ROOT, keys.GRAPH_ROOT, keys.ROOTLESS_PATH)
_STORES = (keys.IMAGE_STORE, keys.OPTIONS_IMAGE_STORE)
_LISTS = (keys.MORE_IMAGE_STORES, keys.MORE_LAYER_STORES)

# Compiled when the first path has a variable: most have none.
_VARIABLE = (
    r"\$(?:"
    r"\{(?P<braced>[^}]*)\}"
    r"|(?P<unclosed>\{)"
    r"|(?P<special>[*#$@!?0-9-])"
    r"|(?P<bare>[A-Za-z_][A-Za-z0-9_]*)"
    r")"
)


def expand(text: str, variables: Mapping[str, str], uid: int) -> tuple[str, list[str]]:
    """Replace `$UID` by `uid`, then `$NAME` and `${NAME}` by the variable's value, unset ones by nothing.

    `$UID` is plain text, so `$UIDX` begins with it, and `${UID}` is a variable like any other. There is no `~`.

    Returns:
        The text, and the names that were not set.
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
    """Make `path` absolute: with its symbolic links resolved if it exists, else only tidied."""
    absolute = os.path.abspath(path)
    return os.path.realpath(absolute) if os.path.exists(path) else "/" + absolute.lstrip("/")


def expand_settings(
    settings: FileSettings, variables: Mapping[str, str], uid: int
) -> tuple[FileSettings, list[errors.ConfigError]]:
    """Expand the variables in every path of a file and normalize it.

    Returns:
        The settings, and a remark for each variable that was not set.

    Raises:
        ConfigError: nothing is left of a path, or a separate or additional store is not named by an absolute one.
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
        """An additional store. Layer stores may carry an option, as in `PATH:ref`."""
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
