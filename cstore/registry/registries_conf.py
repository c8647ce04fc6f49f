"""registries.conf: the registry that a name leads to, its mirrors, and its restrictions.

Reads both versions of the format, and drop-ins after the main file: a table replaces one with the same prefix, an alias
one with the same name, and a list or string the previous value.
"""

from __future__ import annotations

import os

from cstore.config.parse import read_named
from cstore.errors import ConfigError
from cstore.registry.errors import RegistryBlocked
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from cstore.oci.names import ImageName

MODES = ("enforcing", "permissive", "disabled")
AUTH_FILES = "containers-auth.json"
"""The name of credential files in `credential-helpers`."""
_LARGEST = 8 << 20
_MIRROR_USES = ("all", "digest-only", "tag-only")


class Mirror(Value):
    """An alternative location for names with a prefix. `use`: all, digest-only or tag-only."""

    location: str
    insecure: bool = False
    use: str = "all"


class RegistryTable(Value):
    """A table `[[registry]]`: rules for names that begin with `prefix`."""

    prefix: str
    location: str = ""
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()
    source: str = ""

    def length_in(self, text: str) -> int:
        """Return how many characters of a name the prefix matches; -1 if it does not match."""
        if self.prefix.startswith("*."):
            host = text.partition("/")[0].partition("@")[0]
            length = len(host.partition(":")[0]) if "/" in text else len(host)
            name = host[:length]
            return length if name.endswith(self.prefix[1:]) and len(name) >= len(self.prefix) else -1
        length = len(self.prefix)
        return length if text.startswith(self.prefix) and text[length : length + 1] in {"", "/", ":", "@"} else -1


class Location(Value):
    """A place of an image: a registry, the repository's path there, and whether TLS may be missing or unverified."""

    registry: str
    repository: str
    insecure: bool = False


class RegistriesConfig(Value):
    """The merged contents of registries.conf and its drop-ins.

    Attributes:
        search: the registries in which to look for a short name.
        mode: how to treat an ambiguous short name: enforcing, permissive or disabled.
        aliases: the full repository names of short names.
        helpers: where to look for credentials, in order: programs, and `AUTH_FILES`.
        tables: one for each prefix.
        files: the files that were read.
    """

    search: tuple[str, ...] = ()
    mode: str = "permissive"
    aliases: Mapping[str, str] = {}
    helpers: tuple[str, ...] = (AUTH_FILES,)
    tables: tuple[RegistryTable, ...] = ()
    files: tuple[str, ...] = ()

    def table_for(self, name: str) -> RegistryTable | None:
        """Return the table with the longest prefix that matches a name."""
        found = (table for table in self.tables if table.length_in(name) >= 0)
        return max(found, key=lambda table: len(table.prefix), default=None)

    def locations(self, name: ImageName, *, writing: bool = False) -> list[Location]:
        """Return the locations of an image in search order: mirrors, then the registry. For writing, only the registry.

        Raises:
            RegistryBlocked: the registry is blocked.
            ConfigError: a location is not a valid name.
        """
        text = str(name)
        table = self.table_for(text)
        if table is None:
            return [Location(name.domain, name.path)]
        if table.blocked:
            hint = f"see {table.source}" if table.source else ""
            raise RegistryBlocked(name.domain, f"the configuration blocks {table.prefix}", hint=hint)
        if writing:  # mirrors and other locations are for reading only, as in the Go library
            return [Location(name.domain, name.path, table.insecure)]
        found = [
            self._rewritten(name, table, mirror.location, insecure=mirror.insecure)
            for mirror in table.mirrors
            if mirror.use == "all" or (mirror.use == "digest-only") == bool(name.digest)
        ]
        return [*found, self._rewritten(name, table, table.location, insecure=table.insecure)]

    def _rewritten(self, name: ImageName, table: RegistryTable, location: str, *, insecure: bool) -> Location:
        """Return the name with its prefix replaced."""
        from cstore.errors import InvalidName
        from cstore.oci.names import parse_name

        repository = name.repository
        length = min(table.length_in(str(name)), len(repository))
        text = f"{location}{repository[length:]}" if location else repository
        try:
            parsed = parse_name(text)
        except InvalidName as error:
            raise ConfigError(table.source, f"{text!r} is not a valid repository name: {error.reason}") from None
        return Location(parsed.domain, parsed.path, insecure)


def read_registries(files: Iterable[str]) -> RegistriesConfig:
    """Read registries.conf and its drop-ins, in that order; missing files are skipped.

    Raises:
        ConfigError: one of them is invalid.
    """
    config = RegistriesConfig()
    for path in files:
        document = read_toml(path)
        if document is not None:
            config = _merged(config, document, path)
    return config


def read_toml(path: str) -> dict[str, Any] | None:
    """Read a TOML file; None if it does not exist.

    Raises:
        ConfigError: it cannot be read, or is not TOML.
    """
    import tomllib

    try:
        return tomllib.loads(read_named(path, _LARGEST).decode())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {os.strerror(error.errno or 0)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, f"not valid TOML: {error}") from None


