"""Throwing away what has been in quarantine for long enough. Only ever done when somebody asks."""

from __future__ import annotations

import calendar
import math
import os
import time
from typing import TYPE_CHECKING

from cstore.store.quarantine.case import Case, cases, remove_empty
from cstore.store.quarantine.keeping import quarantine_lock

if TYPE_CHECKING:
    from cstore.store.context import Context


def purge(context: Context, age: float, *, dry_run: bool = False) -> list[Case]:
    """Delete the cases that are at least `age` seconds old, by their names. Returns them.

    Raises:
        SystemFailure: something could not be deleted; it is tried again the next time.
    """
    from cstore.fs.tree import remove_tree

    if dry_run:
        return _old(context, age)
    if not os.path.isdir(context.layout.quarantine):
        return []
    with quarantine_lock(context):
        remove_empty(context)
        old = _old(context, age)
        for case in old:
            remove_tree(case.directory)
        return old


def _old(context: Context, age: float) -> list[Case]:
    latest = time.time() - age
    return [case for case in cases(context) if _made(case) <= latest]


def _made(case: Case) -> float:
    """When a case was opened, which is in its name: the journal may be damaged."""
    try:
        return calendar.timegm(time.strptime(case.id.partition("-")[0], "%Y%m%dT%H%M%S"))
    except ValueError:
        return math.inf  # no repair has given it that name
