"""Recover a lost tar-split: write the layer's files as a tar in the style of each known program and compare the digest.

Only an archive with the recorded digest counts; it also proves that the files are intact. A failed search proves
nothing: entry order, owner names and access times are stored nowhere else.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from cstore.archive.tarsplit import Segment, read_lines
from cstore.errors import CstoreError
from cstore.idmap import IDENTITY
from cstore.layout import is_blob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.archive.dialects.layout import Archive
    from cstore.archive.dialects.table import Dialect
    from cstore.check.repair.repair_view import RepairView

_SIBLINGS = 16
"""The number of other layers whose headers show which program writes the store's archives."""
_HEADERS = 64
_BLOCK = 512


def find_archive(repair_view: RepairView, layer: str, expected: str) -> Archive | None:
    """Search for the archive of a layer whose DiffID is `expected`, within the search time of the repair."""
    key = layer, expected
    if key not in repair_view.searched:
        repair_view.searched[key] = None
        with suppress(OSError, CstoreError):
            repair_view.searched[key] = _search(repair_view, layer, expected)
    return repair_view.searched[key]


def _search(repair_view: RepairView, layer: str, expected: str) -> Archive | None:
    from cstore.archive.dialects import Search, Wanted
    from cstore.archive.dialects.scan import Scan

    snapshot = repair_view.snapshot
    record = snapshot.layers.get(layer)
    roots = snapshot.inspector.own_roots(layer)
    if record is None or repair_view.search_time <= 0 or len(roots) != 1 or is_blob(roots[0]):
        return None
    changes = None
    if snapshot.inspector.whole and record.parent:
        parent = snapshot.layers.get(record.parent)
        below_map = IDENTITY if parent is None else parent.id_map
        changes = snapshot.context.driver.changes(layer, record.parent, record.id_map, below_map)
    below: list[str] = []
    for ancestor in snapshot.chain(layer)[1:]:
        with suppress(OSError, CstoreError):
            below += snapshot.inspector.own_roots(ancestor)
    wanted = Wanted(expected, record.diff_size if record.diff_size > 0 else -1)
    ranked = _ranked(repair_view, layer)
    if changes is None:
        return Search(Scan(roots[0], below, record.id_map), wanted, repair_view.search_time, ranked).run()
    for emptied in (True, False):
        scan = Scan(roots[0], below, record.id_map, changes, emptied=emptied)
        found = Search(scan, wanted, repair_view.search_time / 2, ranked).run()
        if found is not None:
            return found
    return None


def _ranked(repair_view: RepairView, layer: str) -> Sequence[Dialect]:
    """Return all dialects, those first that are most similar to the headers of the store's other layers."""
    from cstore.archive.dialects.table import DIALECTS

    headers: list[bytes] = []
    others = (other for other in repair_view.snapshot.all_layers if other != layer)
    for other in islice(others, _SIBLINGS):
        with suppress(OSError, CstoreError):
            lines = read_lines(repair_view.snapshot.layout_of(other).tar_split(other))
            payloads = islice((line.payload for line in lines if isinstance(line, Segment)), _HEADERS)
            headers += (each[:_BLOCK] for each in payloads if len(each) >= _BLOCK and each[257:262] == b"ustar")
    return sorted(DIALECTS, key=lambda dialect: -sum(_likeness(dialect, header) for header in headers))


def _likeness(dialect: Dialect, header: bytes) -> int:
    """Return how many properties of a dialect a header has, weighted."""
    from cstore.archive.dialects.encode import Form
    from cstore.archive.dialects.table import Owners

    is_gnu = dialect.form in {Form.GNU, Form.PYTHON_GNU}
    is_bsd = dialect.form in {Form.BSD_PAX, Form.BSD_USTAR}
    return sum(
        (
            4 * (is_gnu == (header[257:265] == b"ustar  \0")),
            4 * (is_bsd == (header[106:107] == b" ")),
            2 * (dialect.type_bits == (header[100:107] > b"0010000")),
            2 * ((dialect.owners is not Owners.NONE) == (header[265:266] != b"\0")),
            2 * (dialect.prefix == (b"./" if header.startswith(b"./") else b"")),
        )
    )
