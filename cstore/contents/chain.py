"""The layers of an item, top first, opened for reading."""

from __future__ import annotations

import os
from contextlib import ExitStack

from cstore import errors, presence
from cstore.archive.composefs import BlobTree, opened
from cstore.archive.override import override_in
from cstore.archive.union import Lower, Union
from cstore.drivers.inspection import open_inspector
from cstore.fs.closing import Closing
from cstore.idmap import IDENTITY
from cstore.store.lookup import chain_of_layer, layer_by_id, layout_of_layer
from cstore.store.maps import map_of_owners
from cstore.store.reading import Steady
from cstore.tuples import NamedTuple
from cstore.values import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.archive.composefs import Tree
    from cstore.archive.override import Override
    from cstore.idmap import IDMap
    from cstore.records.model import Layer
    from cstore.store import Store

_RENAMED = frozenset({"trusted.overlay.redirect", "user.overlay.redirect"})


class Root(NamedTuple):
    """A directory of a chain, and the layer that owns it."""

    layer: str
    path: str


class View(NamedTuple):
    """The merged view from one directory, number `offset` of the chain, downward."""

    union: Union
    offset: int


class Chain(Closing):
    """The chain of a layer.

    Attributes:
        whole: whether each directory contains everything below it, too.
        has_files_for_marks: whether names in them are marks, because a mount program shows them.
        roots: the directories, top first.
        problems: layers that cannot be read, with reasons, as sentences: without them, results are incomplete.
    """

    def __init__(self, store: Store, layer: Layer) -> None:
        """Open the directories. Missing layers are recorded.

        Raises:
            CstoreError: the layer itself cannot be read.
        """
        self._context, self._tables = store.context, Steady(store.context)
        inspector = open_inspector(store.context.driver, store.context.driver_place)
        self.whole, self.has_files_for_marks = inspector.whole, inspector.has_files_for_marks()
        self._inspector, self._top = inspector, layer.id
        self._stack, self.problems, self._lost = ExitStack(), list[str](), list[str]()
        self.roots: list[Root] = []
        found, problem = chain_of_layer(self._tables, layer.id)
        self.problems += [problem] if problem else []
        lost = {each.parent for each in (layer, *found.values())} - found.keys() - {"", layer.id}
        ancestors = [*(each for each in found if each != layer.id), *lost]
        parts = inspector.parts(layer.id, lambda: ancestors)
        if not parts[0].roots and parts[0].problem:
            reason = f"layer {layer.id} cannot be read: {parts[0].problem}"
            raise errors.DriverError(store.driver_name, reason, hint="see cstore check")
        for part in parts:
            if part.problem:
                self._lost.append(f"layer {part.layer or '(unknown)'} cannot be read: {part.problem}")
            self.roots += [Root(part.layer, path) for path in part.roots]
        self._trees: list[Tree | None] = [None] * len(self.roots)
        self._maps: dict[str, IDMap] = {}
        self._masked: dict[int, bool] = {}
        if not self.whole:
            self.note_lost()
            self._open_all()

    def note_lost(self) -> None:
        """Report missing layers as problems: if single layers are examined, or layers contain only changes."""
        self.problems += [problem for problem in self._lost if problem not in self.problems]

    def _open_all(self) -> None:
        there = []
        for root in self.roots:
            if presence.exists(root.path):
                there.append(root)
            else:
                self.problems.append(f"layer {root.layer} cannot be read: {root.path} is missing")
        self.roots = there
        try:
            trees = self._stack.enter_context(opened([root.path for root in there], os.O_RDONLY))
        except BaseException:
            self.close()
            raise
        self._trees = list(trees)

    def tree(self, number: int) -> Tree:
        """Return a directory of the chain, opened.

        Raises:
            SystemFailure: it cannot be opened.
        """
        found = self._trees[number]
        if found is None:
            found = self._trees[number] = self._stack.enter_context(opened([self.roots[number].path], os.O_RDONLY))[0]
        return found

    def view(self, offset: int = 0) -> View:
        """Return the view from a directory downward; with whole trees, that is everything in the layer."""
        if self.whole:
            return View(Union([Lower(self.tree(offset), ())], plain=True), offset)
        lowers = [Lower(self.tree(number)) for number in range(offset, len(self.roots))]
        return View(Union(lowers, files=self.has_files_for_marks, users=lambda: self.honors_users), offset)

    def alone(self, number: int) -> Union:
        """Return the view of one directory of changes alone; its lookups raise OutOfSight if a lower layer decides."""
        lower = Lower(self.tree(number))
        return Union([lower], files=self.has_files_for_marks, unseen="a layer below", users=lambda: self.honors_users)

    @cached_property
    def honors_users(self) -> bool:
        """Whether `user.overlay.*` attributes are marks here; if not, they are contents of a store in a container."""
        try:
            return self._inspector.has_marks_of_users(self._top)
        except errors.CstoreError as error:
            self.problems.append(error.message)
            return True

    def layer_of(self, number: int) -> str:
        """Return the ID of the layer that owns a directory."""
        return self.roots[number].layer

    # ── owners ──

    def inside(self, number: int, owner: tuple[int, int]) -> tuple[int, int]:
        """Map an owner on disk to the owner inside a container; an unmapped one is returned unchanged."""
        found = self.map_of(number)
        if not found:
            return owner
        try:
            return found.to_container(*owner)
        except errors.CstoreError:
            return owner

    def map_of(self, number: int) -> IDMap:
        """Return the map between owners inside containers and owners in a directory."""
        layer = self.roots[number].layer
        found = self._maps.get(layer)
        if found is None:
            record = layer_by_id(self._tables, layer)
            found = IDENTITY if record is None else map_of_owners(self._context, self._tables, record)
            self._maps[layer] = found
        return found

    def tar_split(self, layer: str) -> str:
        """Return the path of a layer's tar-split file, which need not exist.

        Raises:
            UnsafeID: the layer's ID cannot be part of a path.
        """
        return layout_of_layer(self._tables, self._context.layout, layer).tar_split(layer)

    def override(self, number: int, path: bytes) -> Override | None:
        """Return the owner, mode and type from the attribute of an entry, in directories that use it."""
        return self._override(number, path) if self.is_masked(number) else None

    def is_masked(self, number: int) -> bool:
        """Return whether owners and modes in a directory are stored in attributes."""
        masked = self._masked.get(number)
        if masked is None:
            masked = self._masked[number] = self._override(number, b"") is not None
        return masked

    def _override(self, number: int, path: bytes) -> Override | None:
        try:
            return override_in(self.tree(number).attributes(path))
        except OSError:
            return None  # links have no attribute, and an entry with an inaccessible one keeps its own values

    def close(self) -> None:
        """Close all directories."""
        self._stack.close()


def is_renamed(tree: Tree, folder: bytes) -> bool:
    """Return whether a directory in a layer is merged with another name in lower layers. Raises OSError."""
    if not folder or isinstance(tree, BlobTree):
        return False
    return not _RENAMED.isdisjoint(tree.attribute_names(folder))


def add_new(problems: list[str], more: Iterable[str]) -> None:
    """Add sentences about unreadable data, without duplicates."""
    problems += [problem for problem in more if problem not in problems]
