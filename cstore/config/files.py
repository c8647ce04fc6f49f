"""The configuration files to read, in order: a main file, drop-ins, and files that the environment names.

The rules are those of the Go library from 1.61 on (Podman 6). Main files are never merged with each other; drop-ins
are merged over the main file, key by key, and the file that CONTAINERS_STORAGE_CONF_OVERRIDE names comes last.
"""

from __future__ import annotations

import os
import stat

from cstore import errors
from cstore.config import keys
from cstore.config.keys import Kind
from cstore.config.options import Appended, FileSettings
from cstore.config.parse import read_file, read_settings
from cstore.config.rootless import home_directory
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cstore.config.environment import Environment
    from cstore.config.rootless import Identity, Places

MAIN = "storage.conf"
DROP_INS = "storage.conf.d"
_SUFFIX = ".conf"


class Found(Value):
    """The configuration files of one run.

    Attributes:
        main: the main file's path, "" for none.
        own: whether these files choose the user's own store: the main file is named by the environment or in the home.
        files: every file to read, in order.
        passed_over: files and directories that are ignored, with reasons.
        override: the file that CONTAINERS_STORAGE_CONF_OVERRIDE names, the last of `files`; "" for none.
    """

    main: str = ""
    own: bool = False
    files: tuple[str, ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    override: str = ""


def find_files(environment: Environment, identity: Identity, places: Places, planned: str = "") -> Found:
    """Find the files that the newest generation of tools reads; `planned` is one that is about to be written.

    Raises:
        ConfigError: a directory of drop-ins cannot be listed.
    """
    passed: list[tuple[str, str]] = []
    own = user_directory(environment, identity)
    named, override = environment.config_file, environment.override_file
    if named:
        main, dropped, is_own = named, [], True
    else:
        users = [] if own is None else [os.path.join(own, MAIN)]
        mains = [*users, places.administrator_file, places.distribution_file]
        main, *others = [path for path in mains if path == planned or is_there(path)] or [""]
        passed += [(path, f"{main} is the main file") for path in others]
        is_own = main in users
        dropped = _drop_ins(_directories(own, identity, places), passed, planned)
    files = (*([main] if main else []), *dropped, *([override] if override else []))
    return Found(main, is_own, files, tuple(passed), override)


def user_directory(environment: Environment, identity: Identity) -> str | None:
    """Return the directory of the user's own configuration; None for root without a home.

    If XDG_CONFIG_HOME is set but empty, the path is relative, as in the Go library.

    Raises:
        ConfigError: an ordinary user has no home.
    """
    if environment.config_home is not None:
        return os.path.join(environment.config_home, "containers")
    try:
        return os.path.join(home_directory(environment, identity), ".config", "containers")
    except errors.ConfigError:
        if identity.per_user:
            raise
        return None


def combine(parts: Iterable[FileSettings], source: str = "") -> FileSettings:
    """Merge files in order, key by key: a later value replaces an earlier one, or extends it if it is marked so."""
    values: dict[str, object] = {}
    read = tuple(parts)
    for part in read:
        for key, value in part.values.items():
            before = values.get(key)
            if isinstance(value, Appended) and isinstance(before, list):
                values[key] = [*before, *value]
            elif keys.kind_of(key) == Kind.TEXT_TABLE and isinstance(before, dict) and isinstance(value, dict):
                values[key] = {**before, **value}
            else:
                values[key] = value
    remarks = tuple(remark for part in read for remark in part.remarks)
    return FileSettings(source or (read[0].source if read else ""), read[0].text if read else "", values, remarks, read)


def read_all(found: Found, planned: tuple[str, str] = ("", "")) -> FileSettings:
    """Read all files and merge them. `planned` is the path and text of one that is about to be written.

    Raises:
        ConfigError: a file cannot be read or is invalid.
    """
    path, text = planned
    try:
        parts = [read_settings(path, text) if one == path else read_file(one) for one in found.files]
    except errors.ConfigError as error:
        if found.override and error.source == found.override:
            error.hint = "correct the file, or name another one in CONTAINERS_STORAGE_CONF_OVERRIDE"
        raise
    return combine(parts, found.main)


def _directories(own: str | None, identity: Identity, places: Places) -> Iterator[str]:
    for main in (places.distribution_file, places.administrator_file):
        above = os.path.dirname(main)
        yield os.path.join(above, DROP_INS)
        special = os.path.join(above, f"storage.root{'less' if identity.per_user else 'ful'}.conf.d")
        yield special
        if identity.per_user:
            yield os.path.join(special, str(identity.uid))
    if own is not None:
        yield os.path.join(own, DROP_INS)


def _drop_ins(directories: Iterable[str], passed: list[tuple[str, str]], planned: str) -> list[str]:
    """Return the drop-ins to read, sorted by name; of equal names, the one in the latest directory.

    Raises:
        ConfigError: a directory cannot be listed.
    """
    found: dict[str, str] = {}
    for directory in directories:
        try:
            names = {*os.listdir(directory)}
        except (FileNotFoundError, NotADirectoryError):
            names = set()
        except OSError as error:
            reason = f"cannot be listed: {os.strerror(error.errno or 0)}"
            raise errors.ConfigError(directory, reason, hint="make the directory readable, or remove it") from error
        if planned and os.path.dirname(planned) == directory:
            names.add(os.path.basename(planned))
        for name in sorted(names):
            path = os.path.join(directory, name)
            reason = f"its name does not end in {_SUFFIX}"
            if name.endswith(_SUFFIX):
                reason = "" if path == planned else _irregular(path)
            if reason:
                passed.append((path, reason))
                continue
            if name in found:
                passed.append((found[name], f"{path} takes its place"))
            found[name] = path
    return [found[name] for name in sorted(found, key=os.fsencode)]


def _irregular(path: str) -> str:
    """Return the reason why `path` is not a drop-in; "" if it is one."""
    try:
        mode = os.lstat(path).st_mode
    except OSError as error:
        return f"cannot be examined: {os.strerror(error.errno or 0)}"
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISLNK(mode):
        return "it is a symbolic link"
    return "it is a directory" if stat.S_ISDIR(mode) else "it is not a regular file"


def is_there(path: str) -> bool:
    """Return whether a file of that name may exist. True if unknown: reading it will report the error."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True
