"""Rewrite orders for force_mask: the same owner and mode for all files, with the intended ones in an attribute."""

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
_NOTHING = (0, 0)  # offset and size in the ring of an empty file


def masked(give: Callable[[Order], None], mask: int) -> Callable[[Order], None]:
    """Return a function that passes orders to `give`, changed to create files with mode `mask` and our own owner.

    Devices and fifos become empty files. Symbolic links get the owner only, because they cannot have such
    attributes; hard links share those of their target.
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
