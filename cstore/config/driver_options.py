"""Driver options: strings `DRIVER.key=value` created from a file, and the parsers of their values (config spec, 5).

A driver receives only options that it has. An unknown setting is a warning, so that the store still opens.
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.config import keys
from cstore.config.keys import KEYS, OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from cstore.config.options import FileSettings, StoreConfig

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SIZE = r"(\d+(?:\.\d*)?|\.\d+) ?(?:b|([kmgtp])(?:i?b)?)?"
_GENERIC = ("size", "mount_program", "skip_mount_home", "ignore_chown_errors", "force_mask", "mountopt")
_STORES = {keys.MORE_IMAGE_STORES: "imagestore", keys.MORE_LAYER_STORES: "additionallayerstore"}
_GENERAL = frozenset({*_GENERIC, *_STORES.values(), "use_composefs"})
_FOREIGN: dict[str, frozenset[str]] = {"aufs": frozenset({"mountopt"})}
"""Drivers of other tools, past or present, whose options cause no warning."""
SYNC_WORDS = ("filesystem", "none")


def file_options(settings: FileSettings, driver: str) -> tuple[list[str], list[errors.ConfigError]]:
    """Create the option strings for the settings in files, as the newest generation does.

    General keys come first, once and without a prefix; the tables of all drivers follow as `DRIVER.key=value`. A driver
    ignores the options of others.

    Returns:
        The options, and a remark for each general key that has no effect with `driver`.

    Raises:
        ConfigError: the driver does not accept a value.
    """
    family = _family(driver)
    known = _accepted(family)
    options: list[str] = []
    remarks: dict[str, errors.ConfigError] = {}
    for owner, name, value, key in _written(settings):
        if known is not None and owner in {"", family}:
            if name not in known:
                reason = f"the {driver} driver has no such option, ignored"
                remark = errors.ConfigError(settings.file(key), reason, line=settings.line(key), key=key)
                remarks.setdefault(key, remark)
            elif name in _PARSERS:
                try:
                    _PARSERS[name](value)
                except ValueError as error:
                    raise errors.ConfigError(settings.file(key), str(error), line=settings.line(key), key=key) from None
        options.append(f"{owner}.{name}={value}" if owner else f"{name}={value}")
    return options, list(remarks.values())


def _family(driver: str) -> str:
    """Return the canonical name of a driver from any of its names."""
    from cstore.drivers.registry import reported_name

    return reported_name(driver)


def _accepted(driver: str) -> frozenset[str] | None:
    """Return the options that a driver accepts; None for an unknown driver, which must validate its own."""
    from cstore.drivers.registry import facts_of

    facts = facts_of(driver)
    return facts.options if facts else _FOREIGN.get(driver)


def _own_keys(driver: str) -> Iterable[str]:
    """Return the keys of a driver's own table, in the order in which they become options."""
    from cstore.drivers.registry import facts_of

    facts = facts_of(driver)
    return facts.keys if facts else sorted(_FOREIGN.get(driver, ()))


def _written(settings: FileSettings) -> Iterator[tuple[str, str, str, str]]:
    """Yield (driver or "" for a general key, option name, value, key in the file) for every option, in order."""
    for key, name in _STORES.items():
        for value in settings.strings(key):
            yield "", name, value, key
    for name in (*_GENERIC, "use_composefs"):
        if value := _general(settings, name):
            yield "", name, value, f"{OPTIONS}.{name}"
    written = {key.split(".")[2] for key in settings.values if key.startswith(f"{OPTIONS}.") and key.count(".") == 3}
    for driver in sorted(written - {*_FOREIGN}):
        for name in _own_keys(driver):
            own = f"{OPTIONS}.{driver}.{name}"
            if value := settings.string(own):
                yield driver, name, value, own


def older_options(settings: FileSettings, driver: str, prefix: str = "") -> list[str]:
    """Create the option strings of tools up to 1.60: only those for `driver`, general keys with its name, some twice.

    `prefix` is the driver's name as the file spells it, if different.
    """
    family = _family(driver)
    known = _accepted(family)
    return [
        f"{word}.{name}={value}"
        for name, value, _, word in _candidates(settings, family, prefix or driver)
        if name != "sync" and (known is None or name in known)
    ]


