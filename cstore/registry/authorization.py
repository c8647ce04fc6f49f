"""Authorization at a registry: challenges, basic authentication, and the tokens of a token service."""

from __future__ import annotations

import re
from threading import Lock

from cstore.registry.errors import AccessDenied, AnswerInvalid
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from cstore.registry.access import Clock, Credentials

_ITEM = re.compile(
    r"""[\s,]*(?:
        (?P<key>[A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]*))
        |(?P<scheme>[A-Za-z0-9!#$%&'*+.^_`|~-]+)(?=[\s,]|$)
    )""",
    re.VERBOSE | re.ASCII,
)
_LIFETIME = 60.0
"""Lifetime in seconds of a token whose service does not state it."""
_EARLY = 5.0
"""How many seconds before its expiry a token is no longer used: it must still be valid when it arrives."""


class Challenge(Value):
    """A WWW-Authenticate challenge: a scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Parse WWW-Authenticate headers, each of which may have several challenges. Invalid text ends a header."""
    found: list[tuple[str, dict[str, str]]] = []
    for header in headers:
        place = 0
        while item := _ITEM.match(header, place):
            place = item.end()
            if item["scheme"]:
                found.append((item["scheme"].lower(), {}))
            elif found:
                quoted = item["quoted"]
                value = item["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                found[-1][1].setdefault(item["key"].lower(), value)
    return [Challenge(scheme, parameters) for scheme, parameters in found]


class TokenRequest(Value):
    """A request to a token service: POST if it has a form, else GET."""

    url: str
    query: tuple[tuple[str, str], ...]
    form: tuple[tuple[str, str], ...] = ()
    authorization: str = ""


class Authorization:
    """The authorization state for one registry. Several threads may share it.

    Args:
        registry: host and port, for messages.
        find_credentials: called when credentials are first needed.
        ask: sends a request to a token service and returns its response.
        clock: determines when a token has expired.
    """

    def __init__(
        self,
        registry: str,
        find_credentials: Callable[[], Credentials | None],
        ask: Callable[[TokenRequest], Mapping[str, Any]],
        clock: Clock,
    ) -> None:
        self._registry, self._ask, self._clock = registry, ask, clock
        self._find, self._found = find_credentials, False
        self._credentials: Credentials | None = None
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        self._lock = Lock()
        self.secrets: set[str] = set()
        """Texts that must not appear in messages."""

    def header(self, scopes: tuple[str, ...]) -> str:
        """Return the Authorization header for a request with these scopes; "" while no challenge is known."""
        with self._lock:
            return self._header(scopes)

    def answer(self, challenges: Iterable[str], scopes: tuple[str, ...], sent: str) -> str:
        """Return another header value, after the registry refused the one that was `sent`.

        Raises:
            AccessDenied: there is no other, or the token service refuses.
            RegistryError: the token service does not respond.
        """
        known = parse_challenges(challenges)
        bearer = next((one for one in known if one.scheme == "bearer" and one.parameters.get("realm")), None)
        chosen = bearer or next((one for one in known if one.scheme == "basic"), None)
        if chosen is None:
            raise AccessDenied(
                self._registry, "access denied, and the registry offers no login method that cstore supports"
            )
        with self._lock:
            self._challenge = chosen
            wanted = self._scopes(scopes)
            if sent and (cached := self._tokens.get(wanted)) and sent == f"Bearer {cached[0]}":
                del self._tokens[wanted]
            made = self._header(scopes)
            if not made or (made == sent and chosen.scheme == "basic"):
                raise self.denied()
            return made

    def denied(self) -> AccessDenied:
        """Return the error for a final refusal."""
        login = f"log in with: cstore login {self._registry}"
        if self._credentials is None:
            return AccessDenied(
                self._registry, "access denied: the repository does not exist or requires a login", hint=login
            )
        user = self._credentials.user
        return AccessDenied(
            self._registry, f"access denied for the user {user!r}" if user else "access denied", hint=login
        )

    def _header(self, scopes: tuple[str, ...]) -> str:
        challenge = self._challenge
        if challenge is None:
            return ""
        if not self._found:
            self._credentials, self._found = self._find(), True
            if self._credentials is not None:
                self.secrets.update(filter(None, (self._credentials.password, self._credentials.identity_token)))
        credentials = self._credentials
        if challenge.scheme == "basic":
            return self._basic(credentials) if credentials is not None and credentials.user else ""
        wanted = self._scopes(scopes)
        token, until = self._tokens.get(wanted, ("", 0.0))
        if not token or self._clock.now() >= until:
            token, until = self._token(challenge, credentials, wanted)
            self._tokens[wanted] = (token, until)
        return f"Bearer {token}"

    def _scopes(self, scopes: tuple[str, ...]) -> tuple[str, ...]:
        """Return the scopes of the request, or else those that the registry asked for."""
        asked = self._challenge.parameters.get("scope", "") if self._challenge else ""
        return scopes or tuple(asked.split())

    def _basic(self, credentials: Credentials) -> str:
        from base64 import b64encode

        encoded = b64encode(f"{credentials.user}:{credentials.password}".encode()).decode("ascii")
        self.secrets.add(encoded)
        return f"Basic {encoded}"

    def _token(
        self, challenge: Challenge, credentials: Credentials | None, scopes: tuple[str, ...]
    ) -> tuple[str, float]:
        realm, service = challenge.parameters["realm"], challenge.parameters.get("service", "")
        common = (("service", service),) if service else ()
        if credentials is not None and credentials.identity_token:
            form = (
                *common, ("scope", " ".join(scopes)), ("client_id", "cstore"), ("grant_type", "refresh_token"),
                ("refresh_token", credentials.identity_token),
            )  # fmt: skip
            request = TokenRequest(realm, (), form)
        else:
            named = credentials is not None and credentials.user
            account = (("account", credentials.user),) if credentials is not None and named else ()
            query = (*account, *common, *(("scope", scope) for scope in scopes))
            request = TokenRequest(
                realm, query, authorization=self._basic(credentials) if credentials is not None and named else ""
            )
        asked = self._clock.now()
        document = self._ask(request)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
            raise AnswerInvalid(self._registry, "the token service returned no token")
        self.secrets.add(token)
        lifetime = document.get("expires_in")
        seconds = float(lifetime) if isinstance(lifetime, int | float) and lifetime > 0 else _LIFETIME
        return token, asked + max(min(seconds, 86_400.0) - _EARLY, seconds / 2)
