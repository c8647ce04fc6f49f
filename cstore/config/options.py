"""The configuration of a store: immutable values with defaults, without behavior."""

from __future__ import annotations

from cstore.config.keys import Kind, kind_of
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from cstore.errors import ConfigError
    from cstore.idmap import IDMap

GRAPH_ROOT = "/var/lib/containers/storage"
RUN_ROOT = "/run/containers/storage"
AUTO_USERNS_USER = "containers"
AUTO_USERNS_MIN_SIZE = 1024
AUTO_USERNS_MAX_SIZE = 65536


class Appended(list[str]):
    """An array that extends the value of earlier files instead of replacing it."""


class FileSettings(Value):
    """The settings in one file, or in several merged ones: values as written, with checked types and no defaults.

    Attributes:
        source: the file's path, "" for no file.
        text: the file's text, for finding lines.
        values: dotted key in lower case → value, only for keys in the file.
        remarks: problems in the file that are not errors.
        parts: the merged files, in order; empty for a single file.
    """

    source: str = ""
    text: str = ""
    values: Mapping[str, Any] = {}
    remarks: tuple[ConfigError, ...] = ()
    parts: tuple[FileSettings, ...] = ()

    def string(self, key: str) -> str:
        """Return the value of a key that takes a string; "" if absent."""
        return str(self._value(key, Kind.TEXT, Kind.FLAG_WORD) or "")

    def strings(self, key: str) -> tuple[str, ...]:
        """Return the value of a key that takes an array of strings."""
        return tuple(self._value(key, Kind.TEXTS) or ())

    def flag(self, key: str, default: bool = False) -> bool:
        """Return the value of a key that takes true or false."""
        value = self._value(key, Kind.FLAG)
        return default if value is None else bool(value)

    def number(self, key: str) -> int:
        """Return the value of a key that takes an integer; 0 if absent."""
        return int(self._value(key, Kind.NUMBER) or 0)

    def table(self, key: str) -> dict[str, str] | None:
        """Return the value of a key that takes a table of strings."""
        value = self._value(key, Kind.TEXT_TABLE)
        return None if value is None else dict(value)

    def seconds(self, key: str) -> float | None:
        """Return the value of a key that takes a duration, in seconds; None if absent or infinite."""
        value = self._value(key, Kind.SECONDS)
        return None if value is None or value == float("inf") else float(value)

    def line(self, key: str) -> int:
        """Return the line number of `key`, 0 if unknown."""
        from cstore.config.lines import line_of

        return line_of(self._part(key).text, key)

    def file(self, key: str) -> str:
        """Return the file that `key` comes from: the last one that has it."""
        return self._part(key).source or self.source

    def _part(self, key: str) -> FileSettings:
        return next((part for part in reversed(self.parts) if key in part.values), self)

    def keep(self, keys: Collection[str]) -> FileSettings:
        """Return the same settings restricted to `keys`."""
        kept = {key: value for key, value in self.values.items() if key in keys}
        return FileSettings(self.source, self.text, kept, self.remarks, self.parts)

    def with_values(self, changes: Mapping[str, Any]) -> FileSettings:
        """Return the same settings with other values for some keys."""
        return FileSettings(self.source, self.text, {**self.values, **changes}, self.remarks, self.parts)

    def with_part(self, source: str, values: Mapping[str, Any]) -> FileSettings:
        """Return the same settings overlaid with `values` from `source`: an option, a variable, or a detected fact."""
        part = FileSettings(source, "", values)
        parts = (*(self.parts or (self,)), part)
        return FileSettings(self.source, self.text, {**self.values, **values}, self.remarks, parts)

    def place(self, key: str) -> str:
        """Return the file and line of a key, or the option or variable that sets it; "" if nothing does."""
        part = self._part(key)
        line = part.line(key) if key in part.values else 0
        return f"{part.source}, line {line}" if line else part.source

    def _value(self, key: str, *kinds: str) -> Any:
        if not (kind := kind_of(key)):
            raise KeyError(key)
        if kind not in kinds:
            raise TypeError(f"{key} takes {kind}")
        return self.values.get(key)


