"""Stores as tables: records, directories and facts written by hand, in a directory that has nothing else.

Nothing is imported and no archive is applied. `Tables` writes record files with the codec, and the directories and data
items that a test names; `Tables.view` is given what a repair would otherwise read from archives.
"""

from __future__ import annotations

import gzip
import json
import os
from base64 import b32encode, b64encode
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from fastcrc.crc64 import go_iso

from cstore.check.repair.plan import Step, Unrepairable
from cstore.check.repair.repair_context import RepairContext
from cstore.check.repair.repair_view import RepairView
from cstore.check.repair.sources import Sources
from cstore.check.repair.survivors import ArchiveFacts
from cstore.check.snapshot import StoreSnapshot
from cstore.config import Overrides, load_config
from cstore.records import bigdata
from cstore.records.codec import encode
from cstore.records.model import Container, Image, Layer
from cstore.records.table import Location
from cstore.store import open_store
from cstore.store.places import ItemKind
from cstore.store.quarantine import keeping
from tests.builders import END, Entry, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from cstore.check.findings import Finding
    from cstore.check.repair.survivors import ExpectedLayer
    from cstore.records.model import Record
    from cstore.store.context import Context

USER = os.geteuid()
"""The owner of everything in entries and in directories, so that no test needs root."""


def identifier(text: str) -> str:
    """An ID of 64 hexadecimal digits, the same for the same text."""
    return sha256(text.encode()).hexdigest()


