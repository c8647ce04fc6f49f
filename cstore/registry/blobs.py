"""Reading a blob: never more bytes than announced, and only the rest after a broken connection."""

from __future__ import annotations

import re

from urllib3.exceptions import HTTPError

from cstore.registry.access import Retry
from cstore.registry.errors import AnswerInvalid, RegistryError, RegistryFailed, RegistryUnreachable
from cstore.registry.wire import Request, finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    import urllib3

    from cstore.registry.repository import Endpoint

_PIECE = 256 << 10
"""Bytes per read from a connection."""
_PROGRESS = 64 << 10
"""Bytes after which a connection counts as a success, so that attempts are counted anew."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/(?:([0-9]{1,18})|\*)", re.ASCII)


_OUT_OF_RANGE = 416


class _WrongRange(AnswerInvalid):
    """A registry sent another part of a blob than requested."""


class BlobReader:
    """Reads one blob. After a broken connection, it continues there, at the same registry and then at the next one.

    If a registry sends the whole blob again, the known part is skipped.

    The bytes are not verified: the reader knows the digest and must compute it.

    Attributes:
        size: the announced size in bytes.
        position: how many bytes have been read.
        fetched: bytes of response bodies received, including skipped ones.
        resumed: how often reading continued after a broken connection.
    """

    def __init__(self, endpoints: Sequence[Endpoint], digest: str, size: int, offset: int = 0) -> None:
        self.digest, self.size, self.position = digest, size, offset
        self.fetched = self.resumed = 0
        self._endpoints = list(endpoints)
        self._failures = 0
        self._by_range = True
        self._since = offset
        self._known = 0
        """Number of coming bytes that are known already."""
        self._response: urllib3.BaseHTTPResponse | None = None
        self._rest = memoryview(b"")
        self._action = f"fetch blob {digest}"

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill all or part of a buffer; return the number of bytes, 0 at the end.

        Raises:
            RegistryError: no registry sends the rest.
        """
        view = memoryview(buffer).cast("B")
        if not self._rest and self.position < self.size and len(view):
            self._rest = memoryview(self._piece())
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self.position += count
        return count

    def read(self, size: int = -1) -> bytes:
        """Read `size` bytes, fewer only at the end; if negative, all that remain.

        Raises:
            RegistryError: as `readinto`.
        """
        parts, left = [], self.size - self.position if size < 0 else size
        while left > 0:
            buffer = bytearray(min(left, _PIECE))
            count = self.readinto(buffer)
            if not count:
                break
            parts.append(bytes(memoryview(buffer)[:count]))
            left -= count
        return b"".join(parts)

    def close(self) -> None:
        """Close the connection."""
        response, self._response = self._response, None
        if response is not None:
            finish(response)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _piece(self) -> bytes:
        """Return the next bytes of the blob, at least one."""
        while True:
            if self._response is None:
                self._open()
            try:
                while self._known:  # the registry repeats what it sent before
                    self._known -= len(self._received(min(_PIECE, self._known)))
                data = self._received(min(_PIECE, self.size - self.position))
                if self.position + len(data) == self.size:
                    self._check_end()
            except RegistryUnreachable as error:
                self._after(error)
            else:
                return data

    def _received(self, limit: int) -> bytes:
        """Return bytes from the connection, at least one."""
        response = self._response
        if response is None:
            raise AssertionError
        try:
            data = response.read1(limit, decode_content=False)
        except (HTTPError, OSError):
            data = b""
        if not data:
            raise RegistryUnreachable(self._registry, f"cannot {self._action}: the connection was cut")
        self.fetched += len(data)
        return data

    def _check_end(self) -> None:
        """Check that nothing follows the last announced byte."""
        response = self._response
        if response is None or getattr(response, "length_remaining", None) == 0:
            return
        try:
            more = response.read1(1, decode_content=False)
        except (HTTPError, OSError):
            more = b""  # only the stream's end is missing, not a part of the blob
        if more:
            raise self._invalid(f"the registry sent more than the expected {self.size} bytes")

    def _after(self, error: RegistryUnreachable) -> None:
        """After a broken connection, wait and retry here, switch to the next registry, or raise the error."""
        self.close()
        endpoint = self._endpoints[0]
        retrying = endpoint.retrying
        if self.position - self._since >= _PROGRESS:
            self._failures = 0
        self._since = self.position
        self._failures += 1
        wait, attempt = retrying.delay(self._failures), self._failures + 1
        if self._failures >= retrying.attempts:
            if len(self._endpoints) == 1:
                raise error
            self._endpoints.pop(0)
            self._failures, wait, attempt = 0, 0.0, 1
        endpoint.wire.clock.pause(Retry(self._action, attempt, wait, error.message))
        self.resumed += 1

    def _open(self) -> None:
        """Request the missing part from the first registry that has it."""
        while True:
            try:
                self._response = self._asked(self._endpoints[0])
            except RegistryError as error:
                out_of_range = isinstance(error, RegistryFailed) and error.status == _OUT_OF_RANGE
                if self._by_range and self.position and (out_of_range or isinstance(error, _WrongRange)):
                    self._by_range = False
                    continue
                if len(self._endpoints) == 1:
                    raise
                self._endpoints.pop(0)
                self._failures, self._by_range = 0, True
            else:
                self._known = self.position if self._response.status == 200 else 0
                return

    def _asked(self, endpoint: Endpoint) -> urllib3.BaseHTTPResponse:
        """Request the missing part from a registry, and compare the response headers with the expected blob."""
        headers = {"Range": f"bytes={self.position}-"} if self.position and self._by_range else {}
        response = endpoint.wire.send(
            Request(
                method="GET",
                path=endpoint.path(f"blobs/{self.digest}"),
                action=self._action,
                expect=(200, 206) if headers else (200,),
                scopes=endpoint.scopes("pull"),
                headers=headers,
            )
        )
        try:
            if response.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}:
                raise self._invalid("the response has a Content-Encoding that was not requested")
            if response.status == 206:
                told = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
                total = int(told[3]) if told and told[3] else self.size
                if not told or int(told[1]) != self.position or total != self.size or int(told[2]) >= self.size:
                    reason = f"cannot {self._action}: the response covers a different range than requested"
                    raise _WrongRange(self._registry, reason)
                return response
            said = response.headers.get("Content-Length", "")
            if said and said != str(self.size):
                length = said if said.isascii() and said.isdecimal() and len(said) < 20 else "an invalid number"
                raise self._invalid(f"expected {self.size} bytes, but the registry announces {length}")
        except AnswerInvalid:
            finish(response)
            raise
        return response

    @property
    def _registry(self) -> str:
        return self._endpoints[0].wire.registry

    def _invalid(self, reason: str) -> AnswerInvalid:
        return AnswerInvalid(self._registry, f"cannot {self._action}: {reason}")