def options_for(driver: str, options: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the options that concern `driver`: name, value, and key as written. Later ones win.

    Options of other drivers are skipped, and so are general ones that this driver does not have.

    Raises:
        InvalidOption: an option has no `=`, or a prefix that is not a driver's name.
    """
    known, own = _accepted(driver) or frozenset(), {*_own_keys(driver)}
    for key, value in map(split_option, options):
        prefix, _, name = key.rpartition(".")
        if prefix in {"", driver} or _family(prefix) == driver:
            if name in known or not (name in own or (name in _GENERAL and not prefix)):
                yield name, value, key
        elif _accepted(_family(prefix)) is None:
            from cstore.drivers.registry import DRIVERS

            raise errors.InvalidOption(
                f"the driver option {key!r} does not begin with the name of a driver",
                hint=f"known are {', '.join(sorted({*DRIVERS, *_FOREIGN}))}; see cstore-storage.conf(5)",
                go_text=f"{driver}: unknown option {key}",
            )


def _candidates(settings: FileSettings, family: str, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, value, key in the file and prefix of each option that the file sets, in order."""
    for key, name in _STORES.items():
        for value in settings.strings(key):
            yield name, value, key, prefix
    for name in _GENERIC:
        if value := _general(settings, name):
            yield name, value, f"{OPTIONS}.{name}", prefix
    for name in _own_keys(family):
        own, general = f"{OPTIONS}.{family}.{name}", f"{OPTIONS}.{name}"
        if value := settings.string(own):
            yield name, value, own, family
            if name == "min_space":
                return
        elif general in KEYS and (value := _general(settings, name)):
            yield name, value, general, family
    # A general key that only the driver's own list of options would contain, if the driver had the option.
    key, known = f"{OPTIONS}.use_composefs", _accepted(family)
    if known is not None and "use_composefs" not in known and (value := settings.string(key)):
        yield "use_composefs", value, key, prefix


def _general(settings: FileSettings, name: str) -> str:
    key = f"{OPTIONS}.{name}"
    if name == "force_mask":
        mask = settings.number(key)
        return f"{mask:o}" if mask else ""
    return settings.string(key)


def with_driver(config: StoreConfig, driver: str) -> StoreConfig:
    """Return the configuration for the `driver` that the store has chosen, with its options and warnings.

    Raises:
        ConfigError: the file has a value that this driver does not accept.
    """
    if driver == config.driver:
        return _with_composefs_warning(config)
    choice = config.choice
    made: Sequence[str] = choice.replacement or ()
    remarks: list[errors.ConfigError] = []
    if choice.replacement is None:
        made, remarks = file_options(choice.settings, driver)
    warnings = tuple(sentence(remark) for remark in remarks)
    return _with_composefs_warning(
        config.with_(driver=driver, driver_options=(*made, *choice.added), warnings=(*config.warnings, *warnings))
    )


def _with_composefs_warning(config: StoreConfig) -> StoreConfig:
    """Add a warning for commands that change the store if composefs is requested: new layers are plain."""
    driver = _family(config.driver)
    if "use_composefs" not in "".join(config.driver_options) or "use_composefs" not in (_accepted(driver) or ()):
        return config
    said = [value for name, value, _ in options_for(driver, config.driver_options) if name == "use_composefs"]
    if not said or said[-1] not in _TRUE:
        return config
    warning = "use_composefs is ignored: cstore creates plain layers, which every tool can use"
    return config.with_(write_warnings=(*config.write_warnings, warning))


def sentence(remark: errors.ConfigError) -> str:
    """Format a remark for the user."""
    return f"{remark.message}; {remark.hint}" if remark.hint else remark.message


def split_option(text: str) -> tuple[str, str]:
    """Split `key=value`; both are trimmed, and the key is lowercased.

    Raises:
        InvalidOption: it contains no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise errors.InvalidOption(
            f"the driver option {text!r} has no '='",
            hint="write it as key=value",
            go_text=f"unable to parse key/value option: {text}",
        )
    return key.strip().lower(), value.strip()


def additional_image_stores(options: Sequence[str], driver: str) -> tuple[str, ...]:
    """Return the read-only image stores that driver options name, in search order."""
    stores: list[str] = []
    for option in options:
        key, value = split_option(option)
        prefix, _, name = key.rpartition(".")
        if name in {"imagestore", "additionalimagestore"} and (not prefix or _family(prefix) == _family(driver)):
            stores += split_stores(value)
    return tuple(stores)


def without_stores(options: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """Remove additional stores that are one of the directories `own`, or that occur twice, from driver options.

    Directories are compared, not spellings: a store that is searched twice would list everything twice.
    """
    seen = [status for path in own if path and (status := _status(path)) is not None]
    kept: list[str] = []
    for option in options:
        key, value = split_option(option)
        if key.rpartition(".")[2] not in {"imagestore", "additionalimagestore"}:
            kept.append(option)
            continue
        stores = []
        for path in split_stores(value):
            status = _status(path)
            if status is None or not any(os.path.samestat(status, each) for each in seen):
                stores.append(path)
            seen += [status] if status is not None else []
        if stores:
            kept.append(f"{key}={','.join(stores)}")
    return tuple(kept)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def split_stores(text: str) -> list[str]:
    """Split a list of stores at the commas before absolute paths; any other comma is part of a name."""
    stores: list[str] = []
    for part in filter(None, text.split(",")):
        if stores and not part.startswith("/"):
            stores[-1] += f",{part}"
        else:
            stores.append(part)
    return stores


def parse_flag(text: str) -> bool:
    """Parse one of the words 1 t T TRUE true True 0 f F FALSE false False.

    Raises:
        ValueError: it is not one of them.
    """
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError(f'{text!r} is neither "true" nor "false"')


def parse_sync(text: str) -> None:
    """Validate a value of `sync`. It has no other effect: cstore makes every change durable itself.

    Raises:
        ValueError: it is neither `filesystem` nor `none`.
    """
    if text not in SYNC_WORDS:
        raise ValueError(f'{text!r} is neither "filesystem" nor "none"')


def parse_size(text: str) -> int:
    """Parse a size: a number, optionally followed by k, m, g, t or p (powers of 1024), then b or ib. Returns bytes.

    Raises:
        ValueError: it is not a size.
    """
    import re

    match = re.fullmatch(_SIZE, text, re.ASCII | re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 512M or 1.5g")
    power = "kmgtp".index(match[2].lower()) + 1 if match[2] else 0
    return int(float(match[1]) * 1024**power)


def parse_mask(text: str) -> int:
    """Parse `shared`, `private` or octal digits.

    Raises:
        ValueError: it is not one of them.
    """
    import re

    named = {"shared": 0o755, "private": 0o700}
    if text in named:
        return named[text]
    if re.fullmatch(r"[0-7]{1,11}", text, re.ASCII):
        return int(text, 8)
    raise ValueError(f'{text!r} is neither "shared", "private" nor an octal mode such as 755')


def _parse_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 1 << 64):
        raise ValueError(f"{text!r} is not a number from 0 to {(1 << 64) - 1}")
    return int(text)


def ignores_owners(options: Iterable[str], driver: str) -> bool:
    """Return whether failures to set owners are ignored; the last such option of the driver wins."""
    said = "false"
    for key, value in map(split_option, options):
        prefix, _, name = key.rpartition(".")
        if name == "ignore_chown_errors" and (not prefix or _family(prefix) == _family(driver)):
            said = value
    return parse_flag(said)


_PARSERS: Mapping[str, Callable[[str], object]] = {
    "skip_mount_home": parse_flag,
    "ignore_chown_errors": parse_flag,
    "use_composefs": parse_flag,
    "size": parse_size,
    "min_space": parse_size,
    "sync": parse_sync,
    "inodes": _parse_count,
    "force_mask": parse_mask,
}
"""The parsers of options whose values are checked."""
