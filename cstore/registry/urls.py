"""URLs that registries name: where to go on, where a token is to be had. Nobody believes them as they are."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from cstore.registry.errors import AnswerInvalid, cleaned


def joined_url(registry: str, base: str, target: str, action: str) -> str:
    """The URL that a header names.

    Raises:
        AnswerInvalid: it is none, none for HTTP, or holds a user or password.
    """
    try:
        joined = urljoin(base, target)
        parts = urlsplit(joined)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.username is None
        port = parts.port  # raises if it is none
    except ValueError:
        sound, port = False, None
    if not target or not sound or port == 0 or not (target.isascii() and target.isprintable()) or " " in target:
        raise AnswerInvalid(registry, f"cannot {action}: it names no usable place to go on at")
    return joined


def host_of(url: str) -> str:
    """Host and port of a URL, fit to be shown: the rest of it may be a secret."""
    return cleaned(urlsplit(url).netloc.rpartition("@")[2])
