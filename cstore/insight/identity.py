"""Identification of store paths, hashes, short links, processes and mount points, with the evidence for each answer."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore import presence
from cstore.arguments import checked
from cstore.errors import NotAnItem, RecordsDamaged, SystemFailure, UnsafeID
from cstore.ids import is_hex
from cstore.insight.parts import Parts
from cstore.kernel.mountinfo import read_mounts
from cstore.store.context import context_of
from cstore.store.lost_records import hidden_containers
from cstore.store.naming import candidates
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.insight.parts import Part
    from cstore.kernel.mountinfo import MountInfo
    from cstore.store.context import Context
    from cstore.store.store import Store

_LINK_LENGTH, _LINK_LETTERS = 26, frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_USERS = 20
_LONG = 12
"""The minimum length of a hash to match digests: the length that lists display."""


class Known(Value):
    """An item that is related to an answer."""

    kind: str
    id: str
    names: tuple[str, ...]


class Identity(Value):
    """One answer.

    Attributes:
        kind: image, container or layer, or another kind of store path (see parts.py).
        id, names: of the item.
        path: the part of the store that was found, if any.
        inside: the rest of the path, within that part.
        how: the evidence for the answer.
        used_by: the images and containers that use a layer.
        problems: errors in the item's chain of layers, as sentences.
    """

    kind: str
    id: str
    names: tuple[str, ...]
    path: str
    inside: str
    how: str
    used_by: tuple[Known, ...] = ()
    problems: tuple[str, ...] = ()


@checked
def identify(store: Store | Context, text: str) -> list[Identity]:
    """Identify the owner of a path, hash, link, process or mount point. Returns all answers, the best one first.

    Raises:
        NotAnItem: it has nothing to do with the store.
        SystemFailure: access to a process is denied, or the records cannot be read.
    """
    context = context_of(store)
    search = _Search(context)
    found = list(dict.fromkeys(search.answers(text)))
    if not found and search.failure is not None:
        raise search.failure
    if not found:
        error = NotAnItem(text)
        error.message = f"{text!r} has nothing to do with the store in {context.layout.graph_root}"
        error.hint = "name a path, an ID or digest, a short link, a process or a mount point"
        raise error
    return [each.with_(problems=search.problems_of(each.kind, each.id)) for each in found]


class _Search:
    """A search in one view of a store. `failure` is the reason why a process cannot be inspected."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tables = Reader(context)
        self._parts = Parts(context, self._tables)
        self.failure: SystemFailure | None = None
        # The roots and the directories in them may be links, so paths in them match by either name.
        self._places = [(name, place) for place in self._parts.leading for name in {place, os.path.realpath(place)}]
        self._places.sort(key=lambda each: -len(each[0]))

    def answers(self, text: str) -> Iterator[Identity]:
        """Yield the answers of each kind of search in turn."""
        if text.isascii() and text.isdecimal() and presence.is_directory(f"/proc/{text}"):
            yield from self._of_process(int(text))
        if "/" in text or presence.is_there(text):
            yield from self._of_path(text)
        last = text.rpartition("/")[2]
        link = os.path.join(self._context.layout.driver_home, "l", last)
        if len(last) == _LINK_LENGTH and _LINK_LETTERS.issuperset(last) and presence.is_link(link):
            yield from self._of_target(f"{os.path.realpath(os.path.dirname(link))}/{last}")
        yield from self._of_name(text)

    # ── paths ──

    def _of_path(self, text: str) -> Iterator[Identity]:
        folder, name = os.path.split(os.path.abspath(text))
        path = os.path.join(os.path.realpath(folder), name)
        part = self._part_of(path)
        if part is None:
            yield from self._elsewhere(path)
            with suppress(OSError, ValueError):
                # If several mounts cover a path, the last one is on top.
                over = [each for each in reversed(read_mounts()) if _is_in(path, each.mount_point)]
                if over:
                    top = max(over, key=lambda each: len(each.mount_point))
                    yield from self._of_mount(top, f"what is mounted on {top.mount_point}")
        elif part.kind not in {"foreign", "orphan", "unknown"} or presence.is_there(path):
            yield self._identity(part, path)
            if presence.is_link(path):
                yield from self._of_target(path)

    def _elsewhere(self, path: str) -> Iterator[Identity]:
        """Identify a path in an additional store."""
        for extra in self._tables.additional:
            root = os.path.realpath(extra.layout.graph_root)
            if extra.images_only or not _is_in(path, root):
                continue
            how = f"it is in the additional store {extra.layout.graph_root}"
            rest = path[len(root) + 1 :].split("/")
            for kind, table in (("layer", extra.layers), ("image", extra.images)):
                for name in [each for each in rest[:3] if each in table]:
                    yield Identity(kind, name, self._names(kind, name), path, "", how, self._users(kind, name))
                    return
            yield Identity("store", "", (), path, "", how)

    def _part_of(self, path: str) -> Part | None:
        """Return the part of the store that contains a path, which need not exist; None for a path elsewhere."""
        for name, place in self._places:
            if not _is_in(path, name):
                continue
            rest = [each for each in path[len(name) :].split("/") if each]
            current, part = place, self._parts.at(place)
            while part.leads_on and rest:
                current = os.path.join(current, rest.pop(0))
                part = self._parts.at(current)
            return part
        return None

    def _identity(self, part: Part, path: str = "", how: str = "") -> Identity:
        real = os.path.join(os.path.realpath(os.path.dirname(part.path)), os.path.basename(part.path))
        inside = next((path[len(place) + 1 :] for place in (part.path, real) if path.startswith(f"{place}/")), "")
        if part.owner:
            kind, names = part.owner, self._names(part.owner, part.id)
        else:
            kind, names = part.kind, ()
        how = how or part.how
        if part.kind == "quarantine":
            how = self._case_of(path) or how
        return Identity(kind, part.id, names, part.path, inside, how, self._users(kind, part.id))

    def _names(self, kind: str, identifier: str) -> tuple[str, ...]:
        tables = self._tables
        if kind == "container":
            container = tables.containers.get(identifier)
            return () if container is None else container.names
        if kind == "layer":
            layers = (tables.layers, *(extra.layers for extra in tables.additional))
            return next((layer.names for table in layers if (layer := table.get(identifier))), ())
        images = (tables.images, *(extra.images for extra in tables.additional))
        return next((image.names for table in images if (image := table.get(identifier))), ())

    def _users(self, kind: str, identifier: str) -> tuple[Known, ...]:
        """Return the images and containers that use a layer."""
        if kind != "layer":
            return ()
        from cstore.insight.holding import flattened, holders
        from cstore.store.lookup import Item

        found = flattened(holders(self._context, Item(ItemKind.LAYERS, identifier), processes=False).holders)
        known = (Known(each.kind, each.id, each.names) for _, each in found if each.kind in {"image", "container"})
        return tuple(dict.fromkeys(known))

    def problems_of(self, kind: str, identifier: str) -> tuple[str, ...]:
        """Return the errors in an item's chain of layers."""
        from cstore.store.lookup import chain_of_layer

        tables: dict[str, Any] = {
            "image": self._tables.images,
            "container": self._tables.containers,
            "layer": self._tables.layers,
        }
        record: Any = tables[kind].get(identifier) if kind in tables else None
        if record is None:
            return ()
        problem = chain_of_layer(self._tables, identifier if kind == "layer" else record.layer)[1]
        return (problem,) if problem else ()

    def _case_of(self, path: str) -> str:
        """Return a description of the case that moved a path into quarantine, or ""."""
        from cstore.store.quarantine import cases

        for case in cases(self._context):
            if not _is_in(path, os.path.realpath(case.directory)):
                continue
            name = path[len(os.path.realpath(case.directory)) + 1 :].partition("/")[0]
            was = next((each.path for each in case.kept if each.name == name), "")
            place = f"; it was {was}" if was else ""
            return f"`{case.by}` moved it into quarantine, case {case.id}{place}"
        return ""

    def _of_target(self, link: str) -> Iterator[Identity]:
        """Identify the target of a link in the store, if the target is in the store, too."""
        target = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
        part = self._part_of(target)
        if part is not None and not part.leads_on:
            yield self._identity(part, target, f"the link leads to {target}")

    # ── hashes ──

    def _of_name(self, text: str) -> Iterator[Identity]:
        for way in (text, f"sha256:{text}") if _is_hash(text) and len(text) >= _LONG else (text,):
            for item in candidates(self._tables, way):
                names, users = self._names(item.kind, item.id), self._users(item.kind, item.id)
                how = _way(text, item.id, names)
                yield Identity(item.kind, item.id, names, self._place(item.kind, item.id), "", how, users)
        if _is_hash(text):
            yield from self._without_record(text)

    def _place(self, kind: str, identifier: str) -> str:
        if kind != "layer":
            return ""
        with suppress(UnsafeID):
            path = self._context.driver.path_of(identifier)
            return path if presence.is_there(path) else ""
        return ""

    def _without_record(self, text: str) -> Iterator[Identity]:
        """Find directories of layers or data items without a record, and objects in quarantine."""
        layout = self._context.layout
        trees = os.path.dirname(self._context.driver.path_of("0" * 64))
        for folder in (trees, layout.layers, layout.images, layout.containers):
            names = [text]
            if len(text) < 64:  # it may be a prefix of names
                try:
                    names = [name for name in sorted(os.listdir(folder)) if name.startswith(text)][:_USERS]
                except OSError:
                    names = []
            for path in [os.path.join(folder, name) for name in names]:
                part = self._parts.at(path) if presence.is_there(path) else None
                if part is not None and not part.owner and part.kind in {"orphan", "unknown", "foreign"}:
                    yield self._identity(part)
        if not presence.is_there(layout.quarantine):
            return
        from cstore.store.quarantine import cases

        for case in cases(self._context):
            for kept in case.kept:
                if text in kept.path:
                    how = f"`{case.by}` took it out, case {case.id}; it was {kept.path}"
                    yield Identity("quarantine", "", (), case.path_of(kept), "", how)

    # ── processes and mounts ──

    def _of_process(self, pid: int) -> Iterator[Identity]:
        """Identify the root and the working directory of a process, and the container that its control group names."""
        try:
            root = os.readlink(f"/proc/{pid}/root")
            mounts = read_mounts(pid)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            failure = error if isinstance(error, OSError) else OSError(str(error))
            self.failure = SystemFailure("look at", f"/proc/{pid}", failure, hint="root may")
            return  # the digits may be part of an ID
        import re

        with suppress(OSError), open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            for identifier in dict.fromkeys(re.findall(r"[0-9a-f]{64}", file.read())):
                if identifier in self._tables.containers:
                    names, how = self._names("container", identifier), f"the control group of process {pid} names it"
                    yield Identity("container", identifier, names, "", "", how)
        if root != "/":
            yield from self._retold(self._of_path(root), f"the root of process {pid} is {root}")
        else:
            top = next((each for each in reversed(mounts) if each.mount_point == "/"), None)
            if top is not None:
                yield from self._of_mount(top, f"the root of process {pid}")
        with suppress(OSError):
            here = os.readlink(f"/proc/{pid}/cwd")
            yield from self._retold(self._of_path(here), f"process {pid} is in {here}") if root == "/" else ()

    def _retold(self, found: Iterator[Identity], how: str) -> Iterator[Identity]:
        yield from (each.with_(how=f"{how}; {each.how}") for each in found)

    def _of_mount(self, mount: MountInfo, what: str) -> Iterator[Identity]:
        """Identify the layer that a mount exposes: by its overlay directories, its device, or its bind source."""
        options = dict(each.partition("=")[::2] for each in mount.super_options.split(","))
        for key in ("upperdir", "lowerdir"):
            for directory in options.get(key, "").split(":")[:1]:
                yield from self._of_layer_directory(directory, f"{what} has the {key} {directory}")
            if options.get(key):
                return
        with suppress(OSError, ValueError):
            for each in read_mounts():
                if each.device == mount.device and each.root == mount.root:
                    part = self._part_of(each.mount_point)
                    if part is not None and part.owner:
                        yield self._identity(part, "", f"{what} is also mounted on {each.mount_point}")
                        return
        for name in reversed(mount.root.split("/")):
            if name in self._tables.layers:
                path = self._context.driver.path_of(name)
                yield self._identity(self._parts.at(path), "", f"{what} is the directory {mount.root}")
                return

    def _of_layer_directory(self, directory: str, how: str) -> Iterator[Identity]:
        if not directory:
            return
        path = os.path.realpath(os.path.join(self._context.layout.driver_home, directory))
        part = self._part_of(path)
        if part is None or not part.owner:
            return
        found = self._identity(part, path, how)
        containers = list(self._tables.containers)
        with suppress(RecordsDamaged):
            containers += hidden_containers(self._context.layout)
        own = next((each for each in containers if each.layer == part.id), None)
        if own is not None:
            yield found.with_(kind="container", id=own.id, names=own.names)
        yield found


def _is_hash(text: str) -> bool:
    """Whether a text may be a SHA-256 hash or a prefix of one."""
    return 2 <= len(text) <= 64 and is_hex(text)


def _way(text: str, identifier: str, names: tuple[str, ...]) -> str:
    """Return how a text refers to an item."""
    if identifier.startswith(text):
        return "this is its ID" if identifier == text else "its ID begins with this"
    if text in names:
        return "this is its name"
    digest = text.startswith("sha256:") or _is_hash(text)
    return "this is a digest of it, of its archive or of its manifest" if digest else "this is short for its name"


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
