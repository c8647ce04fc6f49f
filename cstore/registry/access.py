"""Settings of a caller for registries: credentials, trust, retries and time limits."""

from __future__ import annotations

from cstore.registry.errors import RegistryUnreachable
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Credentials(Value):
    """A user and a password, or an identity token in the place of both. They are never shown, not even by `repr`."""

    user: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r}, …)"


class Retrying(Value):
    """How often and how long a request is tried.

    Attributes:
        attempts: how often in all, 1 for once.
        first_delay: seconds before the second attempt; each further wait is twice as long.
        longest_delay: seconds that no such wait exceeds.
        longest_wait: seconds that a registry may ask for (`Retry-After`); if it wants more, it is an error.
    """

    attempts: int = 5
    first_delay: float = 1.0
    longest_delay: float = 30.0
    longest_wait: float = 120.0

    def delay(self, attempt: int) -> float:
        """Seconds to wait after an attempt, counted from 1, that failed."""
        return float(min(self.longest_delay, self.first_delay * 2 ** min(attempt - 1, 30)))


class Retry(Value):
    """Something is tried again.

    Attributes:
        action: what it is for, as a message says it after "cannot".
        attempt: which attempt comes next, counted from 1.
        wait: seconds until then.
        reason: the reason of the failure, as a sentence.
    """

    action: str
    attempt: int
    wait: float
    reason: str


class Clock:
    """The client's clock. Tests pass one that does not wait.

    Attributes:
        hear: called before the wait of every retry, from any thread.
    """

    hear: Callable[[Retry], None] | None = None

    def __init__(self) -> None:
        from threading import Event

        self._stopped = Event()

    def pause(self, retry: Retry) -> None:
        """Tell of a retry, and wait for it.

        Raises:
            RegistryUnreachable: `stop` was called.
        """
        if self.hear is not None:
            self.hear(retry)
        self.sleep(retry.wait)

    def now(self) -> float:
        """Seconds since some moment."""
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
        """End every wait, from any thread; from now on, nothing waits."""
        self._stopped.set()


class Access(Value):
    """How a registry is spoken to, as far as the command line says; the configuration says the rest.

    Attributes:
        tls_verify: False: accept any certificate, and plain HTTP; True: neither; None: what registries.conf says.
        credentials: a user and a password for the registry of the name, and not for its mirrors; None: those of the
            files and helpers.
        anonymous: look for no credentials at all.
        auth_file: the file to look for them in, before all others ("": REGISTRY_AUTH_FILE, or the usual one).
        certificates: a directory with *.crt, *.cert and *.key, in the place of certs.d.
        retrying: how often and how long.
        connect_timeout: seconds until a connection counts as not to be had.
        read_timeout: seconds until one counts as cut, from which nothing comes, or less than 1 KiB in all that time.
        clock: makes the clock of one repository.
        user_agent: what the registry is told about this program.
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
