"""Driver options: the strings `DRIVER.key=value` made from a file, and the languages inside them (config spec, 5).

A driver is given only what it knows. What a file asks for in vain is a warning, never a store that cannot be opened.
"""

from __future__ import annotations

import os

from cstore.config import keys
from cstore.config.keys import KEYS, OPTIONS
from cstore.errors import ConfigError, InvalidOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.config.options import FileSettings, StoreConfig

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_SIZE = r"(\d+(?:\.\d*)?|\.\d+) ?(?:b|([kmgtp])(?:i?b)?)?"
_GENERIC = ("size", "mount_program", "skip_mount_home", "ignore_chown_errors", "force_mask", "mountopt")
_STORES = {keys.MORE_IMAGE_STORES: "imagestore", keys.MORE_LAYER_STORES: "additionallayerstore"}
_OWN: dict[str, tuple[str, ...]] = {
    "overlay": (
        "ignore_chown_errors",
        "mount_program",
        "mountopt",
        "size",
        "inodes",
        "skip_mount_home",
        "force_mask",
        "use_composefs",
    ),
    "vfs": ("ignore_chown_errors",),
    "zfs": ("fsname", "mountopt", "size"),
    "btrfs": ("min_space", "size"),
    "aufs": ("mountopt",),
}
KNOWN: dict[str, frozenset[str]] = {
    "overlay": frozenset({*_GENERIC, *_STORES.values(), "additionalimagestore", "inodes", "use_composefs"}),
    "vfs": frozenset({"imagestore", "ignore_chown_errors"}),
    "btrfs": frozenset({"min_space"}),
    "zfs": frozenset({"fsname", "mountopt"}),
    "aufs": frozenset({"mountopt"}),
}
"""The options that each driver accepts; a driver that is not here is given everything and judges for itself."""


def file_options(settings: FileSettings, driver: str, prefix: str = "") -> tuple[list[str], list[ConfigError]]:
    """Make the option strings for `driver` from what a file says.

    General keys come first, in a fixed order; the driver's own table follows, where a key that the table does not have
    is filled with the general one again. `prefix` is the driver's name as the file spells it, if that is different.

    Returns:
        The options, and a remark for each key that has no effect with this driver.

    Raises:
        ConfigError: a value that the driver would refuse.
    """
    family = "overlay" if driver == "overlay2" else driver
    options: list[str] = []
    remarks: dict[str, ConfigError] = {}
    for name, value, key, word in _candidates(settings, family, prefix or driver):
        if family in KNOWN and name not in KNOWN[family]:
            reason = f"the {driver} driver has no such option, ignored"
            remarks.setdefault(key, ConfigError(settings.source, reason, line=settings.line(key), key=key))
            continue
        if complaint := _complaint(name, value):
            raise ConfigError(settings.source, complaint, line=settings.line(key), key=key)
        options.append(f"{word}.{name}={value}")
    return options, list(remarks.values())


def _candidates(settings: FileSettings, family: str, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Name, value, key in the file and prefix of each option that the file asks for, in order."""
    for key, name in _STORES.items():
        for value in settings.strings(key):
            yield name, value, key, prefix
    for name in _GENERIC:
        if value := _general(settings, name):
            yield name, value, f"{OPTIONS}.{name}", prefix
    for name in _OWN.get(family, ()):
        own, general = f"{OPTIONS}.{family}.{name}", f"{OPTIONS}.{name}"
        if own in KEYS and (value := settings.string(own)):
            yield name, value, own, family
            if name == "min_space":
                return
        elif general in KEYS and (value := _general(settings, name)):
            yield name, value, general, family
    yield from _lost(settings, family, prefix)


def _lost(settings: FileSettings, family: str, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """A general key that only the driver's own list would have picked up, if the driver had it."""
    key = f"{OPTIONS}.use_composefs"
    if family in KNOWN and family != "overlay" and (value := settings.string(key)):
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
        return config
    choice = config.choice
    made: Sequence[str] = choice.replacement or ()
    remarks: list[ConfigError] = []
    if choice.replacement is None:
        made, remarks = file_options(choice.settings, driver)
    warnings = tuple(sentence(remark) for remark in remarks)
    return config.with_(driver=driver, driver_options=(*made, *choice.added), warnings=(*config.warnings, *warnings))


def sentence(remark: ConfigError) -> str:
    """A remark as the user reads it."""
    return f"{remark.message}; {remark.hint}" if remark.hint else remark.message


def split_option(text: str) -> tuple[str, str]:
    """Split `key=value`; both are trimmed, the key in lower case.

    Raises:
        InvalidOption: there is no `=` in it.
    """
    key, equals, value = text.partition("=")
    if not equals:
        raise InvalidOption(
            f"the driver option {text!r} has no '='",
            hint="write it as key=value",
            peer=f"unable to parse key/value option: {text}",
        )
    return key.strip().lower(), value.strip()


def additional_image_stores(options: Sequence[str]) -> tuple[str, ...]:
    """The read-only image stores that driver options name, in order; later ones are searched later."""
    stores: list[str] = []
    for option in options:
        key, value = split_option(option)
        if key.rpartition(".")[2] in {"imagestore", "additionalimagestore"}:
            stores += [part for part in value.split(",") if part]
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
        for path in filter(None, value.split(",")):
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


def parse_flag(text: str) -> bool:
    """Read one of the words 1 t T TRUE true True 0 f F FALSE false False.

    Raises:
        ValueError: it is none of them.
    """
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError(f'{text!r} is neither "true" nor "false"')


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
        ValueError: it is none of them.
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
