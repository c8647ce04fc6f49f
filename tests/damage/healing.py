"""What a store is, beyond what any repair may change: everything else in it must come out of a repair as it was."""

from __future__ import annotations

import gzip
import json
import os
import stat
import zlib
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cstore.archive.compression import Compression
from cstore.archive.streams import HashingSink
from tests.builders import paths_below
from tests.damage.specimen import BASE, BASE_TAR, CONTAINER, MIDDLE, MIDDLE_TAR, TOP, TOP_TAR, Specimen

if TYPE_CHECKING:
    from cstore.check.repair import Repaired

KINDS = ("layers", "images", "containers")
ARCHIVES = {BASE: BASE_TAR, MIDDLE: MIDDLE_TAR, TOP: TOP_TAR}
DIGESTS = {layer: f"sha256:{sha256(archive).hexdigest()}" for layer, archive in ARCHIVES.items()}
OWN_FILE = b"what the container has written"

Records = dict[str, dict[str, dict[str, Any]]]
Facts = dict[str, tuple[Any, ...]]


def repair(specimen: Specimen, **options: Any) -> Repaired:
    """Repair a store without a word."""
    from cstore.check.repair import RepairOptions, repair_store

    return repair_store(specimen.open().context, RepairOptions(workers=1, **options))


def own_layer(specimen: Specimen) -> str:
    """The container's own layer."""
    return str(records(specimen)["containers"][CONTAINER]["layer"])


def use_container(specimen: Specimen) -> None:
    """Let the container have files of its own."""
    path = specimen.tree(own_layer(specimen), "own")
    with open(path, "wb") as file:
        file.write(OWN_FILE)
    os.chown(path, 1234, 5678)


def records(specimen: Specimen) -> Records:
    """All records by kind and ID."""
    found: Records = {}
    for kind in KINDS:
        found[kind] = {}
        with suppress(NotADirectoryError, FileNotFoundError), open(specimen.records(kind), encoding="utf-8") as file:
            found[kind] = {row["id"]: row for row in json.load(file)}
    return found


def facts(specimen: Specimen) -> Facts:
    """Everything in the graph root by path: what it is, whose, with which bytes; files in layers also with their times.

    Left out are records, which are compared by themselves, locks, and what has been put into quarantine.
    """
    found: Facts = {}
    top = os.fsencode(specimen.graph)
    left_out = {os.path.join(top, b"cstore-quarantine")}
    for raw in paths_below(top, left_out):
        path = os.fsdecode(raw)[len(specimen.graph) + 1 :]
        if path.endswith((".lock", ".json")) and "/dir/" not in path and "/diff/" not in path:
            continue
        if path.startswith("cstore-quarantine") or "-layers/tmp" in path or "/tmp" in path:
            continue
        found[path] = _fact(raw, path)
    return found


def _fact(raw: bytes, path: str) -> tuple[Any, ...]:
    status = os.lstat(raw)
    what: object = status.st_rdev
    if stat.S_ISREG(status.st_mode):
        with open(raw, "rb") as file:
            data = file.read()
        what = sha256(_plain(data) if path.endswith(".gz") else data).hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        what = os.readlink(raw)
    in_layer = path.startswith("vfs/dir/") or "/diff/" in path
    timed = in_layer and not (stat.S_ISDIR(status.st_mode) or stat.S_ISCHR(status.st_mode))
    xattrs = tuple((name, os.getxattr(raw, name, follow_symlinks=False)) for name in _xattrs(raw)) if in_layer else ()
    when = status.st_mtime_ns if timed else 0
    return status.st_mode, status.st_uid, status.st_gid, what, when, xattrs


def _plain(data: bytes) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return data


def _xattrs(raw: bytes) -> list[str]:
    names = os.listxattr(raw, follow_symlinks=False)
    return sorted(name for name in names if name.startswith(("trusted.", "security.")))


def exported(specimen: Specimen) -> dict[str, str]:
    """The digest of each layer's archive as it is given back."""
    store = specimen.open()
    found = {}
    for layer in ARCHIVES:
        sink = HashingSink()
        store.layers.diff(layer, sink, compression=Compression.NONE)
        found[layer] = sink.digest
    return found


def differences(before: Facts, after: Facts) -> set[str]:
    """Paths at which something is not as it was."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def lost_fields(before: Records, after: Records) -> dict[str, set[str]]:
    """By kind, the fields of records that are not as they were; an ID as field where a record is gone or new."""
    found: dict[str, set[str]] = {}
    for kind in KINDS:
        fields: set[str] = set()
        for identifier in before[kind].keys() | after[kind].keys():
            one, other = before[kind].get(identifier), after[kind].get(identifier)
            if one is None or other is None:
                fields.add(identifier)
            else:
                fields |= {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
        if fields:
            found[kind] = fields
    return found
