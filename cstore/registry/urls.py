"""URLs that registries name: where to go on, where a token is to be had. Nobody believes them as they are."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from cstore.registry.errors import AnswerInvalid, cleaned


def joined_url(registry: str, base: str, target: str, action: str) -> str:
    """The URL that a header names.

    Raises:
        AnswerInvalid: it is none, none for HTTP, holds a user or password, or leads to an address that is for this
            machine's own network card only: there, clouds tell machines their secrets.
    """
    try:
        joined = urljoin(base, target)
        parts = urlsplit(joined)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.username is None
        port = parts.port  # raises if it is none
    except ValueError:
        sound, port = False, None
    if not target or not sound or port == 0 or not (target.isascii() and target.isprintable()) or " " in target:
        raise AnswerInvalid(registry, f"cannot {action}: the registry redirects to something that is not a URL")
    if _is_link_local(parts.hostname or "") and parts.hostname != urlsplit(f"//{registry}").hostname:
        raise AnswerInvalid(registry, f"cannot {action}: redirect to a link-local address refused: {host_of(joined)}")
    return joined


def _is_link_local(host: str) -> bool:
    from ipaddress import IPv6Address, ip_address

    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_link_local


def without_usual_port(netloc: str) -> str:
    """Host and port, to be compared: the ports of HTTP and TLS go without saying, and case is of no matter."""
    host, colon, port = netloc.lower().rpartition(":")
    return host if colon and port in {"80", "443"} else netloc.lower()


def host_of(url: str) -> str:
    """Host and port of a URL, fit to be shown: the rest of it may be a secret."""
    return cleaned(urlsplit(url).netloc.rpartition("@")[2])
