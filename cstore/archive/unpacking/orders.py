"""The orders of the reading process to the one that fills the tree, and the settings for that process.

An order is a tuple that marshal(3) can write; the first item is its code. Those that create something begin alike:

    (code, folder, base, mode, uid, gid, times, xattrs, position, …)

`folder` is the plain name of the directory as the archive has it, `base` the name in there, `uid` and `gid` the owner
on the host, `times` access and modification time in nanoseconds, `xattrs` pairs of name and value, and `position` the
number of the entry's line in the tar-split. Bodies are not in the orders: they stand in the ring, and an order says
where.
"""

from __future__ import annotations

from cstore.archive.whiteout import WhiteoutForm
from cstore.values import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.archive.composefs import Tree
    from cstore.archive.unpacking.sharing import Donor

    Order = tuple[Any, ...]

(
    FILE,  # …, place in the ring, size: a whole file
    BEGIN,  # …: a file whose contents come with the next orders
    DATA,  # place in the ring, size: the next contents of that file
    SEEK,  # offset: they go on there
    END,  # size or -1: the file is complete; a size makes it that long
    DIRECTORY,  # …: base is empty for the root itself
    SYMLINK,  # …, text
    HARD_LINK,  # …, folder and base of the target
    NODE,  # …, type bits of the mode, device number
    WHITEOUT,  # folder, victim, uid, gid, times: it is gone
    OPAQUE,  # folder, times: everything below it is gone
    RELEASE,  # slot of the ring: nothing before this order needs it, and nothing after it
    FINISH,  # nothing: report and end
) = range(13)

FIRST_CREATING, LAST_CREATING = FILE, NODE


class Terms(NamedTuple):
    """The settings of a whole tree.

    Attributes:
        form: how removals are represented.
        has_lower: the tree contains, or is stacked on, the files of other layers.
        missing_owner: owner of directories that the archive does not list; None if the ID map has none for 0:0.
        in_user_namespace: EPERM for an attribute is forgiven.
        ignore_chown_errors: an owner that cannot be set is left as it is.
        lowers: the directories below a tree that is a part of a union, nearest first, open for listing.
        unseen: what is below the last of those and cannot be read, in words; "" for nothing.
        force_mask: the mode of all that is made, what it should have being in an attribute; -1 for its own.
        again: an archive was unpacked into the tree before: its root is as it shall be, though nothing is in it.
        donor: a tree with whose files new ones may share their blocks; None for none.
    """

    form: WhiteoutForm
    has_lower: bool
    missing_owner: tuple[int, int] | None
    in_user_namespace: bool
    ignore_chown_errors: bool
    lowers: tuple[Tree, ...] = ()
    unseen: str = ""
    force_mask: int = -1
    again: bool = False
    donor: Donor | None = None

    @property
    def tracks(self) -> bool:
        """Whether it must be known which paths this archive has unpacked: if anything else can be in the tree."""
        return self.has_lower or self.form is not WhiteoutForm.PLAIN

    @property
    def hides(self) -> bool:
        """Whether a new entry must hide lower files: a directory does so with a mark."""
        return bool(self.form.opaque_xattr) or (self.form is WhiteoutForm.FILES and self.has_lower)
