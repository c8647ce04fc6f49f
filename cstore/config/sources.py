"""Combination of files, environment and options into one configuration.

For each field, options override the environment, the environment overrides files, and files override defaults. Nothing
here creates or changes anything. Tools up to 1.60 (Podman 5) have no drop-ins, ignore root's home, and let users
inherit less from the system's file. If their rules lead to another store, cstore uses the store that exists.
"""

from __future__ import annotations

import os

from cstore import errors, presence
from cstore.config import keys
from cstore.config.driver_options import file_options, sentence
from cstore.config.environment import Environment, expand_settings, plain_path, read_environment
from cstore.config.files import Found, combine, find_files, is_there, read_all
from cstore.config.merge import merge
from cstore.config.options import AUTO_USERNS_USER, GRAPH_ROOT, RUN_ROOT, FileSettings, Overrides, StoreConfig
from cstore.config.parse import read_file
from cstore.config.rootless import (
    RECORDS,
    Identity,
    Places,
    data_root,
    drivers_with_records,
    existing_drivers,
    inherited,
    rootless_identity,
    runtime_directory,
    user_file,
    userns_owner,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NO_FILE = FileSettings()
_DEFAULT = "the default"


def load_config(
    overrides: Overrides | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    identity: Identity | None = None,
    places: Places | None = None,
    strict: bool = False,
    planned: tuple[str, str] = ("", ""),
) -> StoreConfig:
    """Determine the configuration in effect. Reads files; writes nothing.

    Args:
        overrides: the settings from the command line.
        environ: the environment; by default, that of this process.
        identity: the user for whom cstore runs; detected by default.
        places: the places of the system's own files.
        strict: treat the first warning as an error.
        planned: path and text of a file that is about to be written, to see its effect.

    Raises:
        ConfigError: a file, variable or option is invalid; the error names it and its location.
    """
    try:
        return _in_force(overrides or Overrides(), environ, identity, places or Places(), planned, strict=strict)
    except (AttributeError, TypeError):
        from cstore.arguments import check_call

        given = {"environ": environ, "identity": identity, "places": places, "strict": strict, "planned": planned}
        check_call(load_config, (overrides,), given)
        raise


def _in_force(
    overrides: Overrides,
    environ: Mapping[str, str] | None,
    identity: Identity | None,
    places: Places,
    planned: tuple[str, str],
    *,
    strict: bool,
) -> StoreConfig:
    environment = read_environment(environ)
    if overrides.config_file:
        environment = environment.with_(config_file=overrides.config_file)
    identity = identity or rootless_identity(environ)
    choice = _Choice(environment, identity, places, overrides, planned)
    settings, warnings = choice.settle()
    config, remarks = merge(settings, overrides, environment, userns_owner(settings, environment, identity))
    if identity.per_user:
        _require_stores(settings)
    _check_options(config)
    config = config.with_(
        given=overrides, notes=tuple(choice.notes), write_warnings=warnings, passed_over=choice.passed_over
    )
    return _finished(config, [*settings.remarks, *choice.odd, *remarks], strict=strict)


def load_file(path: str, *, environ: Mapping[str, str] | None = None, strict: bool = False) -> StoreConfig:
    """Return the settings of one file: no defaults, no expansion, but the environment's driver and driver options.

    Raises:
        ConfigError: the file cannot be read or is invalid.
    """
    settings = read_file(path)
    owner = settings.string(keys.AUTO_USER) or AUTO_USERNS_USER
    config, remarks = merge(settings, Overrides(), read_environment(environ), owner)
    return _finished(config, [*settings.remarks, *remarks], strict=strict)


def _check_options(config: StoreConfig) -> None:
    """Validate the options for the driver that is tried first, if none is named; those of a named one are validated.

    Raises:
        ConfigError: a driver option in a file is invalid.
    """
    from cstore.drivers.registry import DRIVERS

    if config.driver or config.choice.replacement is not None:
        return
    first = (*config.driver_priority, *DRIVERS)[0]
    try:
        file_options(config.choice.settings, first)
    except errors.ConfigError:
        present = existing_drivers(config.graph_root)
        if not present or first in present:
            raise


def _finished(config: StoreConfig, remarks: Sequence[errors.ConfigError], *, strict: bool) -> StoreConfig:
    if strict and remarks:
        raise remarks[0]
    return config.with_(warnings=tuple(dict.fromkeys(map(sentence, remarks))))


class _Choice:
    """Selects the files to read, and the store that they lead to."""

    def __init__(
        self,
        environment: Environment,
        identity: Identity,
        places: Places,
        overrides: Overrides,
        planned: tuple[str, str],
    ) -> None:
        self._environment = environment
        self._identity = identity
        self._places = places
        self._overrides = overrides
        self._planned = planned
        self.passed_over: tuple[tuple[str, str], ...] = ()
        self.notes: list[str] = []
        self.odd: list[errors.ConfigError] = []

    def settle(self) -> tuple[FileSettings, tuple[str, ...]]:
        """Return the settings in effect, including roots, and warnings for commands that change the store."""
        found = find_files(self._environment, self._identity, self._places, self._planned[0])
        self.passed_over = found.passed_over
        for_user = self._identity.per_user and not self._environment.config_file
        settings = self._rooted(read_all(found, self._planned), for_user=for_user)
        self._remark_two_roots(settings)
        settings = self._with_driver_of_store(settings, found)
        if not self._may_differ(found):
            return settings, ()
        notes = tuple(self.notes)
        try:
            older = self._older()
        except errors.ConfigError:
            return settings, ()  # the error is in a file that only older tools read
        new, old = self._store(settings), self._store(older)
        same_driver = new[1] == old[1] or not (new[1] and old[1])  # without a named driver, the store determines it
        if (new[0] == old[0] and same_driver) or not _has_store(*old):
            return settings, ()
        names = [f"{root} ({driver})" if new[0] == old[0] else root for root, driver in (new, old)]
        if not _has_store(*new):
            there, other = names[1], names[0]
            told = f"the store is {there}, which exists and which tools up to 1.60 use; the newest would create {other}"
            self.notes = [*notes, told]
            return older, ()
        key = keys.DRIVER if new[0] == old[0] else keys.GRAPH_ROOT
        where = settings.place(key) if os.path.isabs(settings.file(key)) else "the main configuration file"
        warning = (
            f"there are two stores: {names[0]}, which the newest tools use, and {names[1]}, which tools up to 1.60 "
            f"(Podman 5) use; this is {names[0]}. Set {key.rpartition('.')[2]} in {where} to the one that all tools "
            f"should use, or name one with {'--storage-driver' if key == keys.DRIVER else '--graph'}"
        )
        return settings, (warning,)

    def _store(self, settings: FileSettings) -> tuple[str, str]:
        """Return the graph root and the driver that the settings select; "" for the driver of an existing store."""
        from cstore.drivers.registry import reported_name

        driver = self._overrides.driver or self._environment.driver or settings.string(keys.DRIVER)
        return settings.string(keys.GRAPH_ROOT), reported_name(driver)

    def _with_driver_of_store(self, settings: FileSettings, found: Found) -> FileSettings:
        """For a user without a configured driver, choose that of the existing store, as older tools do."""
        said = self._overrides.driver or self._environment.driver or settings.string(keys.DRIVER)
        if said or settings.strings(keys.DRIVER_PRIORITY) or not self._for_user(found):
            return settings
        from cstore.drivers.registry import DRIVERS

        present = existing_drivers(settings.string(keys.GRAPH_ROOT))
        if not present or next(iter(DRIVERS)) in present:
            return settings
        return settings.with_part("the store that exists", {keys.DRIVER: present[0]})

    def _remark_two_roots(self, settings: FileSettings) -> None:
        path, key = settings.string(keys.ROOTLESS_PATH), keys.ROOTLESS_PATH
        if not (self._identity.per_user and path) or self._overrides.graph_root:
            return
        if path != (root := settings.string(keys.GRAPH_ROOT)):
            reason = f"ignored, because {keys.GRAPH_ROOT} names {root}"
            self.odd.append(errors.ConfigError(settings.file(key), reason, line=settings.line(key), key=key))

    def _for_user(self, found: Found) -> bool:
        """Return whether a user gets the roots of the system's files, which they may be unable to use."""
        return self._identity.per_user and not found.own

    def _may_differ(self, found: Found) -> bool:
        """Return whether older tools may use another store: they read one file, and each user only their own."""
        if self._environment.config_file:
            return bool(self._environment.override_file)
        return len(found.files) > 1 or self._for_user(found) or found.own

    def _rooted(self, settings: FileSettings, for_user: bool) -> FileSettings:
        """Expand paths and fill in the roots."""
        settings, odd = expand_settings(settings, self._environment.variables, self._identity.uid)
        self.odd = self.odd or odd
        given = {keys.GRAPH_ROOT: self._overrides.graph_root, keys.RUN_ROOT: self._overrides.run_root}
        for key, option in zip(given, ("--graph", "--run"), strict=True):
            root = settings.string(key)
            if given[key]:
                settings = settings.with_part(option, {key: os.path.abspath(given[key])})
                continue
            if root and for_user and not self._is_own(settings.file(key)) and not self._is_usable(root):
                self.notes.append(f"{settings.place(key)}: {key}: {root} is not your directory; ignored")
                root = ""
            if root:
                settings = settings.with_values({key: os.path.abspath(root)})
            else:
                root, source = self._default(key, settings)
                settings = settings.with_part(source, {key: os.path.abspath(root)})
        return settings

    def _is_usable(self, root: str) -> bool:
        """Return whether the user can have a store in `root`, which need not exist yet."""
        path = root
        while not presence.can_be_seen(path) and path != os.path.dirname(path):
            path = os.path.dirname(path)
        if not presence.is_directory(path):
            return False
        writable = os.access(path, os.W_OK | os.X_OK, effective_ids=True)
        return writable or os.stat(path).st_uid == self._identity.seen_uid  # the file system may be read-only

    def _default(self, key: str, settings: FileSettings) -> tuple[str, str]:
        """Return the default root, and its source for messages."""
        if not self._identity.per_user:
            return plain_path(GRAPH_ROOT if key == keys.GRAPH_ROOT else RUN_ROOT), _DEFAULT
        if key == keys.RUN_ROOT:
            runtime = runtime_directory(self._environment, self._identity, self._places)
            return os.path.join(runtime, "containers"), _DEFAULT
        if path := settings.string(keys.ROOTLESS_PATH):
            return path, f"{keys.ROOTLESS_PATH} in {settings.place(keys.ROOTLESS_PATH)}"
        return plain_path(data_root(self._environment, self._identity)), _DEFAULT

    def _is_own(self, path: str) -> bool:
        """Return whether a file is the user's own, named by the environment, or only for this user."""
        system = (self._places.administrator_file, self._places.distribution_file)
        above = tuple(os.path.dirname(one) + "/" for one in system)
        if path == self._environment.override_file or not path.startswith(above):
            return True
        return os.path.basename(os.path.dirname(path)) == str(self._identity.uid)

    def _older(self) -> FileSettings:
        """Return the settings that tools up to 1.60 use on this machine."""
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


def _has_store(graph_root: str, driver: str) -> bool:
    """Return whether a store exists there, with `driver` if that is given."""
    present = drivers_with_records(graph_root)
    return driver in present if driver else bool(present)


def _require_stores(settings: FileSettings) -> None:
    """Check that a user's additional stores are stores, unless the user could create one there.

    Raises:
        ConfigError: a directory is not a store.
    """
    for path in settings.strings(keys.MORE_IMAGE_STORES):
        try:
            names = os.listdir(path)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
        else:
            if any(name.endswith(tuple(RECORDS)) for name in names) or os.access(path, os.W_OK, effective_ids=True):
                continue
            reason = "there is no store in it"
        key = keys.MORE_IMAGE_STORES
        hint = "correct the path, or remove it"
        raise errors.ConfigError(settings.file(key), f"{path}: {reason}", line=settings.line(key), key=key, hint=hint)
