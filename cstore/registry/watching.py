"""Connections that fail if almost nothing arrives: a byte a minute would otherwise keep a client waiting for years."""

from __future__ import annotations

import http.client
import io
from time import monotonic

from urllib3.connection import HTTPConnection, HTTPSConnection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

LEAST = 1 << 10
"""The minimum number of bytes per read timeout."""


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
            if self._came < LEAST:
                raise TimeoutError(f"only {self._came} bytes came in {self._waited:.0f} seconds")
            self._waited, self._came = 0.0, 0
        return count

    def close(self) -> None:
        """Close the socket."""
        if not self.closed:
            self._raw.close()
        super().close()


def watched(patience: float) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    """Create two connection classes that fail if fewer than `LEAST` bytes arrive in `patience` seconds."""

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
