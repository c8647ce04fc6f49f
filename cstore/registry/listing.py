"""Paginated lists: tags, and the repositories of a registry."""

from __future__ import annotations

import re

from cstore.registry.errors import AnswerInvalid, cleaned
from cstore.registry.wire import Request, Wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_LISTING_LIMIT = 4 << 20
"""Maximum size of a page in bytes."""
_MOST_PAGES = 10_000
_MOST_LISTED = 500_000
_NEXT = re.compile(r"<([^<>]*)>[^,]*;\s*rel=\"?next\"?", re.ASCII)


def listed(
    wire: Wire, path: str, wanted: tuple[str, Callable[[str], bool]], scopes: tuple[str, ...], action: str
) -> list[str]:
    """Return all pages of a list. `wanted` are its key and a function that validates a name."""
    key, is_valid = wanted
    found: dict[str, None] = {}
    for _ in range(_MOST_PAGES):
        request = Request(method="GET", path=path, action=action, scopes=scopes)
        response, raw = wire.document(request, _LISTING_LIMIT)
        names = wire.parsed(raw, action).get(key) or []
        if not isinstance(names, list):
            raise AnswerInvalid(wire.registry, f"cannot {action}: the response is not a list")
        before = len(found)
        for name in names:
            if not isinstance(name, str) or not is_valid(name):
                raise AnswerInvalid(wire.registry, f"cannot {action}: {cleaned(str(name))!r} is not a valid name")
            found[name] = None
        following = _NEXT.search(response.headers.get("Link", ""))
        if following is None:
            return list(found)
        if len(found) == before or len(found) > _MOST_LISTED:
            break
        path = wire.local_path(following[1], response, action)
    raise AnswerInvalid(wire.registry, f"cannot {action}: the list does not end")
