"""Choosing the proxy for a host: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, interpreted as by Go programs."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from cstore.errors import ConfigError
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Proxies(Value):
    """The proxies of an environment: URLs, "" for none, and the hosts that need none."""

    http: str = ""
    https: str = ""
    without: tuple[str, ...] = ()

    def find(self, scheme: str, host: str, port: int | None) -> str:
        """Return the URL of the proxy for a host; "" if there is none, as always for this machine.

        Raises:
            ConfigError: the variable's value is not a usable proxy.
        """
        found = self.https if scheme == "https" else self.http
        if not found or self._is_direct(host.lower(), port or (443 if scheme == "https" else 80)):
            return ""
        name = "HTTPS_PROXY" if scheme == "https" else "HTTP_PROXY"
        url = found if "://" in found else f"http://{found}"
        try:
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or 1)
        except ValueError:
            usable = False
        if not usable:  # the value may contain a password, so it is not shown
            raise ConfigError(name, "not the URL of an HTTP proxy", hint="write it as http://HOST:PORT")
        return url

    def _is_direct(self, host: str, port: int) -> bool:
        from ipaddress import ip_address, ip_network

        try:
            address = ip_address(host.strip("[]"))
        except ValueError:
            address = None
        if host == "localhost" or (address is not None and address.is_loopback):
            return True
        for rule in self.without:
            if rule == "*":
                return True
            name, colon, wanted = rule.rpartition(":")
            if colon and wanted.isdecimal() and "]" not in wanted and (":" not in name or name.endswith("]")):
                if int(wanted) != port:
                    continue
                rule = name  # noqa: PLW2901  - the rest after the port
            if address is not None:
                try:
                    if address in ip_network(rule.strip("[]"), strict=False):
                        return True
                except ValueError:
                    continue
            elif rule.startswith(("*.", ".")):
                if host.endswith(rule.removeprefix("*")):
                    return True
            elif host == rule or host.endswith(f".{rule}"):
                return True
        return False


def read_proxies(variables: Mapping[str, str]) -> Proxies:
    """Read the variables of an environment; upper case wins over lower case."""

    def word(name: str) -> str:
        return variables.get(name) or variables.get(name.lower(), "")

    without = tuple(filter(None, (rule.strip().lower() for rule in word("NO_PROXY").split(","))))
    return Proxies(word("HTTP_PROXY"), word("HTTPS_PROXY"), without)


def proxy_user(url: str) -> str:
    """Return user and password of a proxy's URL as `USER:PASSWORD`; "" for none."""
    parts = urlsplit(url)
    return f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
