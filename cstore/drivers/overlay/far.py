"""Layers of additional layer stores, whose files a program or another disk keeps outside of the store.

    STORE/[base64 of the image's reference/]<digest of the layer or of its table of contents>/
    ├── diff/    the layer's directory, often a mount
    ├── info     its record fields, as JSON
    └── blob     its archive, as it was pushed

Such a layer's directory in this store has a link to that `diff` in place of its own, and a file `additionallayer` with
the path of the directory that contains it, the far side. The far side is only read. (drivers 7.13)
"""

from __future__ import annotations

import base64
import os

from cstore import presence
from cstore.drivers.far_info import read_info
from cstore.drivers.overlay.options import NAME
from cstore.errors import DriverError, SystemFailure
from cstore.fs import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.idmap import IDMap

_EMPTY_ARCHIVE = 1024
"""The size of an archive without entries, in bytes."""


def find_far(stores: Sequence[str], digest: str, reference: str) -> str:
    """Return the far side of a layer in one of the configured stores, `DIR` or `DIR:ref`.

    Raises:
        DriverError: no store has the layer, or no store can be read; the message names the stores and reasons.
    """
    reasons = []
    for store in stores:
        path, _, word = store.rpartition(":") if store.endswith(":ref") else (store, "", "")
        if not os.path.isabs(path):
            reasons.append(f"{path} is not an absolute path")
        elif not presence.is_directory(path):
            reasons.append(f"{path} is not a directory")
        else:
            far = os.path.join(path, base64.b64encode(reference.encode()).decode() if word else "", digest)
            reason = far_problem(far)
            if not reason:
                return far
            reasons.append(reason)
    told = "; ".join(reasons) or "no additional layer store is configured"
    raise DriverError(
        NAME,
        f"no additional layer store has the layer {digest}: {told}",
        hint="see additionallayerstores in storage.conf, and mount the stores that are not mounted",
        go_text=f'additional layer ("{digest}", "{reference}") not found: unknown layer',
    )


def far_problem(far: str) -> str:
    """Return why a far side cannot be read, in words; "" if it can.

    An empty directory shows that a mount is missing, unless the layer is empty.
    """
    if not os.path.isabs(far) or os.path.normpath(far) != far:
        return f"{far!r} is not the path of a layer"
    try:
        with os.scandir(os.path.join(far, "diff")) as entries:
            empty = next(entries, None) is None
        for name in ("info", "blob"):
            if not presence.is_file(os.path.join(far, name)):
                return f"{far} has no file {name}"
        if empty and not presence.is_mount_point(os.path.join(far, "diff")):
            size = read_info(far).get("diff-size")
            if not (isinstance(size, int) and 0 < size <= _EMPTY_ARCHIVE):
                return f"{far}/diff is empty: its file system is not mounted"
    except (OSError, ValueError, SystemFailure) as error:
        return f"{far} is not mounted or cannot be read: {error}"
    return ""


def link_to_far(tree: str, far: str, id_map: IDMap) -> None:
    """Replace the empty directory `tree` by a link to a far side, and record its path in a file beside it.

    Raises:
        DriverError: the layer would need an ID map.
        OSError: the link cannot be created.
    """
    if id_map:
        raise DriverError(NAME, f"{far} is read-only, so its layers cannot have an ID map", hint="omit the map")
    within.rmdir(tree)
    with within.holder(tree) as (folder, name):
        os.symlink(os.path.join(far, "diff"), name, dir_fd=folder)
    fd = within.open_path(
        os.path.join(os.path.dirname(tree), "additionallayer"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644
    )
    with open(fd, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(far)
        file.flush()
        os.fsync(fd)
