"""Where each value of the configuration comes from: for `config --sources` and `config explain`."""

from __future__ import annotations

from cstore.config.environment import read_environment
from cstore.config.files import find_files
from cstore.config.keys import KEYS
from cstore.config.rootless import Places, rootless_identity
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.config.options import FileSettings, StoreConfig


class Origin(Value):
    """One key: its value, file and line, and what earlier files say of it, the latest first."""

    key: str
    value: str
    place: str
    overridden: tuple[tuple[str, str], ...] = ()

    def document(self) -> Mapping[str, object]:
        """The same for JSON."""
        earlier = [{"value": value, "place": place} for value, place in self.overridden]
        return {"key": self.key, "value": self.value, "place": self.place, "overridden": earlier}


def origins(config: StoreConfig) -> list[Origin]:
    """The keys that files give a value, in the order of the manual."""
    settings = config.choice.settings
    parts = settings.parts or (settings,)
    found = []
    for key in KEYS:
        said = [part for part in reversed(parts) if key in part.values]
        if said:
            earlier = tuple((_shown(part.values[key]), _place(part, key)) for part in said[1:])
            found.append(Origin(key, _shown(settings.values[key]), _place(said[0], key), earlier))
    return found


def passed_over() -> tuple[tuple[str, str], ...]:
    """Files and directories that stand where configuration is looked for, and do not count; and why."""
    return find_files(read_environment(), rootless_identity(), Places()).passed_over


def _place(part: FileSettings, key: str) -> str:
    line = part.line(key)
    return f"{part.source}, line {line}" if line else part.source


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_shown(item)}' for name, item in sorted(value.items()))}}}"
    return f'"{value}"' if isinstance(value, str) else str(value)
