"""Connection pools: to the registry itself, with its client certificate, and to redirect targets.

Connections fail if almost nothing arrives: a byte a minute would otherwise keep a client waiting for years.
"""

from __future__ import annotations

import http.client
import io
from threading import Lock
from time import monotonic
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from cstore.traces import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping
    from typing import Any

    from urllib3._base_connection import BaseHTTPConnection as Connection

    from cstore.registry.access import Access
    from cstore.registry.proxies import Proxies
    from cstore.registry.tls import Trust

_LANES = 16
"""Number of connections to one host kept for reuse."""
_LEAST = 1 << 10
"""The minimum number of bytes per read timeout."""


class _QuietPool(HTTPSConnectionPool):
    """A pool without warnings about unverified certificates, which the user has asked for."""

    def _validate_conn(self, conn: Connection) -> None:
        if conn.is_closed:
            conn.connect()


class Connections:
    """The connections of one client. Several threads may use them."""

    def __init__(self, registry: str, access: Access, trust: Trust, proxies: Proxies, *, insecure: bool) -> None:
        self._registry, self._access, self._trust = registry, access, trust
        self._proxies, self._insecure = proxies, insecure
        self._managers: dict[tuple[str, bool, bool], urllib3.PoolManager] = {}
        self._lock = Lock()

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | Iterable[bytes] | None, *, at_home: bool
    ) -> urllib3.BaseHTTPResponse:
        """Send one request, once; the response body is not read. `at_home`: it goes to the registry itself.

        Raises:
            urllib3.exceptions.HTTPError, OSError: there is no response.
            ConfigError: a certificate or a proxy's URL cannot be used.
        """
        parts = urlsplit(url)  # the query may contain secrets
        proxy = self._proxies.find(parts.scheme, parts.hostname or "", parts.port)
        key = (proxy, at_home and bool(self._trust.client), parts.scheme == "https")
        with self._lock:
            if key not in self._managers:
                self._managers[key] = self._made(proxy, show_client=key[1], tls=key[2])
            manager = self._managers[key]
        response = manager.request(
            method,
            url,
            body=body,
            headers=dict(headers),
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
            assert_same_host=False,
        )
        trace("%s %s://%s%s: %d", method, parts.scheme, parts.netloc, parts.path, response.status)
        return response

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    def _made(self, proxy: str, *, show_client: bool, tls: bool) -> urllib3.PoolManager:
        timeout = urllib3.Timeout(connect=self._access.connect_timeout, read=self._access.read_timeout)
        context = self._trust.context(insecure=self._insecure, show_client=show_client) if tls else None
        if proxy:
            from urllib3.util import make_headers

            from cstore.registry.proxies import proxy_user

            parts = urlsplit(proxy)
            manager: urllib3.PoolManager = urllib3.ProxyManager(
                f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
                proxy_headers=make_headers(proxy_basic_auth=proxy_user(proxy) or None),
                num_pools=_LANES,
                maxsize=_LANES,
                timeout=timeout,
                ssl_context=context,
            )
        else:
            manager = urllib3.PoolManager(num_pools=_LANES, maxsize=_LANES, timeout=timeout, ssl_context=context)
        plain, secure = _watched(self._access.read_timeout)
        manager.pool_classes_by_scheme = {
            "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("QuietPool", (_QuietPool,), {"ConnectionCls": secure}),
        }
        return manager


class _Watched(io.RawIOBase):
    """Reads a socket. Only time spent in reads counts: the reader may be slow."""

    def __init__(self, sock: socket.socket, patience: float) -> None:
        super().__init__()
        self._raw = sock.makefile("rb", buffering=0)
        self._patience = patience
        self._waited, self._came = 0.0, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview, /) -> int | None:  # type: ignore[override]  # IOBase allows more kinds
        """Read once.

        Raises:
            TimeoutError: too few bytes arrived for too long.
        """
        began = monotonic()
        count = self._raw.readinto(buffer)
        self._waited += monotonic() - began
        self._came += count or 0
        if self._waited >= self._patience:
            if self._came < _LEAST:
                raise TimeoutError(f"only {self._came} bytes came in {self._waited:.0f} seconds")
            self._waited, self._came = 0.0, 0
        return count

    def close(self) -> None:
        """Close the socket."""
        if not self.closed:
            self._raw.close()
        super().close()


def _watched(patience: float) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    """Create two connection classes that fail if fewer than `_LEAST` bytes arrive in `patience` seconds."""

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *about: Any, **more: Any) -> None:
            super().__init__(sock, *about, **more)
            self.fp.close()
            self.fp = io.BufferedReader(_Watched(sock, patience))

    class Plain(HTTPConnection):
        response_class = Response

    class Secure(HTTPSConnection):
        response_class = Response

    return Plain, Secure