def _merged(config: RegistriesConfig, document: dict[str, Any], path: str) -> RegistriesConfig:
    reader = _Reader(path)
    changes: dict[str, Any] = {"files": (*config.files, path)}
    tables = {table.prefix: table for table in config.tables}
    if "registries" in document:
        if "registry" in document or "unqualified-search-registries" in document:
            raise ConfigError(path, "the file mixes both versions of the format", hint="use [[registry]] tables alone")
        found, changes["search"] = reader.first_version(document["registries"])
    else:
        found = [reader.table(one) for one in reader.dicts(document, "registry")]
        if "unqualified-search-registries" in document:
            changes["search"] = tuple(reader.texts(document, "unqualified-search-registries"))
    places: dict[str, RegistryTable] = {}
    for table in found:
        before = places.setdefault(table.location or table.prefix, table)
        for key in ("insecure", "blocked"):
            if getattr(before, key) != getattr(table, key):  # the Go library refuses this, too
                reason = f"conflicting values for the location {table.location!r}"
                raise ConfigError(path, reason, key=key)
    tables.update((table.prefix, table) for table in found)
    changes["tables"] = tuple(tables.values())
    if mode := reader.text(document, "short-name-mode"):
        if mode not in MODES:
            raise ConfigError(path, f"{mode!r} is not one of {', '.join(MODES)}", key="short-name-mode")
        changes["mode"] = mode
    if "credential-helpers" in document:
        changes["helpers"] = tuple(reader.texts(document, "credential-helpers")) or (AUTH_FILES,)
    changes["aliases"] = merge_aliases(config.aliases, document.get("aliases", {}), path)
    return config.with_(**changes)


def merge_aliases(before: Mapping[str, str], found: object, path: str) -> dict[str, str]:
    """Merge aliases; an empty one removes an earlier one.

    Raises:
        ConfigError: an alias is invalid.
    """
    if not isinstance(found, dict):
        raise ConfigError(path, "must be a table", key="aliases")
    merged = dict(before)
    for name, value in found.items():
        if not isinstance(value, str):
            raise ConfigError(path, f"the alias {name!r} must be a string", key="aliases")
        if value:
            merged[name] = value
        else:
            merged.pop(name, None)
    return merged


class _Reader:
    """Reads the values of one file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def table(self, found: dict[str, Any]) -> RegistryTable:
        """Read a table `[[registry]]`."""
        location = self.place(found, "location")
        prefix = self.place(found, "prefix") or location
        if not prefix:
            raise ConfigError(self._path, "a [[registry]] needs a prefix or a location")
        if "*" in prefix and (not prefix.startswith("*.") or "*" in prefix[1:] or "/" in prefix or ":" in prefix):
            reason = f"{prefix!r}: a wildcard is only allowed at the beginning, as in *.example.com"
            raise ConfigError(self._path, reason, key="prefix")
        if not location and not prefix.startswith("*."):
            location = prefix
        digest_only = self.flag(found, "mirror-by-digest-only")
        mirrors = tuple(self.mirror(one, digest_only=digest_only) for one in self.dicts(found, "mirror"))
        insecure, blocked = self.flag(found, "insecure"), self.flag(found, "blocked")
        return RegistryTable(prefix, location, insecure, blocked, mirrors, self._path)

    def mirror(self, found: dict[str, Any], *, digest_only: bool) -> Mirror:
        """Read a table `[[registry.mirror]]`."""
        location, use = self.place(found, "location"), self.text(found, "pull-from-mirror")
        if not location:
            raise ConfigError(self._path, "a mirror needs a location", key="mirror")
        if use and digest_only:
            reason = "cannot be combined with mirror-by-digest-only"
            raise ConfigError(self._path, reason, key="pull-from-mirror")
        if use and use not in _MIRROR_USES:
            raise ConfigError(self._path, f"{use!r} is not one of {', '.join(_MIRROR_USES)}", key="pull-from-mirror")
        return Mirror(location, self.flag(found, "insecure"), use or ("digest-only" if digest_only else "all"))

    def first_version(self, found: object) -> tuple[list[RegistryTable], tuple[str, ...]]:
        """Read the three lists of the older format."""
        if not isinstance(found, dict):
            raise ConfigError(self._path, "must be a table", key="registries")
        lists = {}
        for name in ("search", "insecure", "block"):
            part = found.get(name, {})
            if not isinstance(part, dict):
                raise ConfigError(self._path, "must be a table", key=f"registries.{name}")
            lists[name] = [one.rstrip("/") for one in self.texts(part, "registries")]
        tables = [
            RegistryTable(one, one, one in lists["insecure"], one in lists["block"], (), self._path)
            for one in dict.fromkeys([*lists["insecure"], *lists["block"]])
        ]
        return tables, tuple(lists["search"])

    def place(self, found: dict[str, Any], key: str) -> str:
        """Read a prefix or location."""
        value = self.text(found, key).rstrip("/")
        if "://" in value:
            raise ConfigError(self._path, f"{value!r}: remove the scheme", key=key)
        return value

    def text(self, found: dict[str, Any], key: str) -> str:
        value = found.get(key, "")
        if not isinstance(value, str):
            raise ConfigError(self._path, f"{value!r} must be a string", key=key)
        return value

    def flag(self, found: dict[str, Any], key: str) -> bool:
        value = found.get(key, False)
        if not isinstance(value, bool):
            raise ConfigError(self._path, f"{value!r} must be true or false", key=key)
        return value

    def texts(self, found: dict[str, Any], key: str) -> list[str]:
        value = found.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ConfigError(self._path, "must be a list of strings", key=key)
        return value

    def dicts(self, found: dict[str, Any], key: str) -> list[dict[str, Any]]:
        value = found.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise ConfigError(self._path, "must be an array of tables", key=key)
        return value
