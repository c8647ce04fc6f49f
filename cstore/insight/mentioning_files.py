"""Files of services and engines that name a path: systemd's units, Quadlet's, configurations, Podman's databases."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress

from cstore import presence
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_LARGEST = 1 << 20
"""Bytes of a file that a person has written."""
_LARGEST_DATABASE = 256 << 20
_PIECE = 1 << 20
_DEEPEST = 4
"""Directories below one that is looked through: `multi-user.target.wants`, `name.container.d`."""

_RELOAD = "edit it, then run: systemctl daemon-reload"
_RELOAD_OWN = "edit it, then run: systemctl --user daemon-reload"
_EDIT = "edit it by hand"


class NamingLine(Value):
    """A line of a file that names a path: `where` is the file and the line's number, `kind` what reads the file."""

    kind: str
    where: str
    line: str
    remedy: str


class _Place(Value):
    """A file or directory that may name a store: what reads it, and what to do about it."""

    kind: str
    path: str
    remedy: str


_OF_SYSTEM = (
    *(
        _Place("unit", f"{top}/systemd/{scope}", _RELOAD if scope == "system" else _RELOAD_OWN)
        for top in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
        for scope in ("system", "user")
    ),
    *(_Place("quadlet", f"{top}/containers/systemd", _RELOAD) for top in ("/etc", "/run", "/usr/share")),
    *(
        _Place("config", f"{top}/{name}", _EDIT)
        for top in ("/etc/containers", "/usr/share/containers")
        for name in ("storage.conf", "storage.conf.d", "containers.conf", "containers.conf.d")
    ),
    _Place("config", "/etc/crio", _EDIT),
    _Place("config", "/etc/fstab", _EDIT),
)


def _of_home(home: str) -> Iterator[_Place]:
    for below in (".config/systemd/user", ".local/share/systemd/user"):
        yield _Place("unit", os.path.join(home, below), _RELOAD_OWN)
    yield _Place("quadlet", os.path.join(home, ".config/containers/systemd"), _RELOAD_OWN)
    for name in ("storage.conf", "storage.conf.d", "containers.conf", "containers.conf.d"):
        yield _Place("config", os.path.join(home, ".config/containers", name), _EDIT)


def naming_lines(old: Collection[str], homes: Collection[str], known: Collection[str]) -> Iterator[NamingLine]:
    """Find the lines that name a path or one below it; ignores comments and unreadable files.

    Args:
        old: spellings of the path.
        homes: directories of users whose files count, too.
        known: files that have been looked at already.
    """
    seen = {os.path.realpath(path) for path in known}
    pattern = pattern_of(old)
    for place in (*_OF_SYSTEM, *(place for home in dict.fromkeys(homes) for place in _of_home(home))):
        for path in _files(place.path):
            real = os.path.realpath(path)
            if real in seen:
                continue
            seen.add(real)
            for number, line in enumerate(_lines(path), 1):
                if pattern.search(line) and not line.startswith(("#", ";")):
                    yield NamingLine(place.kind, f"{path}:{number}", line, place.remedy)


def pattern_of(old: Collection[str]) -> re.Pattern[str]:
    """Return a pattern for some paths and paths below them, but not for longer names with the same beginning or end."""
    spelled = "|".join(re.escape(path) for path in sorted(old))
    return re.compile(rf"(?<![\w./-])(?:{spelled})(?![\w.-])")


def _files(top: str) -> Iterator[str]:
    """The file of that path, or the files below that directory."""
    if not presence.is_directory(top):
        yield top
        return
    for folder, folders, files in os.walk(top):
        folders.sort()
        if os.path.relpath(folder, top).count("/") >= _DEEPEST:
            folders.clear()
        for name in sorted(files):
            yield os.path.join(folder, name)


def _opened(path: str, limit: int) -> int:
    """Open a regular file that is not too large; -1 for anything else."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_size <= limit:
            return fd
        os.close(fd)
    return -1


def _lines(path: str) -> Iterator[str]:
    fd = _opened(path, _LARGEST)
    if fd < 0:
        return
    with open(fd, "rb") as file, suppress(OSError):
        for line in file.read(_LARGEST).decode(errors="surrogateescape").splitlines():
            yield line.strip()


def database_names(path: str, old: Collection[str]) -> bool:
    """Whether a database has one of some paths in it, as engines write them: as text, in one piece."""
    fd = _opened(path, _LARGEST_DATABASE)
    if fd < 0:
        return False
    wanted = re.compile(b"|".join(re.escape(os.fsencode(each)) + rb"(?![\w.-])" for each in sorted(old)))
    overlap = max(len(os.fsencode(each)) for each in old) + 1
    with open(fd, "rb") as file, suppress(OSError):
        rest = b""
        while piece := file.read(_PIECE):
            if wanted.search(rest + piece):
                return True
            rest = (rest + piece)[-overlap:]
    return False