class Overrides(Value, kw_only=True):
    """Settings from the command line or the calling program. None, "" and () mean "not given".

    `lock_timeout` is in seconds; `float("inf")` waits forever, whatever the file says.
    """

    graph_root: str = ""
    run_root: str = ""
    image_store: str = ""
    driver: str = ""
    driver_options: tuple[str, ...] = ()
    transient_store: bool | None = None
    sync: bool | None = None
    lock_timeout: float | None = None
    config_file: str = ""


class DriverChoice(Value):
    """The sources of a configuration, kept to recreate driver options for the chosen driver, and to explain values.

    Attributes:
        settings: the merged settings of all files.
        replacement: driver options that replace those of the files, None if there are none.
        added: driver options that are appended.
        given: keys set by variables and command-line options, lowest precedence first.
    """

    settings: FileSettings = FileSettings()
    replacement: tuple[str, ...] | None = None
    added: tuple[str, ...] = ()
    given: tuple[FileSettings, ...] = ()


class PullOptions(Value):
    """The pull options that have an effect (config spec, 4.4); the table itself may contain others."""

    enable_partial_images: bool = False
    convert_images: bool = False
    use_hard_links: bool = False
    insecure_allow_unpredictable_image_contents: bool = False
    ostree_repos: tuple[str, ...] = ()


class StoreConfig(Value, kw_only=True):
    """The complete configuration of a store.

    Attributes:
        graph_root, run_root: absolute paths of the persistent and of the volatile data. Not created.
        image_store: absolute path of a separate image store, "" for none.
        rootless_storage_path: as in the file, expanded; already applied to `graph_root` if it has an effect.
        driver: "" if the store chooses one (config spec, 10); see `driver_options.with_driver`.
        driver_priority: drivers to try, in order, if `driver` is "".
        driver_options: `DRIVER.key=value`, in order; for single-valued keys the last one wins.
        root_auto_userns_user: as in the file; `userns_owner` is the effective one.
        userns_owner: the user whose subordinate IDs automatic user namespaces use.
        auto_userns_min_size, auto_userns_max_size: as in the file, 0 for the default; see `auto_userns_sizes`.
        id_map: the default map of containers and of new layers without a parent; None for none.
        pull_options: as in the file; `pulling` has those that have an effect.
        disable_volatile: never mount containers with the option `volatile`.
        transient_store: keep container records and volatile layers under the run root.
        sync: make every change durable before reporting success.
        lock_timeout: seconds to wait for a lock, None to wait forever.
        warnings: sentences for the user.
        write_warnings: the same, for commands that change the store.
        notes: decisions made silently, which `config --sources` and --debug show.
        source: the main file, "" for none.
        choice: the sources of `driver_options`.
        given: the options from the command line or the calling program, to be passed on to other tools.
        passed_over: ignored files and directories in configuration places, with reasons.
    """

    graph_root: str = ""
    run_root: str = ""
    image_store: str = ""
    rootless_storage_path: str = ""
    driver: str = ""
    driver_priority: tuple[str, ...] = ()
    driver_options: tuple[str, ...] = ()
    root_auto_userns_user: str = ""
    userns_owner: str = AUTO_USERNS_USER
    auto_userns_min_size: int = 0
    auto_userns_max_size: int = 0
    id_map: IDMap | None = None
    pull_options: Mapping[str, str] | None = None
    disable_volatile: bool = False
    transient_store: bool = False
    sync: bool = True
    lock_timeout: float | None = None
    warnings: tuple[str, ...] = ()
    write_warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""
    choice: DriverChoice = DriverChoice()
    given: Overrides = Overrides()
    passed_over: tuple[tuple[str, str], ...] = ()

    @property
    def auto_userns_sizes(self) -> tuple[int, int]:
        """The smallest and the largest automatic user namespace, in IDs."""
        return self.auto_userns_min_size or AUTO_USERNS_MIN_SIZE, self.auto_userns_max_size or AUTO_USERNS_MAX_SIZE

    @property
    def pulling(self) -> PullOptions:
        """The pull options that have an effect."""
        table = self.pull_options or {}
        flags = {
            name: table.get(name, "").lower() == "true" for name in PullOptions.field_names() if name != "ostree_repos"
        }
        return PullOptions(**flags, ostree_repos=tuple(filter(None, table.get("ostree_repos", "").split(":"))))
