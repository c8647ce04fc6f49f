"""How long to wait for a lock, and which function to notify. A separate module, because readers need only this."""

from __future__ import annotations

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class LockPolicy(Value):
    """How long to wait for a lock, and which function to notify.

    Attributes:
        timeout: seconds until `LockTimeout`; None waits forever, 0 does not wait.
        notice: called once with the lock's path and its holder ("" if unknown), after `notice_after` seconds.
        notice_after: seconds.
    """

    timeout: float | None = None
    notice: Callable[[str, str], None] | None = None
    notice_after: float = 2.0


FOREVER = LockPolicy()
