"""Options for access to a registry: credentials, trust, retries and timeouts."""

from __future__ import annotations

from cstore.registry.errors import RegistryUnreachable
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Credentials(Value):
    """A user and a password, or an identity token instead of both. They are never shown, not even by `repr`."""

    user: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r}, …)"


class Retrying(Value):
    """How often and for how long a request is repeated.

    Attributes:
        attempts: total number of attempts, 1 for no retry.
        first_delay: seconds before the second attempt; each further delay is twice as long.
        longest_delay: the maximum delay in seconds.
        longest_wait: the maximum that a registry may request (`Retry-After`), in seconds; more is an error.
    """

    attempts: int = 5
    first_delay: float = 1.0
    longest_delay: float = 30.0
    longest_wait: float = 120.0

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after a failed attempt, counted from 1."""
        return float(min(self.longest_delay, self.first_delay * 2 ** min(attempt - 1, 30)))


class Retry(Value):
    """A coming retry.

    Attributes:
        action: what the request is for, as the phrase after "cannot" in messages.
        attempt: the number of the next attempt, counted from 1.
        wait: seconds until then.
        reason: what failed, in a sentence.
    """

    action: str
    attempt: int
    wait: float
    reason: str


class Clock:
    """The client's clock. Tests use one that does not wait.

    Attributes:
        hear: called before each retry, in the thread that waits for it.
    """

    hear: Callable[[Retry], None] | None = None

    def __init__(self) -> None:
        from threading import Event

        self._stopped = Event()

    def pause(self, retry: Retry) -> None:
        """Report a retry, and wait for it.

        Raises:
            RegistryUnreachable: `stop` was called.
        """
        if self.hear is not None:
            self.hear(retry)
        self.sleep(retry.wait)

    def now(self) -> float:
        """Return monotonic seconds."""
        from time import monotonic

        return monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            RegistryUnreachable: `stop` was called.
        """
        if self._stopped.wait(seconds):
            raise RegistryUnreachable("the registry", "the operation was stopped")

    def stop(self) -> None:
        """End all present and future waits. May be called from any thread."""
        self._stopped.set()


class Access(Value):
    """How to access a registry, as far as the caller decides; the configuration has the rest.

    Attributes:
        tls_verify: False: accept any certificate, and plain HTTP; True: neither; None: as registries.conf says.
        credentials: user and password for the registry in the name, but not its mirrors; None: those of files and
            helpers.
        anonymous: use no credentials at all.
        auth_file: the file to search first for credentials ("": REGISTRY_AUTH_FILE, or the usual one).
        certificates: a directory with *.crt, *.cert and *.key, instead of certs.d.
        retrying: the limits of retries.
        connect_timeout: seconds after which a connection attempt fails.
        read_timeout: seconds after which a connection counts as broken if less than 1 KiB arrived in that time.
        clock: creates the clock of a repository.
        user_agent: the program's name for the registry.
    """

    tls_verify: bool | None = None
    credentials: Credentials | None = None
    anonymous: bool = False
    auth_file: str = ""
    certificates: str = ""
    retrying: Retrying = Retrying()
    connect_timeout: float = 30.0
    read_timeout: float = 60.0
    clock: Callable[[], Clock] = Clock
    user_agent: str = "cstore"