class Tables:
    """A store of records. Layers have a directory unless they are in `without_tree`."""

    def __init__(
        self,
        path: Path,
        *records: Record,
        driver: str = "vfs",
        trees: Iterable[str] = (),
        without_tree: Iterable[str] = (),
        volatile: Iterable[Record] = (),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = str(path)
        roots = Overrides(graph_root=f"{self.path}/graph", run_root=f"{self.path}/run", driver=driver)
        loaded = load_config(roots, environ={"HOME": self.path}).with_(sync=False, **(config or {}))
        self.context: Context = open_store(loaded).context
        layers = [each.id for each in records if isinstance(each, Layer)]
        for kind, item_kind in ((Layer, ItemKind.LAYERS), (Image, ItemKind.IMAGES), (Container, ItemKind.CONTAINERS)):
            self.records(item_kind, [each for each in records if isinstance(each, kind)])
            lasting = [each for each in volatile if isinstance(each, kind)]
            if lasting:
                self.records(item_kind, lasting, Location.VOLATILE)
        for layer in {*layers, *trees} - {*without_tree}:
            make_directory(self.tree(layer))

    # ── writing ──

    def records(self, item_kind: ItemKind, records: Iterable[Record], location: Location = Location.STABLE) -> None:
        """Write a whole record file."""
        self.text(item_kind, b"[" + b",".join(map(encode, records)) + b"]", location)

    def text(self, item_kind: ItemKind, text: bytes, location: Location = Location.STABLE) -> None:
        """Write a record file as it is given."""
        write(self.context.places[item_kind].files[location], text)

    def tree(self, layer: str) -> str:
        """The directory with a layer's files."""
        path = self.context.driver.path_of(layer)
        return os.path.join(path, "diff") if self.context.driver.name == "overlay" else path

    def item(self, noun: str, owner: str, key: str, data: bytes) -> None:
        """Write a data item of a `layer`, an `image` or a `container`."""
        layout = self.context.layout
        places = {"layer": layout.layer_data, "image": layout.image_data, "container": layout.container_data}
        write(os.path.join(places[noun](owner), bigdata.file_name(key, noun)), data)

    def lay(self, layer: str, *below: str) -> None:
        """Let overlay lay a layer upon others, nearest first: by the short link of each, which is made."""
        for each in (layer, *below):
            path = os.path.join(self.context.driver.path_of(each), "link")
            if not os.path.exists(path):
                name = b32encode(identifier(each).encode())[:26].decode()
                write(path, name.encode())
                make_directory(os.path.join(self.context.layout.driver_home, "l"))
                os.symlink(f"../{each}/diff", os.path.join(self.context.layout.driver_home, "l", name))
        links = [b"l/" + read(os.path.join(self.context.driver.path_of(each), "link")) for each in below]
        if links:
            write(os.path.join(self.context.driver.path_of(layer), "lower"), b":".join(links))

    def archive(self, layer: str, *entries: Entry, unpacked: bool = True) -> str:
        """Write a layer's tar-split, and its files unless they are not `unpacked`. Returns the archive's digest."""
        write(self.context.layout.tar_split(layer), tar_split(*entries))
        if unpacked:
            unpack(self.tree(layer), *entries)
        return digest(tar(*entries))

    # ── reading ──

    @property
    def snapshot(self) -> StoreSnapshot:
        """What is recorded now."""
        return StoreSnapshot(self.context)

    def view(
        self,
        *sources: str,
        facts: Mapping[str, ArchiveFacts | None] | None = None,
        expected: Mapping[str, ExpectedLayer] | None = None,
        parents: Mapping[str, str | None] | None = None,
        **more: Any,
    ) -> RepairView:
        """What a repair sees; `facts`, `expected` and `parents` stand for what it would read from archives."""
        view = RepairView(self.context, Sources(self.context, sources), more.pop("names", {}), **more)
        view.survivors._facts.update(facts or {})
        if expected is not None:
            view.survivors.__dict__["expected_layers"] = dict(expected)
        view._parents.update(parents or {})
        return view

    @contextmanager
    def repairing(self, *sources: str) -> Iterator[RepairContext]:
        """What a step works with."""
        with keeping(self.context, "a test") as quarantine:
            yield RepairContext(self.context, quarantine, Sources(self.context, sources))

    def carry_out(self, *outcomes: Step | Unrepairable) -> list[str]:
        """Do the steps; returns the paths, below the graph root, of what is in quarantine then."""
        with self.repairing() as repair:
            for outcome in outcomes:
                assert isinstance(outcome, Step)
                outcome.act(repair)
            case = repair.quarantine.case
        paths = [getattr(entry, "path", "") for entry in case.entries] if case else []
        return [os.path.relpath(path, self.context.layout.graph_root) for path in paths if path]


def write(path: str, data: bytes) -> None:
    """Write a file, and the directories above it."""
    make_directory(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(data)


def read(path: str) -> bytes:
    """What a file holds."""
    with open(path, "rb") as file:
        return file.read()


def put(path: str, kind: str) -> None:
    """Let a `link` that leads nowhere, a `directory` or a `fifo` be in the place of a file."""
    os.unlink(path)
    if kind == "link":
        os.symlink("nowhere", path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        os.mkfifo(path)


def make_directory(path: str) -> None:
    """Make a directory and those above it, closed to others, as all of a store's are."""
    if not os.path.isdir(path):
        make_directory(os.path.dirname(path))
        os.mkdir(path, 0o700)


# ── archives ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def tar(*entries: Entry) -> bytes:
    """The archive of these entries, which belong to the user who runs the tests."""
    return b"".join(owned(entry).blocks() for entry in entries) + END


def owned(entry: Entry) -> Entry:
    """The entry with the owner whom everything here has."""
    return entry.but(uid=USER, gid=os.getegid())


def tar_split(*entries: Entry) -> bytes:
    """The tar-split of that archive, as a file."""
    lines: list[dict[str, Any]] = []
    raw = b""
    for entry in map(owned, entries):
        blocks, body = entry.blocks(), entry.body
        before = len(blocks) - len(body) - (-len(body) % 512)
        lines.append({"type": 2, "payload": b64encode(raw + blocks[:before]).decode()})
        named: dict[str, Any] = {"type": 1, "name": entry.name.decode()}
        if body:
            named |= {"size": len(body), "payload": b64encode(go_iso(body).to_bytes(8, "big")).decode()}
        lines.append(named)
        raw = blocks[before + len(body) :]
    lines.append({"type": 2, "payload": b64encode(raw + END).decode()})
    texts = [json.dumps({**line, "position": number}).encode() + b"\n" for number, line in enumerate(lines)]
    return gzip.compress(b"".join(texts), mtime=0)


def unpack(root: str, *entries: Entry) -> str:
    """Make the directories, files and links of these entries in a directory, with their modes and times."""
    os.makedirs(root, exist_ok=True)
    for entry in entries:
        path = os.path.join(root, os.fsdecode(entry.name).rstrip("/"))
        if entry.type == b"5":
            os.makedirs(path, exist_ok=True)
        elif entry.type == b"2":
            os.symlink(entry.linkname, path)
        else:
            write(path, entry.body)
    for entry in reversed(entries):
        path = os.path.join(root, os.fsdecode(entry.name).rstrip("/"))
        if entry.type != b"2":
            os.chmod(path, entry.mode)
        os.utime(path, (entry.mtime, entry.mtime), follow_symlinks=False)
    return root


# ── what comes out ────────────────────────────────────────────────────────────────────────────────────────────────────


def facts(diff_digest: str = "", size: int = 0, **more: Any) -> ArchiveFacts:
    """What an archive that was put together again would say."""
    return ArchiveFacts(diff_digest, size, (0,), (0,), **more)


def told(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Kind and subject of each finding."""
    return [(finding.kind, finding.subject.name) for finding in findings]


def planned(outcomes: Iterable[Step | Unrepairable]) -> list[tuple[str, str]]:
    """What will be done to which subject; of what cannot be repaired, the reason in place of the action."""
    return [(one.action.word if isinstance(one, Step) else one.reason, one.subject.name) for one in outcomes]
