"""Orders as they are given with force_mask: one owner and one mode for all, and what was meant in an attribute."""

from __future__ import annotations

import os
import stat

from cstore.archive.override import ATTRIBUTE, Override
from cstore.archive.unpacking import orders as codes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.archive.unpacking.orders import Order

_KINDS = {
    codes.FILE: stat.S_IFREG,
    codes.BEGIN: stat.S_IFREG,
    codes.DIRECTORY: stat.S_IFDIR,
}
_NOTHING = (0, 0)  # of the ring: an empty file


def masked(give: Callable[[Order], None], mask: int) -> Callable[[Order], None]:
    """Return a function that sends orders like `give`, but creates files with the mode `mask` and this process's owner.

    Devices and fifos become empty files. Links have no attributes of their own and stay as they are; a hard link has
    its target's.
    """
    own = os.geteuid(), os.getegid()

    def give_masked(order: Order) -> None:
        code = order[0]
        if code in _KINDS:
            give(_disguised(order, mask, own, _KINDS[code]))
        elif code == codes.NODE:
            *head, kind, number = order
            device = (os.major(number), os.minor(number))
            disguised = _disguised(tuple(head), mask, own, kind, device)
            give((codes.FILE, *disguised[1:], *_NOTHING))
        elif code == codes.SYMLINK:
            give((*order[:4], *own, *order[6:]))
        elif code == codes.WHITEOUT:
            give((*order[:3], *own, *order[5:]))
        else:
            give(order)

    return give_masked


def _disguised(order: Order, mask: int, own: tuple[int, int], kind: int, device: tuple[int, int] = (0, 0)) -> Order:
    code, folder, base, mode, uid, gid, times, xattrs, *rest = order
    meant = Override(uid, gid, mode, kind, device).text()
    return (code, folder, base, mask, *own, times, (*xattrs, (ATTRIBUTE, meant)), *rest)
