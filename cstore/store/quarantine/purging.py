"""Delete old cases from quarantine, only on request.

`rm --keep` is a request, too: it names the number of days, after which `gc` deletes these cases without an option.
"""

from __future__ import annotations

import calendar
import re
import time
from typing import TYPE_CHECKING

from cstore import presence
from cstore.errors import LockTimeout
from cstore.fs.lock_policy import LockPolicy
from cstore.store.quarantine.case import Case, broken_off, cases, remove_broken_off
from cstore.store.quarantine.keeping import quarantine_lock

if TYPE_CHECKING:
    from cstore.store.context import Context


KEEPING = "cstore rm --keep"
"""The command that quarantines what it deletes; the number of days follows."""
_KEPT = re.compile(rf"{KEEPING} ([0-9]{{1,6}})")
_DAY = 86_400


def purge(context: Context, age: float | None, *, dry_run: bool = False) -> list[Case]:
    """Delete the cases that are at least `age` seconds old, by their names. Return them.

    Also delete cases that were to be kept for a number of days that are over; without an age, delete only these.

    Raises:
        SystemFailure: something could not be deleted; the next purge tries again.
    """
    from cstore.fs.tree import remove_tree

    if dry_run:
        return _old(context, age)
    if not presence.is_directory(context.layout.quarantine) or (age is None and not _old(context, age)):
        return []
    with quarantine_lock(context):
        remove_broken_off(context)
        old = _old(context, age)
        for case in old:
            remove_tree(case.directory)
        return old


def tidy(context: Context) -> list[str]:
    """Remove unfinished files of killed repairs from the quarantine, unless a repair is running. Return the paths.

    Raises:
        Unsupported: root is about to write into another user's store.
    """
    found = broken_off(context)
    if found:
        try:
            with quarantine_lock(context, LockPolicy(timeout=0)):
                remove_broken_off(context)
        except LockTimeout:
            return []
    return [path for path in found if not presence.is_there(path)]


def _old(context: Context, age: float | None) -> list[Case]:
    now, old = time.time(), []
    for case in cases(context):
        try:  # the time is from the name, because the journal may be damaged
            made = calendar.timegm(time.strptime(case.id.partition("-")[0], "%Y%m%dT%H%M%S"))
        except ValueError:
            continue  # no repair creates such a name
        kept = _KEPT.fullmatch(case.by)
        over = kept is not None and not case.flaw and made + int(kept[1]) * _DAY <= now
        if over or (age is not None and made <= now - age):
            old.append(case)
    return old
