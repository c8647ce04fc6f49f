"""Connections that count as cut when hardly anything comes: a byte a minute would keep a client waiting for years."""

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
"""Bytes that have to come within the time in which an answer has to begin."""


class _Watched(io.RawIOBase):
    """Reads a socket, and limits only the time of reads: the consumer may be as slow as it likes."""

    def __init__(self, sock: socket.socket, patience: float) -> None:
        super().__init__()
        self._raw = sock.makefile("rb", buffering=0)
        self._patience = patience
        self._waited, self._came = 0.0, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview, /) -> int | None:  # type: ignore[override]  # IOBase allows more kinds
        """Read once.

        Raises:
            TimeoutError: too little has come for too long.
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
        """Let go of the socket."""
        if not self.closed:
            self._raw.close()
        super().close()


def watched(patience: float) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    """Make the two kinds of connections that are cut if fewer than `LEAST` bytes come in `patience` seconds."""

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
