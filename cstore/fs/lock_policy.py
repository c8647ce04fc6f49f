"""How long to wait for a lock, and whom to tell. On its own, because readers bring it along and never lock."""

from __future__ import annotations

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class LockPolicy(Value):
    """How long to wait for a lock, and whom to tell.

    Attributes:
        timeout: seconds until `LockTimeout`; None waits for ever, 0 does not wait.
        notice: called once, with the lock's path and its holder ("" if unknown), when `notice_after` seconds have
        passed.
        notice_after: seconds.
    """

    timeout: float | None = None
    notice: Callable[[str, str], None] | None = None
    notice_after: float = 2.0


FOREVER = LockPolicy()
