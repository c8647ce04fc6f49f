"""The formatters of values on the screen, which the command line passes in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cstore.insight import Holding


_ID = re.compile(r"\b[0-9a-f]{64}\b")


class Texts(NamedTuple):
    """Functions that format values.

    Attributes:
        size: formats a number of bytes.
        age: formats the age of a time in the format of records; "" if there is none.
        time: formats nanoseconds since 1970.
        short: shortens an ID.
        visible: escapes the control characters of a text.
        holders: returns the holders of an item as lines.
    """

    size: Callable[[int], str]
    age: Callable[[str], str]
    time: Callable[[int], str]
    short: Callable[[str], str]
    visible: Callable[[str], str]
    holders: Callable[[Holding], Iterable[str]]

    def brief(self, text: str) -> str:
        """Return the text with short IDs, for a narrow window."""
        return _ID.sub(lambda found: self.short(found[0]), self.plain(text))

    def plain(self, text: str) -> str:
        """Return a text that is safe for a terminal: control characters, and bytes that are not UTF-8, are escaped."""
        shown = self.visible(text)
        try:
            return shown.encode(errors="surrogateescape").decode(errors="backslashreplace")
        except UnicodeEncodeError:  # the text contains a surrogate that represents no byte
            return shown.encode(errors="backslashreplace").decode()
