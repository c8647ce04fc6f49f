"""Wasted bytes: files that layers above overwrite or delete."""

from __future__ import annotations

import stat

from cstore.archive.directories import Kind
from cstore.archive.names import join_name
from cstore.arguments import checked
from cstore.contents.chain import add_new
from cstore.contents.files import Contents, alike, open_item
from cstore.errors import CstoreError
from cstore.store import Item
from cstore.store.places import ItemKind
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.records.model import Image
    from cstore.store import Store

OVERWRITTEN, DELETED = "overwritten", "deleted"

Place = tuple[str, bytes, bytes]
"""A layer's directory, a folder in it, and a name there."""


class Waste(NamedTuple):
    """A file of a layer that an item does not show.

    Attributes:
        layer: the ID of its layer.
        path: its path in the layer.
        size: in bytes.
        reason: OVERWRITTEN if the item shows something else there, else DELETED.
        place: its position on disk.
    """

    layer: str
    path: bytes
    size: int
    reason: str
    place: Place


@checked
def waste_of(contents: Contents) -> list[Waste]:
    """Return the hidden regular files in an item's layers, the largest first; hard links count once."""
    contents.chain.note_lost()
    found = _of_whole_trees(contents) if contents.chain.whole else _of_changes(contents)
    return sorted(found, key=lambda one: (-one.size, one.path))


def _of_whole_trees(contents: Contents) -> Iterator[Waste]:
    """Yield files of a tree that are missing or different in the tree above, at the layer from which they come."""
    chain = contents.chain
    for number in range(len(chain.roots) - 1, 0, -1):
        lower, upper = Contents(chain, contents.item, number), Contents(chain, contents.item, number - 1)
        for file in lower.walk():
            if file.format != stat.S_IFREG or not file.size:
                continue
            above = upper.find(file.path)
            if above is None or not alike(file, above):
                place = (chain.roots[number].path, file.found.folder, file.found.name)
                reason = DELETED if above is None else OVERWRITTEN
                yield Waste(chain.layer_of(lower.origin(file)), file.path, file.size, reason, place)


def _of_changes(contents: Contents) -> Iterator[Waste]:
    """Yield the hidden files of all layers except the topmost one; each inode of a layer once."""
    roots = contents.chain.roots
    seen: dict[str, set[int]] = {root.path: set() for root in roots}
    for file in contents.walk(wanted=lambda found: stat.S_ISREG(found.status.st_mode) and found.status.st_size):
        status = file.found.status
        if not status.st_blocks:  # possibly metadata only: the layer with the data counts
            for tree, each in contents.view.union.copies(file.path):
                seen[tree.root].add(each.status.st_ino)
        elif file.number:
            seen[roots[file.number].path].add(status.st_ino)
    for number, root in enumerate(roots):
        if number == 0:
            continue  # no layer is above it
        shown = seen[root.path]
        for folder, name, size, inode in _files_in(contents, number):
            if not size or inode in shown:
                continue
            shown.add(inode)  # its other names are not counted again
            path = join_name(folder, name)
            reason = OVERWRITTEN if contents.find(path) is not None else DELETED
            yield Waste(root.layer, path, size, reason, (root.path, folder, name))


def _files_in(contents: Contents, number: int) -> Iterator[tuple[bytes, bytes, int, int]]:
    """Yield the regular files in one directory of a chain: folder, name, size, inode."""
    tree, pending = contents.chain.tree(number), [b""]
    while pending:
        folder = pending.pop()
        try:
            kinds = {name for name, kind in tree.names(folder) if kind is Kind.DIRECTORY}
            listed = tree.statuses(folder)
        except (OSError, CstoreError) as error:
            contents.problems.append(f"{tree.shown(folder)} cannot be read: {error}")
            continue
        for name, status in listed:
            if name in kinds:
                pending.append(join_name(folder, name))
            elif stat.S_ISREG(status.st_mode):
                yield folder, name, status.st_size, status.st_ino


class StoreWaste(NamedTuple):
    """The waste of a whole store.

    Attributes:
        images: each image with the number and total size of the files that it hides.
        files: the files that are hidden in every image that has their layer.
    """

    images: list[tuple[Image, int, int]]
    files: list[Waste]


@checked
def waste_of_store(store: Store, problems: list[str]) -> StoreWaste:
    """Return the hidden files of the store's images. A file that any image shows is not wasted."""
    images: list[tuple[Image, int, int]] = []
    hidden: dict[str, dict[Place, Waste]] = {}
    for image in store.images.list():
        if not image.layer:
            continue
        item = Item(ItemKind.IMAGES, image.id)
        try:
            with open_item(store, item) as contents:
                found = waste_of(contents)
                roots = [root.path for root in contents.chain.roots]
                add_new(problems, contents.problems)
        except CstoreError as error:
            problems.append(f"image {image.id}: {error.message}")
            continue
        images.append((image, len(found), sum(one.size for one in found)))
        for root in roots:
            here = {one.place: one for one in found if one.place[0] == root}
            known = hidden.get(root, here)
            hidden[root] = {place: one for place, one in known.items() if place in here}
    files = [one for wasted in hidden.values() for one in wasted.values()]
    return StoreWaste(images, sorted(files, key=lambda one: (-one.size, one.path)))
