"""HTTP with one registry: connections, redirects, authorization, retries, and errors in sentences.

Credentials go to the registry and to the token service that it names, never to redirect targets. Bodies are requested
without compression and never decompressed here.
"""

from __future__ import annotations

import json
from threading import Lock
from urllib.parse import urlencode, urljoin, urlsplit

from urllib3.exceptions import HTTPError

from cstore.registry.access import Retry
from cstore.registry.authorization import Authorization
from cstore.registry.connections import Connections
from cstore.registry.errors import (
    AccessDenied,
    AnswerInvalid,
    NotInRegistry,
    RegistryBusy,
    RegistryError,
    RegistryFailed,
    RegistryUnreachable,
    RegistryUntrusted,
    cleaned,
)
from cstore.registry.failures import never_connected, unreachable
from cstore.registry.urls import host_of, joined_url, without_usual_port
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    import urllib3

    from cstore.registry.access import Access, Clock, Credentials
    from cstore.registry.authorization import TokenRequest
    from cstore.registry.proxies import Proxies
    from cstore.registry.tls import Trust

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may succeed."""
_MOST_REDIRECTS = 5
_DOCUMENT = 1 << 20
"""Maximum size in bytes of a token or error document."""
_LITTLE = 16 << 10
"""Maximum number of bytes to read from a response just to reuse its connection."""
_LONGEST_READ = 300.0
"""Seconds within which a document must arrive."""


class Request(Value, kw_only=True):
    """A request to the registry.

    Attributes:
        method, path: `path` begins with a slash; it may have a query.
        action: what it is for, as the phrase after "cannot" in messages.
        expect: the statuses that are not errors.
        scopes: the scopes that a token must have.
        headers, body: `body` creates the body for each attempt; None for none.
        repeatable: whether it may be sent again if its effect is unknown.
    """

    method: str
    path: str
    action: str
    expect: tuple[int, ...] = (200,)
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    body: Callable[[], bytes | Iterable[bytes]] | None = None
    repeatable: bool = True


class Wire:
    """The HTTP client for one registry. Several threads may use it.

    Args:
        registry: host and port.
        shown: the registry's name in messages and in the advice to log in.
        insecure: whether to accept any certificate, and plain HTTP.
        trust: the trusted certificates and the client certificate.
        proxies: the proxies.
        find_credentials: called when credentials are first needed.
    """

    def __init__(
        self,
        registry: str,
        access: Access,
        *,
        shown: str,
        insecure: bool,
        trust: Trust,
        proxies: Proxies,
        find_credentials: Callable[[], Credentials | None],
    ) -> None:
        self.registry, self._access, self._insecure = registry, access, insecure
        self.clock: Clock = access.clock()
        self._connections = Connections(registry, access, trust, proxies, insecure=insecure)
        self._authorization = Authorization(shown, find_credentials, self._ask_token_service, self.clock)
        self._scheme = "" if insecure else "https"
        self._answered = False
        self._lock = Lock()

    def close(self) -> None:
        """Close all connections, and end all waits."""
        self.clock.stop()
        self._connections.close()

    # ── requests ──

    def send(self, request: Request) -> urllib3.BaseHTTPResponse:
        """Send a request, with retries, and return the response; its body is not read.

        Raises:
            RegistryError: there is no response, or an unexpected one.
        """
        return self._trying(request.action, lambda: self._once(request), request.expect, again=request.repeatable)

    def document(self, request: Request, limit: int = _DOCUMENT) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        """Do the same and read the whole body, at most `limit` bytes; a truncated one is requested again.

        Raises:
            RegistryError: as for `send`; or the body is too long.
        """
        return self._whole(lambda: self.send(request), request.action, limit)

    def _whole(
        self, ask: Callable[[], urllib3.BaseHTTPResponse], action: str, limit: int
    ) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        retrying = self._access.retrying
        for attempt in range(1, retrying.attempts + 1):
            response = ask()
            try:
                return response, self._body_of(response, limit, action)
            except RegistryUnreachable as error:
                if attempt == retrying.attempts:
                    raise
                self.clock.pause(Retry(action, attempt + 1, retrying.delay(attempt), error.message))
        raise AssertionError

    def _body_of(self, response: urllib3.BaseHTTPResponse, limit: int, action: str) -> bytes:
        """Read a body of at most `limit` bytes."""
        beyond = f"exceeds the limit of {limit} bytes"
        try:
            encoding = response.headers.get("Content-Encoding", "identity")
            if encoding.lower() not in {"", "identity"}:
                reason = f"the response has a Content-Encoding that was not requested: {cleaned(encoding)!r}"
                raise AnswerInvalid(self.registry, f"cannot {action}: {reason}")
            said = response.headers.get("Content-Length", "")
            if said.isascii() and said.isdecimal() and len(said) < 20 and int(said) > limit:
                raise AnswerInvalid(self.registry, f"cannot {action}: its size, {int(said)} bytes, {beyond}")
            parts, size, until = [], 0, self.clock.now() + _LONGEST_READ
            while data := response.read1(min(1 << 16, limit + 1 - size), decode_content=False):
                parts.append(data)
                size += len(data)
                if size > limit:
                    raise AnswerInvalid(self.registry, f"cannot {action}: the response {beyond}")
                if self.clock.now() > until:
                    raise RegistryUnreachable(self.registry, f"cannot {action}: the response took too long")
            if said and said != str(size):
                raise RegistryUnreachable(self.registry, f"cannot {action}: the connection was cut")
        except (HTTPError, OSError) as error:
            raise unreachable(self.registry, action, error) from None
        finally:
            finish(response)
        return b"".join(parts)

    def location(self, response: urllib3.BaseHTTPResponse, action: str) -> str:
        """Return the path, with query, of a response's Location header. It must be on the registry itself.

        Raises:
            AnswerInvalid: it is elsewhere, or invalid.
        """
        return self.local_path(response.headers.get("Location", ""), response, action)

    def local_path(self, target: str, response: urllib3.BaseHTTPResponse, action: str) -> str:
        """Return the same for a URL from another header."""
        base = urljoin(f"{self._scheme or 'http'}://{self.registry}/", response.url or "/")
        joined = joined_url(self.registry, base, target, action)
        if without_usual_port(urlsplit(joined).netloc) != without_usual_port(self.registry):
            raise AnswerInvalid(self.registry, f"cannot {action}: redirect to another host refused: {host_of(joined)}")
        parts = urlsplit(joined)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    # ── one attempt ──

    def _trying(
        self,
        action: str,
        attempt_once: Callable[[], urllib3.BaseHTTPResponse],
        expect: tuple[int, ...],
        *,
        again: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        retrying, attempt = self._access.retrying, 0
        while True:
            attempt += 1
            fresh = not self._answered
            try:
                response = attempt_once()
            except (HTTPError, OSError) as error:
                failure, wait = unreachable(self.registry, action, error), retrying.delay(attempt)
                # A host that never answered is more likely wrong than busy, and a mirror may follow.
                if isinstance(failure, RegistryUntrusted) or (fresh and never_connected(error)):
                    raise failure from None
            else:
                if response.status in expect:
                    return response
                later = response.status in _LATER
                wait = self._asked_wait(response, retrying.delay(attempt)) if later else 0.0
                failure = self._failure(response, action)
                if not later or wait > retrying.longest_wait:
                    raise failure
                # A temporary refusal means that the request had no effect.
                again = again or response.status in {429, 503}
            if not again or attempt >= retrying.attempts:
                raise failure
            self.clock.pause(Retry(action, attempt + 1, wait, failure.message))

    def _once(self, request: Request) -> urllib3.BaseHTTPResponse:
        url = f"{self._known_scheme()}://{self.registry}{request.path}"
        sent = self._authorization.header(request.scopes)
        response, by_registry = self._exchange(request, url, sent)
        if response.status == 401 and by_registry:  # otherwise a redirect target wants credentials, and gets none
            challenges = response.headers.getlist("WWW-Authenticate")
            finish(response)
            sent = self._authorization.answer(challenges, request.scopes, sent)
            response, _ = self._exchange(request, url, sent)
            if response.status == 401:
                finish(response)
                raise self._authorization.denied()
        return response

    def _exchange(self, request: Request, url: str, authorization: str) -> tuple[urllib3.BaseHTTPResponse, bool]:
        """Send a request and follow redirects; return the response, and whether it came from the registry itself.

        Only the registry gets the Authorization header.
        """
        home = urlsplit(url)[:2]
        for _ in range(_MOST_REDIRECTS + 1):
            at_home = urlsplit(url)[:2] == home
            headers = {"Accept-Encoding": "identity", "User-Agent": self._access.user_agent, **request.headers}
            if authorization and at_home:
                headers["Authorization"] = authorization
            body = request.body() if request.body is not None else None
            response = self._connections.request(request.method, url, headers, body, at_home=at_home)
            self._answered = True
            target = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or response.status in request.expect:
                return response, at_home
            finish(response)
            joined = joined_url(self.registry, url, target, request.action)
            before, after = urlsplit(url), urlsplit(joined)
            if before.scheme == "https" and after.scheme != "https" and not self._insecure:
                reason = f"redirect from TLS to plain HTTP refused: {host_of(joined)}"
                raise AnswerInvalid(self.registry, f"cannot {request.action}: {reason}")
            reading = request.method in {"GET", "HEAD"}
            if not reading and (response.status not in {307, 308} or before[:2] != after[:2]):
                reason = f"redirect of a write request refused: {host_of(joined)}"
                raise AnswerInvalid(self.registry, f"cannot {request.action}: {reason}")
            url = joined
        raise AnswerInvalid(self.registry, f"cannot {request.action}: too many redirects")

    def _known_scheme(self) -> str:
        """Return the scheme to use; if TLS is not required, it is tried first."""
        if not self._scheme:
            with self._lock:
                self._find_scheme()
        return self._scheme

    def _find_scheme(self) -> None:
        if self._scheme:
            return
        headers = {"Accept-Encoding": "identity", "User-Agent": self._access.user_agent}
        try:
            finish(self._connections.request("GET", f"https://{self.registry}/v2/", headers, None, at_home=True))
        except (HTTPError, OSError):
            finish(self._connections.request("GET", f"http://{self.registry}/v2/", headers, None, at_home=True))
            self._scheme = "http"
        else:
            self._scheme = "https"

    def _ask_token_service(self, asked: TokenRequest) -> Mapping[str, Any]:
        """Request a token from the token service that the registry named."""
        action = "get a token"
        url = joined_url(self.registry, f"{self._known_scheme()}://{self.registry}/", asked.url, action)
        secret = asked.form or asked.authorization
        if secret and self._known_scheme() == "https" and urlsplit(url).scheme != "https" and not self._insecure:
            reason = f"refusing to send the password unencrypted to the token service {host_of(url)}"
            raise AnswerInvalid(self.registry, reason)
        headers = {"Accept-Encoding": "identity", "User-Agent": self._access.user_agent}
        if asked.authorization:
            headers["Authorization"] = asked.authorization
        body: bytes | None = None
        if asked.query:
            url += ("&" if urlsplit(url).query else "?") + urlencode(asked.query)
        if asked.form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(asked.form).encode()
        method = "POST" if body is not None else "GET"

        def once() -> urllib3.BaseHTTPResponse:
            return self._connections.request(method, url, headers, body, at_home=host_of(url) == self.registry)

        try:
            _, data = self._whole(lambda: self._trying(action, once, (200,)), action, _DOCUMENT)
        except RegistryFailed as error:
            if error.status == 400:
                raise self._authorization.denied() from None
            raise
        except (AccessDenied, NotInRegistry):
            raise self._authorization.denied() from None
        return self.parsed(data, action)

    def parsed(self, data: bytes, action: str) -> Mapping[str, Any]:
        """Parse a JSON object.

        Raises:
            AnswerInvalid: it is not one.
        """
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise AnswerInvalid(self.registry, f"cannot {action}: the response is not a JSON object")
        return document

    # ── failures ──

    def _failure(self, response: urllib3.BaseHTTPResponse, action: str) -> RegistryError:
        """Return the error for a response."""
        status, text = response.status, ""
        try:
            first = json.loads(response.read1(1 << 16, decode_content=False))["errors"][0]
            text = f"{first.get('code', '')} {first.get('message', '')}"
        except (HTTPError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            pass  # not every registry says more
        finally:
            finish(response)
        told = cleaned(text, self._authorization.secrets)
        because = f": {told}" if told else ""
        if status in {401, 403}:
            denied = self._authorization.denied()
            denied.message += because
            return denied
        if status == 404:
            return NotInRegistry(self.registry, f"cannot {action}: not found{because}")
        if status == 429:
            return RegistryBusy(
                self.registry, f"cannot {action}: too many requests{because}", hint="try again later, or log in"
            )
        return RegistryFailed(self.registry, f"cannot {action}: HTTP status {status}{because}", status)

    def _asked_wait(self, response: urllib3.BaseHTTPResponse, usual: float) -> float:
        """Return the seconds to wait according to Retry-After, which has two forms."""
        text = response.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdecimal():
            return max(float(text[:12]), usual)
        if not text:
            return usual
        from email.utils import parsedate_to_datetime
        from time import time

        try:
            return max(parsedate_to_datetime(text).timestamp() - time(), usual)
        except (ValueError, TypeError, OverflowError):
            return usual


def finish(response: urllib3.BaseHTTPResponse) -> None:
    """Close a response. Its connection is reused if little is left to read and the length is known."""
    left = getattr(response, "length_remaining", None)
    try:
        if left is not None and 0 < left <= _LITTLE:
            response.read(left, decode_content=False)
            left = 0
    except (HTTPError, OSError):
        left = None
    if left == 0:
        response.release_conn()
    response.close()
