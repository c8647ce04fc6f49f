"""Driver options: the strings `DRIVER.key=value` made from a file, and the languages inside them (config spec, 5).

A driver gets only options that it knows. An unknown option in a file causes a warning, never a failure to open the
store.
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.config import keys
from cstore.config.keys import KEYS, OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cstore.config.options import FileSettings, StoreConfig

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SIZE = r"(\d+(?:\.\d*)?|\.\d+) ?(?:b|([kmgtp])(?:i?b)?)?"
_GENERIC = ("size", "mount_program", "skip_mount_home", "ignore_chown_errors", "force_mask", "mountopt")
_STORES = {keys.MORE_IMAGE_STORES: "imagestore", keys.MORE_LAYER_STORES: "additionallayerstore"}
_GENERAL = frozenset({*_GENERIC, *_STORES.values(), "use_composefs"})
_FOREIGN: dict[str, frozenset[str]] = {"aufs": frozenset({"mountopt"})}
"""Drivers of other tools, whose options cause no warnings."""
SYNC_WORDS = ("filesystem", "none")


def file_options(settings: FileSettings, driver: str) -> tuple[list[str], list[errors.ConfigError]]:
    """Make the option strings from what the files say, as the newest generation does.

    General keys come first, bare and each once; the tables of all drivers follow, `DRIVER.key=value`. A driver passes
    over what is another's.

    Returns:
        The options, and a remark for each general key that has no effect with `driver`.

    Raises:
        ConfigError: a value that the driver would refuse.
    """
    family = _family(driver)
    known = _accepted(family)
    options: list[str] = []
    remarks: dict[str, errors.ConfigError] = {}
    for owner, name, value, key in _written(settings):
        concerns = owner in {"", family} and known is not None
        if concerns and _takes(known, name) and (complaint := _complaint(name, value)):
            raise errors.ConfigError(settings.file(key), complaint, line=settings.line(key), key=key)
        if concerns and not _takes(known, name):
            reason = f"the {driver} driver has no such option, ignored"
            remarks.setdefault(key, errors.ConfigError(settings.file(key), reason, line=settings.line(key), key=key))
        options.append(f"{owner}.{name}={value}" if owner else f"{name}={value}")
    return options, list(remarks.values())


def _family(driver: str) -> str:
    """Return the canonical name of a driver."""
    from cstore.drivers.registry import reported_name

    return reported_name(driver)


def _accepted(driver: str) -> frozenset[str] | None:
    """Return the options that a driver accepts; None for an unknown driver, which checks them itself."""
    from cstore.drivers.registry import facts_of

    facts = facts_of(driver)
    return facts.options if facts else _FOREIGN.get(driver)


def _takes(known: frozenset[str] | None, name: str) -> bool:
    return known is None or name in known


def _own_keys(driver: str) -> Iterable[str]:
    """The keys of a driver's own table, in the order in which they become options."""
    from cstore.drivers.registry import facts_of

    facts = facts_of(driver)
    return facts.keys if facts else sorted(_FOREIGN.get(driver, ()))


def _written(settings: FileSettings) -> Iterator[tuple[str, str, str, str]]:
    """Driver, or "" for a general key, name, value and key in the file of every option, in order."""
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
    """Make the option strings of tools up to 1.60: only those of `driver`, general keys with its name, some twice.

    `prefix` is the driver's name as the file spells it, if that is different.
    """
    family = _family(driver)
    known = _accepted(family)
    return [
        f"{word}.{name}={value}"
        for name, value, _, word in _candidates(settings, family, prefix or driver)
        if name != "sync" and _takes(known, name)
    ]


