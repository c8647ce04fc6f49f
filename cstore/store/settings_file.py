"""Read and write a configuration file; writing is atomic and durable."""

from __future__ import annotations

import os
import stat

from cstore import presence
from cstore.errors import ConfigError, SystemFailure


def read_settings_text(path: str) -> str:
    """Return the text of a configuration file before a change; "" if there is none.

    Raises:
        ConfigError: it is a link or not a regular file, or cannot be read.
    """
    from cstore.config.parse import read_file

    if not presence.is_there(path):
        return ""
    if presence.is_link(path) or not presence.is_file(path):
        kind = "a symbolic link" if presence.is_link(path) else "not a regular file"
        raise ConfigError(path, f"is {kind}", hint="put a regular file there, or change it with an editor")
    return read_file(path).text


def write_settings_text(path: str, text: str) -> None:
    """Replace a configuration file by a rename; create missing directories.

    Raises:
        SystemFailure: it could not be written; the old file is unchanged.
    """
    from cstore.fs.atomic import write_file

    above = os.path.dirname(path)
    try:
        os.makedirs(above, 0o755, exist_ok=True)
        found = os.stat(path) if presence.exists(path) else None
    except OSError as error:
        raise SystemFailure("create", above, error) from None
    write_file(path, text.encode(), mode=stat.S_IMODE(found.st_mode) if found else 0o644)
    if found and os.geteuid() == 0:
        os.chown(path, found.st_uid, found.st_gid)
