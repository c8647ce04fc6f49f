"""A proxy in front of a registry that imitates bad connections and bad registries, and counts traffic.

    with FaultProxy(registry.host) as proxy:
        proxy.fail("GET .*/blobs/", cut(after=1000))    # the next such request only
        proxy.fail("GET .*/blobs/", status(503), cut(after=0), times=2)
        ... use proxy.host as the registry ...
        proxy.given                                     # bytes of blobs sent to the client
            proxy.requests("GET .*/blobs/")                 # the matching requests

A fault serves one request. Without one, or after the last, requests and responses pass unchanged.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tests.registries import QuietServer

if TYPE_CHECKING:
    from tests.registries import Authority

_PIECE = 64 << 10
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Seen:
    """A request that was received."""

    method: str
    path: str
    headers: dict[str, str]

    @property
    def line(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"


@dataclass
class _Rule:
    pattern: str
    faults: list[Fault]


class FaultProxy:
    """A running proxy.

    Attributes:
        host: host and port, for the names of images.
        seen: all requests received.
        given: bytes of blobs sent to the client.
        taken: bytes of blobs received from the client.
        connections: number of connections that carried a request.
        rate: bytes per second in each direction of one connection, 0 for no limit.
    """

    def __init__(self, upstream: str = "", authority: Authority | None = None) -> None:
        """Create a proxy, with or without a registry behind it; with `authority`, it uses TLS with its certificate."""
        self.upstream = upstream
        self.seen: list[Seen] = []
        self.given = self.taken = self.connections = 0
        self.rate = 0
        self.moved: dict[str, str] = {}
        self._rules: list[_Rule] = []
        self._lock = threading.Lock()
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        if authority is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(authority.path("server.crt"), authority.path("server.key"))
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, pattern: str, *faults: Fault, times: int = 1) -> None:
        """Serve the next requests whose method and path match with one fault each; the list is used `times` times."""
        with self._lock:
            self._rules.append(_Rule(pattern, [*faults] * times))

    def forget(self) -> None:
        """Reset requests, counters and planned faults."""
        with self._lock:
            self.seen, self.given, self.taken, self._rules = [], 0, 0, []

    def requests(self, pattern: str) -> list[Seen]:
        """Return the requests whose method and path match."""
        return [one for one in self.seen if re.match(pattern, one.line)]

    def count(self, *, given: int = 0, taken: int = 0, connections: int = 0) -> None:
        """Add to the counters."""
        with self._lock:
            self.connections += connections
            self.given += given
            self.taken += taken

    def _next_fault(self, line: str) -> Fault:
        with self._lock:
            for rule in self._rules:
                if rule.faults and re.match(rule.pattern, line):
                    return rule.faults.pop(0)
        return passed_on

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            is_used = False

            def serve(self) -> None:
                seen = Seen(
                    self.command,
                    self.path,
                    {name.lower(): ", ".join(self.headers.get_all(name) or ()) for name in self.headers},
                )
                proxy.seen.append(seen)
                if not self.is_used:
                    self.is_used = True
                    proxy.count(connections=1)
                try:
                    proxy._next_fault(seen.line)(Exchange(proxy, self, seen))
                except OSError:
                    self.close_connection = True

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.serve
                raise AttributeError(name)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return Handler


@dataclass
class Exchange:
    """One request and its response."""

    proxy: FaultProxy
    handler: http.server.BaseHTTPRequestHandler
    seen: Seen
    given: int = 0
    """Bytes of the body sent to the client."""
    length: int = field(init=False)

    def __post_init__(self) -> None:
        self.length = int(self.seen.headers.get("content-length", 0))

    @property
    def is_blob(self) -> bool:
        """Whether the bytes are counted."""
        return "/blobs/" in self.seen.path

    def body(self, limit: int | None = None) -> Iterator[bytes]:
        """Yield the request body, or its beginning."""
        if self.seen.headers.get("transfer-encoding") == "chunked":
            while size := int(self.handler.rfile.readline(), 16):
                yield self._taken(self.handler.rfile.read(size))
                self.handler.rfile.readline()
            self.handler.rfile.readline()
            return
        left = self.length if limit is None else min(limit, self.length)
        while left:
            piece = self.handler.rfile.read(min(left, _PIECE))
            if not piece:
                raise ConnectionError("the client went away")
            left -= len(piece)
            yield self._taken(piece)

    def _taken(self, piece: bytes) -> bytes:
        if self.is_blob:
            self.proxy.count(taken=len(piece))
        self._slowly(piece)
        return piece

    def _slowly(self, piece: bytes) -> None:
        if self.proxy.rate:
            time.sleep(len(piece) / self.proxy.rate)

    @contextlib.contextmanager
    def upstream(
        self, body: bytes | None = None, changes: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Yield the registry's response to the request, optionally with another body."""
        headers = {name: value for name, value in self.seen.headers.items() if name != "connection"}
        headers.update(changes or {})
        path = self.seen.path
        if moved := self.proxy.moved.get(urlsplit(path).path):
            if self.seen.method == "PATCH":
                del self.proxy.moved[urlsplit(path).path]
            path = moved
        connection = http.client.HTTPConnection(self.proxy.upstream, timeout=60)
        with contextlib.closing(connection):
            given = self.body() if body is None else body
            connection.request(self.seen.method, path, given if self.length or body else None, headers)
            yield connection.getresponse()

    def begin(self, status: int, headers: list[tuple[str, str]], length: int | None) -> None:
        """Send the status and headers; without a length, the body is chunked."""
        self.handler.send_response_only(status)
        for name, value in headers:
            self.handler.send_header(name, value)
        if length is None:
            self.handler.send_header("Transfer-Encoding", "chunked")
        else:
            self.handler.send_header("Content-Length", str(length))
        self.handler.end_headers()
        self.handler.wfile.flush()

    def give(self, piece: bytes, *, chunked: bool = False) -> None:
        """Send a part of the body."""
        self._slowly(piece)
        self.given += len(piece)
        if self.is_blob:
            self.proxy.count(given=len(piece))
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)

    def hang_up(self, *, reset: bool = False) -> None:
        """Close the connection; with `reset`, without a proper shutdown, as if the machine had failed."""
        connection = self.handler.connection
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.handler.close_connection = True

    def relay(self, change: Callable[[bytes], bytes] = lambda data: data, **how: Any) -> None:
        """Relay the registry's response with a changed body; `how` has the fields of `Relay`."""
        relay = Relay(**how)
        with self.upstream() as answer:
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
            headers = [(name, value) for name, value in headers if name.lower() not in relay.headers]
            headers += [(name, value) for name, value in relay.headers.items() if value]
            length = int(answer.getheader("Content-Length") or 0)
            if self.seen.method == "HEAD":
                self.begin(answer.status, headers, length)
                return
            said = None if relay.chunked else length + relay.longer
            self.begin(relay.status or answer.status, headers, said)
            left = length if relay.cut is None else min(relay.cut, length)
            while left:
                piece = change(answer.read(min(left, _PIECE)))
                left -= len(piece)
                self.give(piece, chunked=relay.chunked)
            if relay.more:
                self.give(relay.more, chunked=relay.chunked)
            if relay.stall:
                self.handler.wfile.flush()
                self.handler.rfile.read(1)
            if relay.cut is not None:
                self.hang_up(reset=relay.reset)
            elif relay.longer > len(relay.more):
                self.hang_up()
            elif relay.chunked:
                self.handler.wfile.write(b"0\r\n\r\n")


