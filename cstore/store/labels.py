"""SELinux labels of a new container: the two labels of the host's policy for containers, changed by label options.

A label is USER:ROLE:TYPE:LEVEL. Each container gets its own level, two categories that no other container of the store
has, so that containers cannot access each other's files. Without SELinux there are no labels. (semantics 7.5)
"""

from __future__ import annotations

from cstore import presence
from cstore.errors import InvalidOption
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

_PARTS = ("user", "role", "type", "level")
_CATEGORIES = 1024
_OF_BOTH = frozenset({"user", "level"})


class Policy(Value):
    """The paths of the host's labels: `state` exists with SELinux; the first valid file of `contexts` counts."""

    state: str = "/sys/fs/selinux/enforce"
    settings: str = "/etc/selinux/config"
    contexts: tuple[str, ...] = (
        "/usr/share/containers/selinux/contexts",
        "/etc/selinux/{policy}/contexts/lxc_contexts",
    )


def choose_labels(
    options: Sequence[str], taken: Callable[[], Iterable[str]], policy: Policy | None = None
) -> tuple[str, str]:
    """Return the process label and the mount label of a container; both are "" without SELinux.

    Args:
        options: each `user:…`, `role:…`, `type:…`, `level:…` of the process, `filetype:…` of the files, or `disable`.
        taken: returns the labels of other containers.
        policy: the paths of the host's labels.

    Raises:
        InvalidOption: an option is none of these.
    """
    said = dict(_parsed(option) for option in options)
    policy = policy or Policy()
    if not presence.exists(policy.state):
        return "", ""
    name = _values(policy.settings).get("SELINUXTYPE", "targeted")
    valid = (_values(path.format(policy=name)) for path in policy.contexts)
    host = next((found for found in valid if found.get("process") and found.get("file")), {})
    process, files = (_split(host.get(of, "")) for of in ("process", "file"))
    if "disable" in said or not process:
        return "", ""
    level = said.get("level") or _free_level({_split(label).get("level", "") for label in taken()})
    process |= {part: said[part] for part in _PARTS if part in said} | {"level": level}
    files |= {part: said[part] for part in _OF_BOTH if part in said} | {"level": level}
    files["type"] = said.get("filetype", files.get("type", ""))
    return _joined(process), _joined(files)


def _parsed(option: str) -> tuple[str, str]:
    name, colon, value = option.partition(":")
    if option == "disable" or (name in {*_PARTS, "filetype"} and colon and value):
        return name, value
    raise InvalidOption(
        f"{option!r} is not a label option",
        hint="give disable, or user, role, type, level or filetype with a colon and a value",
        go_text=f'bad label option "{option}", valid options are disable, user, role, level, type, filetype',
    )


def _values(path: str) -> dict[str, str]:
    """Return the lines `name = value` of a file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("=") for line in file if not line.lstrip().startswith("#")]
    except OSError:
        return {}
    return {name.strip(): value.strip().strip('"') for name, equals, value in lines if equals}


def _free_level(taken: Collection[str]) -> str:
    """Return two free categories, or any two if all are taken."""
    from random import SystemRandom

    draw = SystemRandom()
    for _ in range(_CATEGORIES):
        low, high = sorted(draw.sample(range(_CATEGORIES), 2))
        if f"s0:c{low},c{high}" not in taken:
            break
    return f"s0:c{low},c{high}"


def _split(label: str) -> dict[str, str]:
    values = label.split(":", 3)
    return dict(zip(_PARTS, values, strict=False)) if len(values) >= 3 else {}


def _joined(label: dict[str, str]) -> str:
    return ":".join(label[part] for part in _PARTS)
