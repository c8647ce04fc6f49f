"""How files, environment and flags become one configuration.

Flags win over the environment, the environment over the files, the files over the defaults: field by field, always in
this order. Nothing here creates or changes anything. Tools up to 1.60 (Podman 5) know no drop-ins, root's home is
nothing to them, and users inherit little: where that leads to another store, the store that exists is used.
"""

from __future__ import annotations

import os

from cstore.config import keys
from cstore.config.driver_options import sentence
from cstore.config.environment import Environment, read_environment
from cstore.config.expand import expand_settings, plain_path
from cstore.config.files import Found, combine, find_files, is_there, read_all
from cstore.config.merge import merge
from cstore.config.options import AUTO_USERNS_USER, GRAPH_ROOT, RUN_ROOT, FileSettings, Overrides, StoreConfig
from cstore.config.parse import read_file
from cstore.config.rootless import (
    Identity,
    Places,
    data_root,
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
_RECORDS = {"-layers": "layers.json", "-images": "images.json", "-containers": "containers.json"}
"""What a store's directories end in, after the driver's name, and the record file in each."""


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
    if overrides.config_file:
        environment = environment.with_(config_file=overrides.config_file)
    identity = identity or rootless_identity(environ)
    choice = _Choice(environment, identity, places or Places(), overrides)
    settings, standing = choice.settle()
    config, remarks = merge(settings, overrides, environment, userns_owner(settings, environment, identity))
    if identity.per_user:
        _require_stores(settings)
    config = config.with_(notes=tuple(choice.notes), write_warnings=standing)
    return _finished(config, [*settings.remarks, *choice.odd, *remarks], strict=strict)


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


class _Choice:
    """Which files count, and which store they lead to."""

    def __init__(self, environment: Environment, identity: Identity, places: Places, overrides: Overrides) -> None:
        self._environment = environment
        self._identity = identity
        self._places = places
        self._overrides = overrides
        self.notes: list[str] = []
        self.odd: list[ConfigError] = []

    def settle(self) -> tuple[FileSettings, tuple[str, ...]]:
        """The settings in force, their roots filled in, and what to warn of before anything is changed."""
        found = find_files(self._environment, self._identity, self._places)
        settings = self._rooted(read_all(found), self._for_user(found))
        self._remark_two_roots(settings)
        settings = self._with_driver_of_store(settings, found)
        if self._overrides.graph_root or not self._may_differ(found):
            return settings, ()
        try:
            older = self._older()
        except ConfigError:
            return settings, ()  # what only older tools read is wrong: their concern
        new, old = (one.string(keys.GRAPH_ROOT) for one in (settings, older))
        if new == old or not _has_store(old):
            return settings, ()
        if not _has_store(new):
            self.notes.append(
                f"the store is {old}, which exists and which tools up to 1.60 use; the newest tools would make {new}"
            )
            return older, ()
        where = self._place(settings, keys.GRAPH_ROOT) or "the main configuration file"
        standing = (
            f"there are two stores: {new}, which the newest tools use, and {old}, which tools up to 1.60 (Podman 5) "
            f"use; this is {new}. Write the graphroot that all shall use into {where}, or name one with --graph"
        )
        return settings, (standing,)

    def _with_driver_of_store(self, settings: FileSettings, found: Found) -> FileSettings:
        """For a user whom nobody told a driver, that of the store that exists, as older tools have it."""
        said = self._overrides.driver or self._environment.driver or settings.string(keys.DRIVER)
        if said or settings.strings(keys.DRIVER_PRIORITY) or not self._for_user(found):
            return settings
        present = existing_drivers(settings.string(keys.GRAPH_ROOT))
        return settings if not present or "overlay" in present else settings.with_values({keys.DRIVER: present[0]})

    def _remark_two_roots(self, settings: FileSettings) -> None:
        path, key = settings.string(keys.ROOTLESS_PATH), keys.ROOTLESS_PATH
        if not (self._identity.per_user and path) or self._overrides.graph_root:
            return
        if path != (root := settings.string(keys.GRAPH_ROOT)):
            reason = f"ignored, because {keys.GRAPH_ROOT} names {root}"
            self.odd.append(ConfigError(settings.file(key), reason, line=settings.line(key), key=key))

    def _for_user(self, found: Found) -> bool:
        """Whether roots of the system's files are taken over for a user, who may not be able to use them."""
        return self._identity.per_user and not found.own

    def _may_differ(self, found: Found) -> bool:
        """Whether older tools may come to another store: they know one file, and each user one of their own."""
        if self._environment.config_file:
            return bool(self._environment.override_file)
        return len(found.files) > 1 or self._for_user(found) or found.own

    def _rooted(self, settings: FileSettings, for_user: bool) -> FileSettings:
        """Expand paths and fill the roots in."""
        settings, odd = expand_settings(settings, self._environment.variables, self._identity.uid)
        self.odd = self.odd or odd
        roots = {keys.GRAPH_ROOT: self._overrides.graph_root, keys.RUN_ROOT: self._overrides.run_root}
        for key, given in roots.items():
            root = given or settings.string(key)
            if not given and root and for_user and not self._is_own(settings.file(key)) and not _is_usable(root):
                self.notes.append(f"{self._place(settings, key)}: {key}: {root} is no directory of yours, passed over")
                root = ""
            roots[key] = os.path.abspath(root or self._default(key, settings))
        return settings.with_values(roots)

    def _default(self, key: str, settings: FileSettings) -> str:
        if not self._identity.per_user:
            return plain_path(GRAPH_ROOT if key == keys.GRAPH_ROOT else RUN_ROOT)
        if key == keys.RUN_ROOT:
            return os.path.join(runtime_directory(self._environment, self._identity, self._places), "containers")
        return settings.string(keys.ROOTLESS_PATH) or plain_path(data_root(self._environment, self._identity))

    def _is_own(self, path: str) -> bool:
        """Whether a file is the user's own, or one that the environment names or that is for users only."""
        system = (self._places.administrator_file, self._places.distribution_file)
        above = tuple(os.path.dirname(one) + "/" for one in system)
        return not path.startswith(above) or os.path.basename(os.path.dirname(path)) == str(self._identity.uid)

    def _older(self) -> FileSettings:
        """What tools up to 1.60 make of the same machine."""
        system = self._main(self._environment.config_file, self._places.administrator_file)
        if not system.source and not self._environment.config_file:
            system = self._main(self._places.distribution_file)
        if not self._identity.per_user or self._environment.config_file:
            return self._rooted(system, for_user=False)
        own = self._main(user_file(self._environment, self._identity))
        if own.source:
            return self._rooted(combine([system.keep({keys.ROOTLESS_PATH}), own], own.source), for_user=False)
        taken = inherited(system, self._overrides.driver or self._environment.driver)
        path = system.keep({keys.ROOTLESS_PATH}).values
        return self._rooted(taken.with_values(path), for_user=False)

    def _main(self, *paths: str) -> FileSettings:
        path = next(filter(None, paths), "")
        return read_file(path) if path and is_there(path) else _NO_FILE

    def _place(self, settings: FileSettings, key: str) -> str:
        line = settings.line(key)
        return f"{settings.file(key)}, line {line}" if line else settings.file(key)


def _has_store(graph_root: str) -> bool:
    """Whether a store exists there: one where any record file is."""
    try:
        names = os.listdir(graph_root)
    except OSError:
        return False
    files = ((name, name[name.rfind("-") :]) for name in names if "-" in name)
    return any(os.path.exists(os.path.join(graph_root, name, _RECORDS[end])) for name, end in files if end in _RECORDS)


def _is_usable(root: str) -> bool:
    """Whether this process may keep a store in `root`, which need not exist yet."""
    path = root
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK, effective_ids=True)


def _require_stores(settings: FileSettings) -> None:
    """Make sure that the additional stores a user is given are stores: a user cannot make one of them there.

    Raises:
        ConfigError: one is not.
    """
    for path in settings.strings(keys.MORE_IMAGE_STORES):
        try:
            names = os.listdir(path)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
        else:
            if any(name.endswith(tuple(_RECORDS)) for name in names) or os.access(path, os.W_OK, effective_ids=True):
                continue
            reason = "there is no store in it"
        key = keys.MORE_IMAGE_STORES
        hint = "correct the path, or remove it"
        raise ConfigError(settings.file(key), f"{path}: {reason}", line=settings.line(key), key=key, hint=hint)
