"""Errors about this system: configuration, drivers, locks, programs, and the operating system."""

from __future__ import annotations

import errno
import os

from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class ConfigError(CstoreError):
    """An invalid configuration file, environment variable or option. `line` counts from 1; 0 if unknown."""

    def __init__(self, source: str, reason: str, *, line: int = 0, key: str = "", hint: str = "") -> None:
        self.source, self.reason, self.line, self.key = source, reason, line, key
        place = f"{source}, line {line}" if line else source
        super().__init__(f"{place}: {key}: {reason}" if key else f"{place}: {reason}", hint=hint)


class DriverError(CstoreError):
    """A storage driver cannot do what was requested here."""

    def __init__(self, driver: str, reason: str, *, hint: str = "", go_text: str = "") -> None:
        self.driver, self.reason = driver, reason
        super().__init__(f"storage driver {driver}: {reason}", hint=hint, go_text=go_text or reason)


class DriverUnknown(DriverError):
    """There is no such driver, or none for this store."""

    def __init__(self, driver: str, known: Iterable[str]) -> None:
        super().__init__(
            driver, "there is no such driver", hint=f"choose one of: {', '.join(known)}", go_text="driver not supported"
        )


class LockTimeout(CstoreError):
    """A lock was not free within the permitted time. `holder` is empty if unknown."""

    def __init__(self, path: str, seconds: float, holder: str = "") -> None:
        self.path, self.seconds, self.holder = path, seconds, holder
        by = f" by {holder}" if holder else ""
        super().__init__(
            f"the lock {path} was held{by} for more than {seconds:g} s",
            hint="try again, or allow more time with --lock-timeout",
        )


class SystemFailure(CstoreError):
    """The operating system refused an action: what was tried, on which path, and why. The hint mentions a full disk."""

    def __init__(self, action: str, path: str, error: OSError, *, hint: str = "") -> None:
        self.action, self.path, self.errno = action, path, error.errno or 0
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = hint or "free some space and try again"
        reason = os.strerror(error.errno) if error.errno else str(error)
        super().__init__(f"cannot {action} {path}: {reason}", hint=hint, go_text=f"{action} {path}: {reason.lower()}")


class ForeignThing(SystemFailure):
    """A file in the store has the wrong type. It was not opened."""

    def __init__(self, path: str, found: str, wanted: str) -> None:
        super().__init__("use", path, OSError(22, ""))
        self.found, self.wanted = found, wanted
        self.message = self.go_text = f"{path} is {found} but should be {wanted}"
        self.hint = "cstore repair moves it into quarantine"
        self.args = (self.message,)

    def __reduce__(self) -> tuple[type[ForeignThing], tuple[str, str, str]]:
        return type(self), (self.path, self.found, self.wanted)


class DriverUnusable(DriverError):
    """The driver does not work on this kernel or file system."""


class ProgramMissing(SystemFailure):
    """A program does not exist. The exit code is that of a shell."""

    exit_code = 127


class ProgramRefused(SystemFailure):
    """A program exists but cannot be run. The exit code is that of a shell."""

    exit_code = 126
