"""Deletes old quarantine cases, only on request.

Whoever deletes items and keeps them for some days has asked so: `gc` needs not be told of those.
"""

from __future__ import annotations

import calendar
import math
import os
import re
import time
from typing import TYPE_CHECKING

from cstore.errors import LockTimeout
from cstore.fs.lock_policy import LockPolicy
from cstore.store.quarantine.case import Case, broken_off, cases, remove_broken_off
from cstore.store.quarantine.keeping import quarantine_lock

if TYPE_CHECKING:
    from cstore.store.context import Context


KEEPING = "cstore rm --keep"
"""The command that keeps for some days what it deletes; their number follows."""
_KEPT = re.compile(rf"{KEEPING} ([0-9]{{1,6}})")
_DAY = 86_400


def purge(context: Context, age: float | None, *, dry_run: bool = False) -> list[Case]:
    """Delete the cases that are at least `age` seconds old, by their names. Returns them.

    Those go as well that were to be kept for a number of days which are over; without an age, only they.

    Raises:
        SystemFailure: something could not be deleted; it is tried again the next time.
    """
    from cstore.fs.tree import remove_tree

    if dry_run:
        return _old(context, age)
    if not os.path.isdir(context.layout.quarantine) or (age is None and not _old(context, age)):
        return []
    with quarantine_lock(context):
        remove_broken_off(context)
        old = _old(context, age)
        for case in old:
            remove_tree(case.directory)
        return old


def tidy(context: Context) -> list[str]:
    """Remove what killed repairs left half written in the quarantine; nothing while one is at work. Returns the paths.

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
    return [path for path in found if not os.path.lexists(path)]


def _old(context: Context, age: float | None) -> list[Case]:
    now = time.time()
    latest = -math.inf if age is None else now - age
    return [case for case in cases(context) if _made(case) <= latest or _made(case) + _kept_for(case) <= now]


def _kept_for(case: Case) -> float:
    """Seconds for which deleted items are kept; forever, unless a time was given."""
    found = _KEPT.fullmatch(case.by)
    return int(found[1]) * _DAY if found and not case.flaw else math.inf


def _made(case: Case) -> float:
    """When a case was opened, which is in its name: the journal may be damaged."""
    try:
        return calendar.timegm(time.strptime(case.id.partition("-")[0], "%Y%m%dT%H%M%S"))
    except ValueError:
        return math.inf  # no repair has given it that name