def options_for(driver: str, options: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """The options that concern `driver`: name, value, and key as written. Later ones win.

    Options of other drivers are passed over, and so are general ones that this driver does not have.

    Raises:
        InvalidOption: one has no `=`, or a prefix that is no driver's.
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
    """Name, value, key in the file and prefix of each option that the file asks for, in order."""
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
    yield from _lost(settings, family, prefix)


def _lost(settings: FileSettings, family: str, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """A general key that only the driver's own list would have picked up, if the driver had it."""
    key = f"{OPTIONS}.use_composefs"
    known = _accepted(family)
    if known is not None and "use_composefs" not in known and (value := settings.string(key)):
        yield "use_composefs", value, key, prefix


def _general(settings: FileSettings, name: str) -> str:
    key = f"{OPTIONS}.{name}"
    if name == "force_mask":
        mask = settings.number(key)
        return f"{mask:o}" if mask else ""
    return settings.string(key)


def _complaint(name: str, value: str) -> str:
    """Why `value` will not do for the option `name`; "" if it will."""
    try:
        if name in {"skip_mount_home", "ignore_chown_errors", "use_composefs"}:
            parse_flag(value)
        elif name in {"size", "min_space"}:
            parse_size(value)
        elif name == "sync":
            parse_sync(value)
        elif name == "inodes":
            _parse_count(value)
        elif name == "force_mask":
            parse_mask(value)
    except ValueError as error:
        return str(error)
    return ""


def with_driver(config: StoreConfig, driver: str) -> StoreConfig:
    """The same configuration once the store has chosen `driver`: options are made for it, and warnings added.

    Raises:
        ConfigError: the file holds a value that this driver would refuse.
    """
    if driver == config.driver:
        return _told_of_composefs(config)
    choice = config.choice
    made: Sequence[str] = choice.replacement or ()
    remarks: list[errors.ConfigError] = []
    if choice.replacement is None:
        made, remarks = file_options(choice.settings, driver)
    warnings = tuple(sentence(remark) for remark in remarks)
    return _told_of_composefs(
        config.with_(driver=driver, driver_options=(*made, *choice.added), warnings=(*config.warnings, *warnings))
    )


def _told_of_composefs(config: StoreConfig) -> StoreConfig:
    """Let commands that change the store say that new layers are plain where composefs is asked for."""
    driver = _family(config.driver)
    if "use_composefs" not in "".join(config.driver_options) or "use_composefs" not in (_accepted(driver) or ()):
        return config
    said = [value for name, value, _ in options_for(driver, config.driver_options) if name == "use_composefs"]
    if not said or said[-1] not in _TRUE:
        return config
    warning = "use_composefs is ignored: cstore creates plain layers, which every tool can use"
    return config.with_(write_warnings=(*config.write_warnings, warning))


def sentence(remark: errors.ConfigError) -> str:
    """A remark as the user reads it."""
    return f"{remark.message}; {remark.hint}" if remark.hint else remark.message


def split_option(text: str) -> tuple[str, str]:
    """Split `key=value`; both are trimmed, the key in lower case.

    Raises:
        InvalidOption: there is no `=` in it.
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
    """The read-only image stores that driver options name, in order; later ones are searched later."""
    stores: list[str] = []
    for option in options:
        key, value = split_option(option)
        prefix, _, name = key.rpartition(".")
        if name in {"imagestore", "additionalimagestore"} and (not prefix or _family(prefix) == _family(driver)):
            stores += split_stores(value)
    return tuple(stores)


def without_stores(options: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """The driver options without additional stores that are one of the directories `own`, or that were named before.

    It is the directory that counts, not how it is spelled: a store that is looked into twice lists everything twice.
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
    """Split a list of stores at the commas before absolute paths: any other comma is part of a name."""
    stores: list[str] = []
    for part in filter(None, text.split(",")):
        if stores and not part.startswith("/"):
            stores[-1] += f",{part}"
        else:
            stores.append(part)
    return stores


def parse_flag(text: str) -> bool:
    """Read one of the words 1 t T TRUE true True 0 f F FALSE false False.

    Raises:
        ValueError: it is not one of them.
    """
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError(f'{text!r} is neither "true" nor "false"')


def parse_sync(text: str) -> None:
    """Check a value of `sync`. cstore makes every change durable by means of its own, whichever it is.

    Raises:
        ValueError: it is neither `filesystem` nor `none`.
    """
    if text not in SYNC_WORDS:
        raise ValueError(f'{text!r} is neither "filesystem" nor "none"')


def parse_size(text: str) -> int:
    """Read a size: a number, and possibly one of k m g t p (powers of 1024), then b or ib. Gives bytes.

    Raises:
        ValueError: it is nothing of the kind.
    """
    import re

    match = re.fullmatch(_SIZE, text, re.ASCII | re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 512M or 1.5g")
    power = "kmgtp".index(match[2].lower()) + 1 if match[2] else 0
    return int(float(match[1]) * 1024**power)


def parse_mask(text: str) -> int:
    """Read `shared`, `private` or octal digits.

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
    """Whether owners that cannot be set are let be; the last option of the driver that says so wins."""
    said = "false"
    for key, value in map(split_option, options):
        prefix, _, name = key.rpartition(".")
        if name == "ignore_chown_errors" and (not prefix or _family(prefix) == _family(driver)):
            said = value
    return parse_flag(said)
