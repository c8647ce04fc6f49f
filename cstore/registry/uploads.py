"""Uploading a blob, and continuing after a broken connection at the offset that the registry reports."""

from __future__ import annotations

import re

from cstore.errors import InvalidOption, SystemFailure
from cstore.registry.access import Retry
from cstore.registry.errors import (
    AnswerInvalid,
    NotInRegistry,
    RegistryError,
    RegistryFailed,
    RegistryUnreachable,
)
from cstore.registry.wire import Request, finish
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Protocol

    from cstore.registry.repository import Endpoint

    class Readable(Protocol):
        """A source of bytes."""

        def readinto(self, buffer: memoryview, /) -> int | None:
            """Fill all or part of a buffer; return 0 at the end."""

    Opened = Callable[[int], AbstractContextManager[Readable]]
    """Opens a blob at an offset."""

_PIECE = 256 << 10
_SMALL = 64 << 10
"""Bytes of a blob that is sent with the final request: it saves a request, and is too small to resume."""
_CHUNK = 64 << 20
"""Bytes per PATCH, for registries that accept several."""
_TOLD = re.compile(r"(?:bytes=)?0-([0-9]{1,18})", re.ASCII)


class Sent(Value):
    """The cost of an upload. `sent`: bytes of request bodies; `resumed`: how often it continued after a failure."""

    sent: int = 0
    resumed: int = 0


class Upload:
    """One upload of one blob to one registry."""

    def __init__(self, endpoint: Endpoint, digest: str, size: int, opened: Opened, begun: str = "") -> None:
        self._endpoint, self._wire = endpoint, endpoint.wire
        self._digest, self._size, self._opened = digest, size, opened
        self._begun, self._location, self._offset = begun, "", 0
        self._chunk = size
        self._sent = self._resumed = 0
        self._action = f"push blob {digest}"

    def run(self) -> Sent:
        """Upload the blob.

        Raises:
            RegistryError: the registry does not accept it.
            InvalidOption: the source has another size than announced.
            SystemFailure: the source cannot be read.
        """
        retrying, failures, before = self._endpoint.retrying, 0, 0
        while True:
            try:
                if not self._location:
                    self._begin()
                while self._size > _SMALL and self._offset < self._size:
                    self._send_chunk(min(self._size, self._offset + self._chunk))
                self._end()
            except (RegistryUnreachable, RegistryFailed, NotInRegistry) as error:
                if not self._may_go_on(error):
                    raise
                failures = 1 if self._offset > before else failures + 1
                before = self._offset
                if failures >= retrying.attempts:
                    raise
                wait = retrying.delay(failures)
                self._wire.clock.pause(Retry(self._action, failures + 1, wait, error.message))
                self._resumed += 1
                if self._offset == self._size and self._is_there():
                    break  # only the response was lost
                self._find_offset()
            else:
                break
        return Sent(self._sent, self._resumed)

    def _may_go_on(self, error: RegistryError) -> bool:
        """Return whether to retry: after a broken connection, a server failure, or if the upload is unknown there."""
        if isinstance(error, RegistryFailed):
            return error.status == 416 or error.status >= 500
        return bool(self._location) or not isinstance(error, NotInRegistry)

    def _is_there(self) -> bool:
        """Return whether the registry has the whole blob."""
        request = Request(
            method="HEAD",
            path=self._endpoint.path(f"blobs/{self._digest}"),
            action=self._action,
            expect=(200, 404),
            scopes=self._endpoint.scopes("pull,push"),
        )
        response = self._wire.send(request)
        finish(response)
        return response.status == 200

    def _begin(self) -> None:
        self._offset, self._chunk = 0, self._size
        if self._begun:
            self._location, self._begun = self._begun, ""
            return
        response = self._wire.send(
            Request(
                method="POST",
                path=self._endpoint.path("blobs/uploads/"),
                action=self._action,
                expect=(202,),
                scopes=self._endpoint.scopes("pull,push"),
                body=lambda: b"",
            )
        )
        finish(response)
        self._location = self._wire.location(response, self._action)
        smallest = response.headers.get("OCI-Chunk-Min-Length", "")
        if smallest.isascii() and smallest.isdecimal() and len(smallest) < 16:
            self._chunk = max(int(smallest), _CHUNK)

    def _send_chunk(self, end: int) -> None:
        start = self._offset
        response = self._wire.send(
            Request(
                method="PATCH",
                path=self._location,
                action=self._action,
                expect=(202, 204),
                scopes=self._endpoint.scopes("pull,push"),
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(end - start),
                    "Content-Range": f"{start}-{end - 1}",
                },
                body=lambda: self._bytes(start, end),
                repeatable=False,
            )
        )
        finish(response)
        told = _TOLD.fullmatch(response.headers.get("Range", ""))
        # It may have accepted only a part. Some registries count one too many; the final digest check covers that.
        taken = min(end, int(told[1]) + 1) if told else end
        if taken <= start:
            raise AnswerInvalid(self._wire.registry, f"cannot {self._action}: the registry accepts no data")
        self._location = self._wire.location(response, self._action)
        self._offset = taken

    def _bytes(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of one request."""
        left = end - start
        with self._opened(start) as reader:
            while left:
                buffer = memoryview(bytearray(min(left, _PIECE)))
                try:
                    count = reader.readinto(buffer) or 0
                except OSError as error:  # not an error of the connection
                    raise SystemFailure("read", f"blob {self._digest}", error) from None
                if not count:
                    raise InvalidOption(f"cannot {self._action}: the source ended {left} bytes early")
                left -= count
                self._sent += count
                yield bytes(buffer[:count])

    def _end(self) -> None:
        """Finish the upload with its digest; a small blob is sent in this request."""
        query, start, self._offset = "&" if "?" in self._location else "?", self._offset, self._size
        response = self._wire.send(
            Request(
                method="PUT",
                path=f"{self._location}{query}digest={self._digest}",
                action=self._action,
                expect=(201, 204),
                scopes=self._endpoint.scopes("pull,push"),
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(self._size - start)},
                body=lambda: self._bytes(start, self._size) if start < self._size else b"",
                repeatable=False,
            )
        )
        finish(response)

    def _find_offset(self) -> None:
        """Ask the registry for the offset; start again if it does not know the upload."""
        location, self._location = self._location, ""
        if not location:
            return
        try:
            response = self._wire.send(
                Request(
                    method="GET",
                    path=location,
                    action=self._action,
                    expect=(202, 204),
                    scopes=self._endpoint.scopes("pull,push"),
                )
            )
        except (NotInRegistry, RegistryFailed):
            return
        finish(response)
        told = _TOLD.fullmatch(response.headers.get("Range", ""))
        # `0-0` means one byte or none, depending on the registry.
        if told and 0 < int(told[1]) < self._size:
            self._offset = int(told[1]) + 1
            moved = "Location" in response.headers
            self._location = self._wire.location(response, self._action) if moved else location
