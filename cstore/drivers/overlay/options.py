"""The options of the overlay driver, from configuration and command line (drivers 3.1)."""

from __future__ import annotations

import os

from cstore import errors, presence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    _T = TypeVar("_T")

NAME = "overlay"
_QUOTED_WORDS = r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+'


class Options:
    """The options of the overlay driver.

    Attributes:
        mount_options: options of mounts that do not request others.
        stores: additional image stores, in search order.
        program: the mount program; "" for the kernel.
        skip_mount_home: whether to leave the home's mount unchanged.
        force_mask: the mode of all files on disk; -1 if files have their own mode.
        quotas: which of `size` and `inodes` are set.
        layer_stores: additional layer stores, as configured; they are checked on use.
    """

    def __init__(self) -> None:
        self.mount_options: tuple[str, ...] = ()
        self.stores: list[str] = []
        self.program = ""
        self.skip_mount_home = False
        self.force_mask = -1
        self.quotas: tuple[str, ...] = ()
        self.layer_stores: tuple[str, ...] = ()


def read_options(options: Sequence[str]) -> Options:
    """Read the driver's options; later ones win.

    Raises:
        DriverError: overlay does not have an option, or a value is invalid.
    """
    result = Options()
    if not options:
        return result
    from cstore.config.driver_options import options_for, parse_flag, parse_mask, parse_size, parse_sync

    for name, value, key in options_for(NAME, options):
        if name == "mountopt":
            result.mount_options = split_options(value)
        elif name in {"imagestore", "additionalimagestore"}:
            result.stores += _stores(value)
        elif name == "additionallayerstore":
            result.layer_stores += tuple(filter(None, value.split(",")))
        elif name == "mount_program":
            if value and not presence.exists(value):
                raise errors.DriverError(
                    NAME,
                    f"there is no mount program {value}",
                    hint="install it, or remove mount_program from the configuration",
                    go_text=f'overlay: can\'t stat program "{value}"',
                )
            result.program = value
        elif name == "skip_mount_home":
            result.skip_mount_home = _parsed(name, value, parse_flag)
        elif name == "force_mask":
            result.force_mask = _parsed(name, value, parse_mask)
        elif name in {"size", "inodes"}:
            _parsed(name, value, parse_size if name == "size" else int)
            result.quotas = (*result.quotas, name)
        elif name == "sync":
            _parsed(name, value, parse_sync)  # cstore syncs every change itself, whatever the value
        elif name in {"ignore_chown_errors", "use_composefs"}:
            _parsed(name, value, parse_flag)  # the store obeys it for all drivers, or it does not affect cstore
        elif name != "override_kernel_check":  # has no effect
            raise errors.DriverError(NAME, f"it has no option {key!r}", go_text=f"overlay: unknown option {key}")
    return result


def split_options(text: str) -> tuple[str, ...]:
    """Split mount options at commas, except commas in quotes, as in a label."""
    if '"' in text:
        import re

        parts = re.findall(_QUOTED_WORDS, text)
    else:
        parts = text.split(",")
    return tuple(word for word in (part.strip() for part in parts) if word)


def flat_options(options: Iterable[str]) -> tuple[str, ...]:
    """Split a list of items that may contain several options each."""
    return tuple(word for option in options for word in split_options(option))


def _stores(value: str) -> list[str]:
    """Return the additional image stores in the value of an option, which must be directories."""
    from cstore.config.driver_options import split_stores

    stores = split_stores(value)
    for path in stores:
        if not os.path.isabs(path):
            raise errors.DriverError(
                NAME,
                f"the additional image store {path!r} is a relative path",
                hint="give an absolute path",
                go_text=f'overlay: image path "{path}" is not absolute.  Can not be relative',
            )
        if not presence.is_directory(path):
            raise errors.DriverError(
                NAME,
                f"the additional image store {path} is not a directory",
                hint="mount its disk, correct its path, or remove it from additionalimagestores",
                go_text=f"overlay: can't stat imageStore dir {path}",
            )
    return stores


def _parsed(name: str, value: str, parse: Callable[[str], _T]) -> _T:
    try:
        return parse(value)
    except ValueError as error:
        raise errors.DriverError(NAME, f"option {name}: {error}") from None
