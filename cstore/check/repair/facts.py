"""Recompute the archive fields of a layer record from the tar-split and the layer's files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.archive.tar.reader import TarReader
from cstore.archive.whiteout import is_whiteout_name
from cstore.check.layer_stream import FileProblem, LayerStream
from cstore.errors import CstoreError
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Sequence


class ArchiveFacts(Value):
    """The facts of a rebuilt archive.

    Attributes:
        digest: its digest; "" if the files no longer match the archive.
        size: its length in bytes.
        uids, gids: the owners in it, except those of whiteouts (store-format 4.1).
        problems: the damaged files.
    """

    digest: str
    size: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    problems: tuple[FileProblem, ...] = ()


def archive_facts(tar_split: str, roots: Sequence[str]) -> ArchiveFacts | None:
    """Read a tar-split with the layer's files; None if the tar-split is missing or cannot be read."""
    uids: set[int] = set()
    gids: set[int] = set()
    try:
        with LayerStream(tar_split, roots) as stream:
            reader = TarReader(stream, _forget)
            while (entry := reader.next()) is not None:
                if not is_whiteout_name(entry.name.rstrip(b"/").rpartition(b"/")[2]):
                    uids.add(entry.uid)
                    gids.add(entry.gid)
            for _ in reader.rest():
                pass
    except CstoreError:
        return None
    digest = "" if stream.problems else stream.digest
    return ArchiveFacts(digest, stream.size, tuple(sorted(uids)), tuple(sorted(gids)), tuple(stream.problems))


def _forget(data: bytes) -> None:
    """Discard data that a tar reader would have kept."""
