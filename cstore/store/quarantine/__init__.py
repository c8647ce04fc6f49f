"""The quarantine: items that a repair removed from the store, kept so that they can be restored.

    GRAPH/cstore-quarantine/            0700
    ├── lock                            0644  held by whoever takes out, brings back or throws away
    └── 20261121T113012-3f2a9c/         0700  a case: all that one run took out of the store or changed in it
        ├── case.json                   0600  the journal: a line for the case, then one for each entry
        └── 0-layers.json, 1-3f2a…      the things themselves, numbered

An entry is in the journal, on the disk, before its thing is moved. So after a crash each thing is either where it was
or where its entry says, and which of the two can be seen; nothing need be finished.

Owns: the journal, and moving things there and back. Must not know: what is wrong with a store.
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
