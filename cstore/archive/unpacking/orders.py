"""The orders that the reading process sends to the filling process, and the options that they share.

An order is a tuple that marshal can write; its first item is the code. All orders that create something begin with:

    (code, folder, base, mode, uid, gid, times, xattrs, position, …)

`folder` is the plain path of the directory in the archive, `base` the name in it, `uid` and `gid` the owner on the
host, `times` access and modification time in nanoseconds, `xattrs` pairs of name and value, and `position` the number
of the entry's line in the tar-split. Orders do not contain bodies, but their offsets in the ring.
"""

from __future__ import annotations

from cstore.archive.whiteout import WhiteoutForm
from cstore.tuples import NamedTuple

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
    SEEK,  # offset: the contents continue there
    END,  # size or -1: the file is complete; a size makes it that long
    DIRECTORY,  # …: base is empty for the root itself
    SYMLINK,  # …, text
    HARD_LINK,  # …, folder and base of the target
    NODE,  # …, type bits of the mode, device number
    WHITEOUT,  # folder, victim, uid, gid, times: the victim is removed
    OPAQUE,  # folder, times: the folder's lower contents are removed
    RELEASE,  # slot of the ring: no later order needs it
    FINISH,  # nothing: report and end
) = range(13)

FIRST_CREATING, LAST_CREATING = FILE, NODE


class Terms(NamedTuple):
    """The options of unpacking into one tree.

    Attributes:
        form: how the tree represents removals.
        has_lower: the tree contains, or is stacked on, the files of other layers.
        missing_owner: owner of directories that the archive does not list; None if the ID map does not cover 0:0.
        in_user_namespace: ignore EPERM when an attribute is set.
        ignore_chown_errors: keep the owner of a file if the recorded one cannot be set.
        lowers: the directories below a tree that is one layer of a union, nearest first, open for listing.
        unseen: describes the unreadable layer below the last of those; "" if there is none.
        force_mask: the mode of all files, while an attribute holds the intended one; -1 to set the modes themselves.
        again: an archive was unpacked into the tree before, so its root keeps its attributes even if it is empty.
        donor: a tree whose files may share blocks with new ones; None for none.
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
        """Whether to track the unpacked paths, because the tree may have other files."""
        return self.has_lower or self.form is not WhiteoutForm.PLAIN

    @property
    def hides(self) -> bool:
        """Whether a new file must hide lower files of its name; a directory needs a mark for that."""
        return bool(self.form.opaque_xattr) or (self.form is WhiteoutForm.FILES and self.has_lower)
