"""Mount options as words: flags of the mount, and what the file system reads itself (drivers 7.7)."""

from __future__ import annotations

from cstore.errors import InvalidOption
from cstore.kernel import fsmount
from cstore.kernel import mount as mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_FLAGS = {
    "ro": mounts.MS_RDONLY,
    "nosuid": mounts.MS_NOSUID,
    "nodev": mounts.MS_NODEV,
    "noexec": mounts.MS_NOEXEC,
    "sync": mounts.MS_SYNCHRONOUS,
    "dirsync": mounts.MS_DIRSYNC,
    "noatime": mounts.MS_NOATIME,
    "nodiratime": mounts.MS_NODIRATIME,
    "relatime": mounts.MS_RELATIME,
    "strictatime": mounts.MS_STRICTATIME,
}
_OPPOSITES = {
    "rw": "ro", "suid": "nosuid", "dev": "nodev", "exec": "noexec", "async": "sync", "atime": "noatime",
    "diratime": "nodiratime", "norelatime": "relatime", "nostrictatime": "strictatime",
}  # fmt: skip
_PROPAGATION = {
    "private": mounts.MS_PRIVATE,
    "slave": mounts.MS_SLAVE,
    "shared": mounts.MS_SHARED,
    "unbindable": mounts.MS_UNBINDABLE,
}
_NOTHING = frozenset({"defaults", "mand", "nomand"})
"""Words that change nothing: mandatory locks are gone from the kernel."""
_SENSELESS = frozenset({"bind", "rbind", "remount"})

_ATTRIBUTES = {
    mounts.MS_RDONLY: fsmount.ATTR_RDONLY,
    mounts.MS_NOSUID: fsmount.ATTR_NOSUID,
    mounts.MS_NODEV: fsmount.ATTR_NODEV,
    mounts.MS_NOEXEC: fsmount.ATTR_NOEXEC,
    mounts.MS_NOATIME: fsmount.ATTR_NOATIME,
    mounts.MS_NODIRATIME: fsmount.ATTR_NODIRATIME,
    mounts.MS_STRICTATIME: fsmount.ATTR_STRICTATIME,
}
_WHOLE = {mounts.MS_RDONLY: "ro", mounts.MS_SYNCHRONOUS: "sync", mounts.MS_DIRSYNC: "dirsync"}


class Words:
    """Mount options, sorted.

    Attributes:
        flags: MS_* of the mount.
        propagation: MS_* of its propagation, 0 for none.
        data: what the file system reads, as it was written.
    """

    def __init__(self) -> None:
        self.flags = 0
        self.propagation = 0
        self.data: list[str] = []

    @property
    def attributes(self) -> int:
        """The flags as ATTR_* of a new mount."""
        return sum(attribute for flag, attribute in _ATTRIBUTES.items() if self.flags & flag)

    @property
    def whole(self) -> list[str]:
        """The flags that concern the file system rather than one mount of it, as parameters."""
        return [name for flag, name in _WHOLE.items() if self.flags & flag]

    def parameters(self) -> list[tuple[str, str | None]]:
        """What the file system reads, as keys and values; quotes around a value are undone."""
        return [_parameter(word) for word in self.data]


def sort_words(words: Iterable[str]) -> Words:
    """Sort mount options; of two that contradict each other the later one wins.

    Raises:
        InvalidOption: an option that would make it another kind of mount.
    """
    result = Words()
    for word in words:
        if word in _SENSELESS:
            raise InvalidOption(f"a layer cannot be mounted with the option {word!r}", hint="leave it out")
        if word in _FLAGS:
            result.flags |= _FLAGS[word]
        elif word in _OPPOSITES:
            result.flags &= ~_FLAGS[_OPPOSITES[word]]
        elif word.removeprefix("r") in _PROPAGATION:
            recursive = mounts.MS_REC if word not in _PROPAGATION else 0
            result.propagation = _PROPAGATION[word.removeprefix("r")] | recursive
        elif word not in _NOTHING:
            result.data.append(word)
    return result


def _parameter(word: str) -> tuple[str, str | None]:
    key, equals, value = word.partition("=")
    if not equals:
        return key, None
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return key, value
