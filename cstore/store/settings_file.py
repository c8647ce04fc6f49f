"""A configuration file is written: whole or not at all, and durable."""

from __future__ import annotations

import os
import stat

from cstore.errors import ConfigError, SystemFailure


def read_settings_text(path: str) -> str:
    """The text of the configuration file that is going to be changed; "" if the file does not exist.

    Raises:
        ConfigError: it is a link or no file at all, or cannot be read.
    """
    from cstore.config.parse import read_file

    if not os.path.lexists(path):
        return ""
    if os.path.islink(path) or not os.path.isfile(path):
        kind = "a symbolic link" if os.path.islink(path) else "not a regular file"
        raise ConfigError(path, f"is {kind}", hint="put a regular file there, or change it with an editor")
    return read_file(path).text


def write_settings_text(path: str, text: str) -> None:
    """Publish the text of a configuration file by rename; directories that are missing are made.

    Raises:
        SystemFailure: the old file is untouched.
    """
    from cstore.fs.atomic import write_file

    above = os.path.dirname(path)
    try:
        os.makedirs(above, 0o755, exist_ok=True)
        found = os.stat(path) if os.path.exists(path) else None
    except OSError as error:
        raise SystemFailure("make", above, error) from None
    write_file(path, text.encode(), mode=stat.S_IMODE(found.st_mode) if found else 0o644)
    if found and os.geteuid() == 0:
        os.chown(path, found.st_uid, found.st_gid)