@dataclass(frozen=True)
class Relay:
    """How to relay a response.

    Attributes:
        status: the status to send, 0 for the registry's.
        headers: headers to replace, by name in lower case; "" removes one.
        cut: bytes of the body after which the connection ends; None: it does not.
        reset: whether it ends without a proper shutdown.
        stall: whether it ends only when the client ends it.
        longer: how much the announced length exceeds the real one.
        more: bytes after the body.
        chunked: whether to send it chunked, without a length.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    reset: bool = False
    stall: bool = False
    longer: int = 0
    more: bytes = b""
    chunked: bool = False


Fault = Callable[[Exchange], None]


def passed_on(exchange: Exchange) -> None:
    """Cause no fault."""
    exchange.relay()


def cut(after: int, *, reset: bool = False, chunked: bool = False) -> Fault:
    """End the connection after so many bytes of the body."""
    return lambda exchange: exchange.relay(cut=after, reset=reset, chunked=chunked)


def hung_up(exchange: Exchange) -> None:
    """End the connection before any response."""
    exchange.hang_up(reset=True)


def cut_in_headers(exchange: Exchange) -> None:
    """End the connection in the middle of the headers."""
    exchange.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    exchange.hang_up()


def dripping(pause: float) -> Fault:
    """Send the whole response, including headers, one byte at a time, until the client gives up."""

    def drip(exchange: Exchange) -> None:
        with exchange.upstream() as answer:
            length = answer.getheader("Content-Length") or "0"
            kind = answer.getheader("Content-Type") or "application/octet-stream"
            head = f"HTTP/1.1 {answer.status} OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
            for byte in head.encode() + answer.read():
                exchange.handler.wfile.write(bytes([byte]))
                time.sleep(pause)

    return drip


def slow_after(count: int, pause: float) -> Fault:
    """Send so many bytes of a blob, then the rest one byte at a time."""

    def slow(exchange: Exchange) -> None:
        with exchange.upstream() as answer:
            exchange.begin(answer.status, [], int(answer.getheader("Content-Length") or 0))
            exchange.give(answer.read(count))
            while byte := answer.read(1):
                exchange.give(byte)
                time.sleep(pause)

    return slow


def silent(exchange: Exchange) -> None:
    """Send no response until the client gives up."""
    exchange.handler.rfile.read(1)
    exchange.handler.close_connection = True


def stalled(after: int) -> Fault:
    """Stop after so many bytes of the body, until the client gives up."""
    return lambda exchange: exchange.relay(cut=after, stall=True)


def delayed(seconds: float) -> Fault:
    """Respond late."""

    def serve(exchange: Exchange) -> None:
        time.sleep(seconds)
        exchange.relay()

    return serve


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Fault:
    """Respond without asking the registry."""

    def serve(exchange: Exchange) -> None:
        for _ in exchange.body():
            pass
        exchange.begin(code, list((headers or {}).items()), len(body))
        exchange.handler.wfile.write(body)

    return serve


def redirect(url: str, code: int = 307) -> Fault:
    """Redirect the client. `{path}` in the URL is the requested path."""
    return lambda exchange: status(code, {"Location": url.replace("{path}", exchange.seen.path)})(exchange)


def with_headers(**headers: str) -> Fault:
    """Change headers of the response; `_` in a name means `-`."""
    return lambda exchange: exchange.relay(headers={name.replace("_", "-").lower(): v for name, v in headers.items()})


def flipped(at: int) -> Fault:
    """Change one byte of the body."""

    def serve(exchange: Exchange) -> None:
        passed = 0

        def change(piece: bytes) -> bytes:
            nonlocal passed
            place, passed = at - passed, passed + len(piece)
            if not 0 <= place < len(piece):
                return piece
            return piece[:place] + bytes([piece[place] ^ 1]) + piece[place + 1 :]

        exchange.relay(change)

    return serve


def longer(count: int) -> Fault:
    """Append bytes to the body, and increase the length accordingly."""
    return lambda exchange: exchange.relay(longer=count, more=b"x" * count)


def said_longer(count: int) -> Fault:
    """Announce a greater length than the real one."""
    return lambda exchange: exchange.relay(longer=count)


def in_chunks(more: bytes = b"") -> Fault:
    """Send the body without a length, optionally with bytes after it."""
    return lambda exchange: exchange.relay(chunked=True, more=more)


def endless(exchange: Exchange) -> None:
    """Send a body that never ends, until the client gives up."""
    exchange.begin(200, [("Content-Type", "application/json")], None)
    while True:
        exchange.give(b" " * _PIECE, chunked=True)


def vast(size: int, media_type: str = "application/vnd.oci.image.manifest.v1+json", *, said: bool = True) -> Fault:
    """Send a generated body of `size` bytes, with its length, or chunked."""

    def serve(exchange: Exchange) -> None:
        exchange.begin(200, [("Content-Type", media_type)], size if said else None)
        piece = b" " * _PIECE
        for _ in range(size // _PIECE):
            exchange.give(piece, chunked=not said)

    return serve


def swallowed(after: int) -> Fault:
    """End the connection after so many bytes of the request body; the registry gets none of them."""

    def serve(exchange: Exchange) -> None:
        for _ in exchange.body(after):
            pass
        exchange.hang_up(reset=True)

    return serve


def kept_partly(after: int) -> Fault:
    """Do the same, but the registry has the bytes received so far and reports them, so the upload can continue."""

    def serve(exchange: Exchange) -> None:
        data = b"".join(exchange.body(after))
        changes = {"content-length": str(len(data))}
        if "content-range" in exchange.seen.headers:
            start = int(exchange.seen.headers["content-range"].partition("-")[0])
            changes["content-range"] = f"{start}-{start + len(data) - 1}"
        with exchange.upstream(data, changes) as answer:
            assert answer.status == 202, answer.read()
            place = urlsplit(answer.getheader("Location") or "")
            exchange.proxy.moved[place.path] = f"{place.path}?{place.query}"
        exchange.hang_up(reset=True)

    return serve
