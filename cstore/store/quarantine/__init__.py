"""Files that a repair removed from the store, kept so that they can be restored.

    GRAPH/cstore-quarantine/            0700
    ├── lock                            0644  held to quarantine, restore or purge
    └── 20261121T113012-3f2a9c/         0700  a case: all that one run removed from the store or changed in it
        ├── case.json                   0600  the journal: a line for the case, then one for each entry
        └── 0-layers.json, 1-3f2a…      the things themselves, numbered

An entry is in the journal, on disk, before its thing is moved. So after a crash each thing is either at its old path or
in the case, which can be checked; nothing has to be completed.

Owns: the journal, and moving things into and out of cases. Must not know: what is wrong with a store.
"""

from __future__ import annotations

from cstore.store.quarantine.case import Case, Kept, Recorded, broken_off, cases, find_case
from cstore.store.quarantine.keeping import QuarantineWriter, keeping
from cstore.store.quarantine.purging import KEEPING, purge, tidy
from cstore.store.quarantine.undoing import Undone, undo

__all__ = [
    "KEEPING",
    "Case",
    "Kept",
    "QuarantineWriter",
    "Recorded",
    "Undone",
    "broken_off",
    "cases",
    "find_case",
    "keeping",
    "purge",
    "tidy",
    "undo",
]
