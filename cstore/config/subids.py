"""Subordinate ID ranges of users: /etc/subuid and /etc/subgid.

A line is `OWNER:START:COUNT`; the owner is a name or a numeric user ID and may have several lines.
"""

from __future__ import annotations

from cstore.config.parse import read_named
from cstore.errors import ConfigError, InvalidIDMap
from cstore.idmap import LARGEST_ID, IDMap, IDRange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

USER_FILE = "/etc/subuid"
GROUP_FILE = "/etc/subgid"
EVERYBODY = "ALL"

_LARGEST = 8 << 20
FIRST_SUB_ID = 100000
"""The minimum subordinate ID; lower IDs belong to the host's own users."""

Range = tuple[int, int]
"""First ID and count."""


def read_ranges(owner: str, path: str) -> tuple[Range, ...]:
    """Return the ranges of `owner`, lowest first; for `ALL`, those of all users. A missing file has none.

    Raises:
        ConfigError: the file cannot be read, or a line of this owner is invalid.
    """
    names = _names_of(owner)
    ranges: list[Range] = []
    for number, line in enumerate(_lines(path), 1):
        text = line.strip()
        name, *fields = text.split(":")
        if text and not text.startswith("#") and (owner == EVERYBODY or name in names):
            ranges.append(_range(path, number, text, fields))
    return tuple(sorted(ranges))


def sub_id_map(user: str, group: str = "", *, user_file: str = USER_FILE, group_file: str = GROUP_FILE) -> IDMap:
    """Return the map that gives a container all subordinate IDs of `user` and `group`, from 0 upward.

    If one of the two is empty, the other is used for both.

    Raises:
        InvalidIDMap: one of them has no subordinate IDs.
        ConfigError: a file cannot be used.
    """
    user, group = user or group, group or user
    uids, gids = read_ranges(user, user_file), read_ranges(group, group_file)
    if not uids:
        raise _nothing("user", "subuid", user, user_file)
    if not gids:
        raise _nothing("group", "subgid", group, group_file)
    return IDMap(packed(uids), packed(gids))


def line_to_add(owner: str, count: int, path: str) -> str:
    """Return the line that gives `owner` `count` more IDs, after those of all users.

    Raises:
        ConfigError: the file cannot be read, or a line is invalid.
    """
    taken = [start + size for start, size in read_ranges(EVERYBODY, path)]
    return f"{owner}:{max((FIRST_SUB_ID, *taken))}:{count}"


def owner_of(number: int, path: str) -> str:
    """Return the name whose ranges contain an ID, "" if none.

    Raises:
        ConfigError: the file cannot be read.
    """
    for line in _lines(path):
        name, *fields = line.strip().split(":")
        if len(fields) == 2 and all(field.isascii() and field.isdecimal() for field in fields):
            start, count = map(int, fields)
            if start <= number < start + count:
                return name
    return ""


def packed(ranges: Sequence[Range], first: int = 0) -> tuple[IDRange, ...]:
    """Map the ranges to consecutive IDs inside, from `first` upward."""
    result = []
    for start, count in ranges:
        result.append(IDRange(first, start, count))
        first += count
    return tuple(result)


def _nothing(noun: str, kind: str, owner: str, path: str) -> InvalidIDMap:
    return InvalidIDMap(
        owner,
        f"{path} assigns no IDs to {noun} {owner!r}",
        hint=f"add a line such as {owner}:100000:65536 to {path}",
        go_text=f'no {kind} ranges found for {noun} "{owner}" in {path}',
    )


def _range(path: str, number: int, text: str, fields: Sequence[str]) -> Range:
    if len(fields) == 2 and all(field.isascii() and field.isdecimal() for field in fields):
        start, count = map(int, fields)
        if count and start + count - 1 <= LARGEST_ID:
            return start, count
    raise ConfigError(path, f"{text!r} is not OWNER:START:COUNT with IDs up to {LARGEST_ID}", line=number)


def _names_of(owner: str) -> set[str]:
    """Return the names that a line can have for `owner`."""
    import pwd

    try:
        entry = pwd.getpwuid(int(owner)) if owner.isascii() and owner.isdecimal() else pwd.getpwnam(owner)
    except (KeyError, OverflowError):
        return {owner}
    return {owner, entry.pw_name, str(entry.pw_uid)}


def _lines(path: str) -> list[str]:
    try:
        return read_named(path, _LARGEST).decode(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {error.strerror}") from error
