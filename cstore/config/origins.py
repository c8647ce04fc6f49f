"""The origin of each value of the configuration: for `config --sources` and `config explain`."""

from __future__ import annotations

from cstore.config.keys import all_keys
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.config.options import StoreConfig


class Origin(Value):
    """One key: its value, its file and line, and the values that it overrides, the latest first."""

    key: str
    value: str
    place: str
    overridden: tuple[tuple[str, str], ...] = ()

    def document(self) -> Mapping[str, object]:
        """Return the origin as a JSON document."""
        earlier = [{"value": value, "place": place} for value, place in self.overridden]
        return {"key": self.key, "value": self.value, "place": self.place, "overridden": earlier}


def origins_of(config: StoreConfig) -> list[Origin]:
    """List the keys that have a value, in the order of the manual, then the driver options given as a whole.

    Command-line options override variables, variables override files, and files override the defaults of the roots.
    """
    choice = config.choice
    settings = choice.settings
    parts = [*reversed(choice.given), *reversed(settings.parts or (settings,))]
    found = []
    for key in all_keys():
        said = [part for part in parts if key in part.values]
        if said:
            value = settings.values[key] if said[0] not in choice.given else said[0].values[key]
            earlier = tuple((_shown(part.values[key]), part.place(key)) for part in said[1:])
            found.append(Origin(key, _shown(value), said[0].place(key), earlier))
    if choice.replacement is not None:
        made = ",".join(choice.replacement)
        found.append(Origin("driver options", f"{_shown(made)}, and none of the files", "STORAGE_OPTS"))
    if choice.added:
        found.append(Origin("driver options", _shown(",".join(choice.added)), "--storage-opt"))
    return found


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_shown(item)}' for name, item in sorted(value.items()))}}}"
    return f'"{value}"' if isinstance(value, str) else str(value)
