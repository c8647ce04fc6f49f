"""How things are worded on the screen: as the command line words them, which hands that over."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cstore.insight import Holding


_ID = re.compile(r"\b[0-9a-f]{64}\b")


class Texts(NamedTuple):
    """Functions that make text.

    Attributes:
        size: of a number of bytes.
        age: of a time as records have it; "" if there is none.
        time: of nanoseconds since 1970.
        short: of an ID.
        visible: of a text with control characters, which it spells out.
        holders: of who holds an item, a line each.
    """

    size: Callable[[int], str]
    age: Callable[[str], str]
    time: Callable[[int], str]
    short: Callable[[str], str]
    visible: Callable[[str], str]
    holders: Callable[[Holding], Iterable[str]]

    def brief(self, text: str) -> str:
        """The same with short IDs, for a narrow window."""
        return _ID.sub(lambda found: self.short(found[0]), self.plain(text))

    def plain(self, text: str) -> str:
        """Return a text that is safe on a terminal: bytes that are not UTF-8 are escaped too."""
        shown = self.visible(text)
        try:
            return shown.encode(errors="surrogateescape").decode(errors="backslashreplace")
        except UnicodeEncodeError:  # a surrogate that stands for no byte
            return shown.encode(errors="backslashreplace").decode()
