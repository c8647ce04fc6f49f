"""Validating URLs from registries: where to continue, and where to get a token."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from cstore.registry.errors import AnswerInvalid, cleaned


def joined_url(registry: str, base: str, target: str, action: str) -> str:
    """Resolve and validate a URL from a header.

    Raises:
        AnswerInvalid: it is not an HTTP URL, contains a user or password, or leads to a link-local address, where
            clouds give machines their secrets.
    """
    try:
        joined = urljoin(base, target)
        parts = urlsplit(joined)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.username is None
        port = parts.port  # raises if it is invalid
    except ValueError:
        sound, port = False, None
    if not target or not sound or port == 0 or not (target.isascii() and target.isprintable()) or " " in target:
        raise AnswerInvalid(registry, f"cannot {action}: the registry redirects to something that is not a URL")
    from ipaddress import IPv6Address, ip_address

    try:
        address = ip_address(parts.hostname or "")
    except ValueError:
        return joined
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if (mapped or address).is_link_local and parts.hostname != urlsplit(f"//{registry}").hostname:
        raise AnswerInvalid(registry, f"cannot {action}: redirect to a link-local address refused: {host_of(joined)}")
    return joined


def without_usual_port(netloc: str) -> str:
    """Normalize host and port for comparison: drop the default ports, and ignore case."""
    host, colon, port = netloc.lower().rpartition(":")
    return host if colon and port in {"80", "443"} else netloc.lower()


def host_of(url: str) -> str:
    """Return the host and port of a URL, which are safe to show: the rest may contain secrets."""
    return cleaned(urlsplit(url).netloc.rpartition("@")[2])
