"""Which file counts, and how files, environment and flags become one configuration.

Flags win over the environment, the environment over the file, the file over the defaults: field by field, always in
this order. One file gives the settings; files are never mixed. Nothing here creates or changes anything, and a file
that could not matter is not read (config spec, 2, 3 and 12).
"""

from __future__ import annotations

import os

from cstore.config import keys
from cstore.config.driver_options import sentence
from cstore.config.environment import Environment, read_environment
from cstore.config.expand import expand_settings, plain_path
from cstore.config.merge import merge
from cstore.config.options import AUTO_USERNS_USER, GRAPH_ROOT, RUN_ROOT, FileSettings, Overrides, StoreConfig
from cstore.config.parse import read_file
from cstore.config.rootless import (
    Identity,
    Places,
    data_root,
    detect_driver,
    existing_drivers,
    inherited,
    rootless_identity,
    runtime_directory,
    user_file,
    userns_owner,
)
from cstore.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NO_FILE = FileSettings()


def load_config(
    overrides: Overrides | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    identity: Identity | None = None,
    places: Places | None = None,
    strict: bool = False,
) -> StoreConfig:
    """Work out the configuration that is in force. Reads files; writes nothing.

    Args:
        overrides: what the command line says.
        environ: the environment, by default that of this process.
        identity: on whose behalf, by default found out.
        places: where the system's own files are.
        strict: treat the first warning as an error.

    Raises:
        ConfigError: a file, variable or option makes no sense; it says which, and where.
    """
    overrides = overrides or Overrides()
    environment = read_environment(environ)
    identity = identity or rootless_identity(environ)
    found = _Files(environment, identity, places or Places(), overrides)
    settings, odd = expand_settings(found.settings, environment.variables, identity.uid)
    roots = {
        keys.GRAPH_ROOT: overrides.graph_root or settings.string(keys.GRAPH_ROOT) or found.default_graph_root(settings),
        keys.RUN_ROOT: overrides.run_root or settings.string(keys.RUN_ROOT) or found.default_run_root,
    }
    settings = settings.with_values({key: os.path.abspath(path) for key, path in roots.items()})
    if found.for_user_without_file and not (overrides.driver or environment.driver):
        settings = settings.with_values({keys.DRIVER: _driver_for_user(settings, environment)})
    config, remarks = merge(settings, overrides, environment, userns_owner(settings, environment, identity))
    return _finished(config, [*settings.remarks, *odd, *found.odd, *remarks], strict=strict)


def _driver_for_user(settings: FileSettings, environment: Environment) -> str:
    """The driver of a user without a file of their own: what the system's file says is for stores yet to be made."""
    graph_root, said = settings.string(keys.GRAPH_ROOT), settings.string(keys.DRIVER)
    if not said:
        return "" if settings.strings(keys.DRIVER_PRIORITY) else detect_driver(graph_root, environment)
    present = existing_drivers(graph_root)
    name = said.replace("overlay2", "overlay")
    fits = not present or name in present or os.path.isdir(os.path.join(graph_root, name))
    return said if fits else present[0]


def load_file(path: str, *, environ: Mapping[str, str] | None = None, strict: bool = False) -> StoreConfig:
    """What one file says by itself: no defaults, no expansion, but with the environment's driver and driver options.

    Raises:
        ConfigError: the file cannot be read or makes no sense.
    """
    settings = read_file(path)
    owner = settings.string(keys.AUTO_USER) or AUTO_USERNS_USER
    config, remarks = merge(settings, Overrides(), read_environment(environ), owner)
    return _finished(config, [*settings.remarks, *remarks], strict=strict)


def _finished(config: StoreConfig, remarks: Sequence[ConfigError], *, strict: bool) -> StoreConfig:
    if strict and remarks:
        raise remarks[0]
    return config.with_(warnings=tuple(dict.fromkeys(map(sentence, remarks))))


class _Files:
    """The files of one run, each read when it is first needed and not before."""

    def __init__(self, environment: Environment, identity: Identity, places: Places, overrides: Overrides) -> None:
        self._environment = environment
        self._identity = identity
        self._places = places
        self._overrides = overrides
        self._read: dict[str, FileSettings | None] = {}
        self.odd: list[ConfigError] = []

    @property
    def settings(self) -> FileSettings:
        """What the one file says that counts; or, for a user who has none, what the system's file leaves to users."""
        if self.for_user_without_file:
            return inherited(self._system, self._overrides.driver or self._environment.driver)
        return self._own or _NO_FILE

    @property
    def for_user_without_file(self) -> bool:
        return self._identity.per_user and self._own is None

    @property
    def default_run_root(self) -> str:
        if self._identity.per_user:
            runtime = runtime_directory(self._environment, self._identity, self._places)
            return os.path.join(runtime, "containers")
        return plain_path(RUN_ROOT)

    def default_graph_root(self, settings: FileSettings) -> str:
        if not self._identity.per_user:
            return plain_path(GRAPH_ROOT)
        if own := settings.string(keys.ROOTLESS_PATH):
            return own
        only_path = self._system.keep({keys.ROOTLESS_PATH})
        system, self.odd = expand_settings(only_path, self._environment.variables, self._identity.uid)
        return system.string(keys.ROOTLESS_PATH) or plain_path(data_root(self._environment, self._identity))

    @property
    def _own(self) -> FileSettings | None:
        named = self._environment.config_file
        if named is not None:
            if not named:
                hint = "unset it, or name a file"
                raise ConfigError("CONTAINERS_STORAGE_CONF", "is set, and names no file", hint=hint)
            return self._file(named, needed=True)
        if self._identity.per_user:
            return self._file(user_file(self._environment, self._identity))
        return self._system

    @property
    def _system(self) -> FileSettings:
        if self._environment.config_file is not None:
            return self._own or _NO_FILE
        administrator = self._file(self._places.administrator_file)
        return administrator or self._file(self._places.distribution_file) or _NO_FILE

    def _file(self, path: str, *, needed: bool = False) -> FileSettings | None:
        if path not in self._read:
            self._read[path] = read_file(path) if needed or _is_there(path) else None
        return self._read[path]


def _is_there(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass  # reading it says what is wrong
    return True
