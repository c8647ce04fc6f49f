"""Merging of files, environment and options: options override the environment, and the environment overrides files."""

from __future__ import annotations

import os

from cstore import errors
from cstore.config import keys
from cstore.config.driver_options import file_options
from cstore.config.options import DriverChoice, FileSettings, StoreConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.config.environment import Environment
    from cstore.config.options import Overrides
    from cstore.idmap import IDMap


def merge(
    settings: FileSettings, overrides: Overrides, environment: Environment, userns_owner: str
) -> tuple[StoreConfig, list[errors.ConfigError]]:
    """Merge the sources field by field. The roots in `settings` are final already.

    Returns:
        The configuration, without warnings, and remarks about unusual settings.

    Raises:
        ConfigError: the sources contradict each other, or a driver option is invalid.
    """
    driver, spelled, remarks = _driver(settings, overrides, environment)
    options, choice, ignored = _driver_options(settings, overrides, environment, (driver, spelled))
    image_store, ambiguous = _image_store(settings, overrides)
    lock_timeout = settings.seconds(keys.LOCK_TIMEOUT) if overrides.lock_timeout is None else overrides.lock_timeout
    config = StoreConfig(
        graph_root=settings.string(keys.GRAPH_ROOT),
        run_root=settings.string(keys.RUN_ROOT),
        image_store=image_store,
        rootless_storage_path=settings.string(keys.ROOTLESS_PATH),
        driver=driver,
        driver_priority=settings.strings(keys.DRIVER_PRIORITY),
        driver_options=options,
        root_auto_userns_user=settings.string(keys.AUTO_USER),
        userns_owner=userns_owner,
        auto_userns_min_size=settings.number(keys.AUTO_MIN_SIZE),
        auto_userns_max_size=settings.number(keys.AUTO_MAX_SIZE),
        id_map=_id_map(settings),
        pull_options=settings.table(keys.PULL_OPTIONS),
        disable_volatile=settings.flag(keys.DISABLE_VOLATILE),
        transient_store=_first(overrides.transient_store, settings.flag(keys.TRANSIENT_STORE)),
        sync=_first(overrides.sync, settings.flag(keys.SYNC, default=True)),
        lock_timeout=None if lock_timeout == float("inf") else lock_timeout,
        source=settings.source,
        choice=choice,
    )
    return config, [*remarks, *ignored, *ambiguous]


def _driver(
    settings: FileSettings, overrides: Overrides, environment: Environment
) -> tuple[str, str, list[errors.ConfigError]]:
    """Return the driver, its name as spelled in the source, and remarks.

    An old name of a driver in a file or in the environment means that driver. In the option, it is taken literally: it
    selects the home of that name.
    """
    from cstore.drivers.registry import reported_name

    if overrides.driver:
        return overrides.driver, overrides.driver, []
    spelled = environment.driver or settings.string(keys.DRIVER)
    source, line, key = settings.file(keys.DRIVER), 0, keys.DRIVER
    if environment.driver:
        source, key = "STORAGE_DRIVER", ""
    own = reported_name(spelled)
    if own != spelled:
        if not environment.driver:
            line = settings.line(keys.DRIVER)
        remark = errors.ConfigError(source, f"{spelled} is called {own} now; {own} is used", line=line, key=key)
        return own, spelled, [remark]
    return spelled, spelled, []


def _driver_options(
    settings: FileSettings, overrides: Overrides, environment: Environment, driver: tuple[str, str]
) -> tuple[tuple[str, ...], DriverChoice, list[errors.ConfigError]]:
    """Return the file's options, or those of STORAGE_OPTS instead, followed by those of the command line."""
    replacement = None
    if environment.driver_options is not None:
        replacement = tuple(environment.driver_options.split(",")) if environment.driver_options else ()
    given = _given(overrides, environment)
    choice = DriverChoice(settings=settings, replacement=replacement, added=overrides.driver_options, given=given)
    if replacement is not None:
        return (*replacement, *choice.added), choice, []
    made, ignored = file_options(settings, driver[0])
    return (*made, *choice.added), choice, ignored


def _given(overrides: Overrides, environment: Environment) -> tuple[FileSettings, ...]:
    """Return the keys that variables and options set; the roots are in the settings already."""
    said: tuple[tuple[str, str, object], ...] = (
        ("STORAGE_DRIVER", keys.DRIVER, environment.driver or None),
        ("--storage-driver", keys.DRIVER, overrides.driver or None),
        ("--image-store", keys.IMAGE_STORE, overrides.image_store or None),
        ("--transient-store", keys.TRANSIENT_STORE, overrides.transient_store),
        ("--no-sync", keys.SYNC, overrides.sync),
        ("--lock-timeout", keys.LOCK_TIMEOUT, overrides.lock_timeout),
    )
    return tuple(FileSettings(source, "", {key: value}) for source, key, value in said if value is not None)


def _image_store(settings: FileSettings, overrides: Overrides) -> tuple[str, list[errors.ConfigError]]:
    """Return the separate image store, which two keys can name.

    Raises:
        ConfigError: it is the graph root, so a command would wait for a lock that it holds itself.
    """
    top, low = settings.string(keys.IMAGE_STORE), settings.string(keys.OPTIONS_IMAGE_STORE)
    key = keys.IMAGE_STORE if top else keys.OPTIONS_IMAGE_STORE
    store = os.path.abspath(overrides.image_store) if overrides.image_store else top or low
    graph_root = settings.string(keys.GRAPH_ROOT)
    if store and graph_root and os.path.realpath(store) == os.path.realpath(graph_root):
        reason = f"the image store must be another directory than the graph root, {graph_root}"
        hint = "leave it out, or give it a directory of its own"
        if overrides.image_store:
            raise errors.ConfigError("--image-store", reason, hint=hint)
        raise errors.ConfigError(settings.file(key), reason, line=settings.line(key), key=key, hint=hint)
    if not (top and low) or top == low:
        return store, []
    key = keys.OPTIONS_IMAGE_STORE
    reason = f"ignored, because {keys.IMAGE_STORE} names another directory"
    return store, [errors.ConfigError(settings.file(key), reason, line=settings.line(key), key=key)]


def _id_map(settings: FileSettings) -> IDMap | None:
    """Return the store's default ID map: the subordinate ranges of a user and a group, and explicit ranges.

    Raises:
        ConfigError: a map is invalid, or the user or group has no subordinate IDs.
    """
    user, group, uids, gids = (
        settings.string(key) for key in (keys.REMAP_USER, keys.REMAP_GROUP, keys.REMAP_UIDS, keys.REMAP_GIDS)
    )
    if not (user or group or uids or gids):
        return None
    from cstore.config.subids import sub_id_map
    from cstore.errors import InvalidIDMap
    from cstore.idmap import IDMap, check_possible, parse_ranges

    key = keys.REMAP_USER if user else keys.REMAP_GROUP
    try:
        granted = sub_id_map(user, group) if user or group else IDMap()
        key = keys.REMAP_UIDS
        whole = IDMap((*granted.uids, *parse_ranges(uids, "remap-uids")), granted.gids)
        check_possible(whole)
        key = keys.REMAP_GIDS
        whole = IDMap(whole.uids, (*granted.gids, *parse_ranges(gids, "remap-gids")))
        check_possible(whole)
    except InvalidIDMap as error:
        raise errors.ConfigError(
            settings.file(key), error.message, line=settings.line(key), key=key, hint=error.hint
        ) from None
    return whole


def _first(flag: bool | None, setting: bool) -> bool:
    return setting if flag is None else flag
