"""Holders of an item, as a tree that ends at items a user recognizes, with the commands that release it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from cstore.arguments import checked
from cstore.errors import RecordsDamaged
from cstore.ids import flaw_of_part
from cstore.records.layers import children
from cstore.store.context import context_of
from cstore.store.lookup import chain_of_layer
from cstore.store.lost_records import hidden_containers
from cstore.store.makers import command_of, maker_of, removal_command, stop_command, unmount_command
from cstore.store.neighbours import command_in, shell_word
from cstore.store.occupants import name_of, occupants, out_of_sight
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cstore.records.model import Container, Image, Layer
    from cstore.records.mounts import MountTable
    from cstore.store.context import Context
    from cstore.store.lookup import Item
    from cstore.store.store import Store

_MANY = 40
"""The number of layers whose children are looked up one by one; beyond it, all records are read once."""
_DEEPEST = 200


class Holder(Value):
    """An object that holds an item or another holder.

    Attributes:
        kind: container, image, layer, mount, process or store.
        id: the ID of an item, the path of a mount or store, or the number of a process.
        names: the names of an item, or the program name of a process.
        how: the relation to the object that it holds.
        maker: the tool that created a container; `unknown` if it left no mark. "" for other kinds.
        created: the recorded time of creation; "" for an object without a record.
        command: the command that releases the hold; "" if the holders of this one have to go first.
        held_by: the holders of this one.
    """

    kind: str
    id: str
    names: tuple[str, ...]
    how: str
    maker: str = ""
    created: str = ""
    command: str = ""
    held_by: tuple[Holder, ...] = ()


class Holding(Value):
    """An item and all of its holders.

    Attributes:
        unseen: a sentence about anything that could not be examined; "" if there is none.
        problems: errors in the item's chain of layers, as sentences. With any, the list of holders may be wrong.
    """

    kind: str
    id: str
    names: tuple[str, ...]
    holders: tuple[Holder, ...]
    unseen: str = ""
    problems: tuple[str, ...] = ()


@checked
def holders(store: Store | Context, item: Item, *, processes: bool = True) -> Holding:
    """Find all holders of an item: containers, images, layers above, mounts, processes, additional stores.

    Without `processes`, skips the search for processes, which takes time for each container.

    Raises:
        SystemFailure: the records cannot be read.
        RecordsDamaged: they are damaged, unless the store was opened degraded.
    """
    context = context_of(store)
    return _Search(context, processes=processes).holding(item)


class _Search:
    """A search for holders in one view of the records."""

    def __init__(self, context: Context, *, processes: bool) -> None:
        self._looks = processes
        self._context = context
        self._tables = Reader(context)
        self._seen: set[str] = set()
        self._children: dict[str, list[Layer]] | None = None
        self._asked = 0
        self._processes = False
        hidden: list[Container] = []
        with suppress(RecordsDamaged):  # only transient containers use this file
            hidden = hidden_containers(context.layout)
        self._containers = [*self._tables.containers, *hidden]
        self._images: dict[str, list[Image]] | None = None
        self._image_tables = [self._tables.images]
        self._image_tables += [extra.images for extra in self._tables.additional if extra.images_only]
        self._mounts: MountTable = self._tables.mounts()

    def holding(self, item: Item) -> Holding:
        """Return an item with all of its holders."""
        found: list[Holder] = []
        names: tuple[str, ...] = ()
        tops: tuple[str, ...] = ()
        if item.item_kind is ItemKind.CONTAINERS:
            container = next((each for each in self._containers if each.id == item.id), None)
            if container is not None:
                names, tops, found = container.names, (container.layer,), list(self._of_container(container))
        elif item.item_kind is ItemKind.IMAGES:
            images = [*self._image_tables, *(extra.images for extra in self._tables.additional)]
            image = next((one for table in images if (one := table.get(item.id))), None)
            if image is not None:
                names, tops = image.names, (image.layer, *image.mapped_layers)
                found = list(self._of_image(image))
        else:
            layers = [self._tables.layers, *(extra.layers for extra in self._tables.additional)]
            layer = next((each for known in layers if (each := known.get(item.id))), None)
            if layer is not None:
                self._seen.add(layer.id)  # in a cycle of parents, the layer holds itself
                names, tops, found = layer.names, (layer.id,), list(self._of_layer(layer.id, 0))
        found += self._of_stores(item)
        unseen = "unknown: the records are damaged, so more may hold it" if self._tables.flaws else ""
        if not unseen and self._processes and (count := out_of_sight()):
            processes = "1 process" if count == 1 else f"{count} processes"
            unseen = f"unknown: this user cannot inspect {processes}, which may live in it"
        chains = (chain_of_layer(self._tables, top) for top in dict.fromkeys(tops) if top)
        problems = tuple(dict.fromkeys(problem for _, problem in chains if problem))
        return Holding(item.kind, item.id, names, tuple(found), unseen, problems)

    def _of_stores(self, item: Item) -> Iterator[Holder]:
        for extra in self._tables.additional:
            table = extra.layers if item.item_kind is ItemKind.LAYERS else extra.images
            if extra.images_only or item.item_kind is ItemKind.CONTAINERS or item.id not in table:
                continue
            gone = partial(command_in, extra.layout)
            held = tuple(
                Holder("image", one.id, one.names, "has it on top", "", one.created, gone(f"cstore rm {_word(one)}"))
                for one in (extra.images.mentioning(item.id) if item.item_kind is ItemKind.LAYERS else ())
                if item.id in (one.layer, *one.mapped_layers)
            )
            command = "" if held else gone(f"cstore rm --kind {item.kind} {shell_word(item.id)}")
            how = "is a read-only additional store that has it"
            yield Holder("store", extra.layout.graph_root, (), how, "", "", command, held)

    def _of_image(self, image: Image) -> Iterator[Holder]:
        for container in self._containers:
            if container.image == image.id:
                self._seen.add(container.layer)
                yield self._container(container, "was made from it")
        for layer in dict.fromkeys((image.layer, *image.mapped_layers)):
            yield from self._mount(layer, self._command(f"cstore unmount {_word(image)}"), of_container=False)
        for top in dict.fromkeys((image.layer, *image.mapped_layers)):
            if top:
                yield from self._above(top, "is built on its layers, which it keeps", 0)

    def _of_container(self, container: Container) -> Iterator[Holder]:
        yield from self._mount(container.layer, unmount_command(self._context, container), of_container=True)
        if not self._looks:
            return
        self._processes = True
        if flaw_of_part(container.layer):
            return  # such a layer has no directory that a process could use
        stop = stop_command(self._context, container)
        for pid, how in occupants(self._context, container.layer):
            name = name_of(pid).strip(" ()")
            yield Holder("process", str(pid), (name,) if name else (), how, "", "", stop or f"kill {pid}")

    def _of_layer(self, layer: str, depth: int) -> Iterator[Holder]:
        for image in self._images_on(layer):
            how = "has it on top" if image.layer == layer else "has it as a mapped layer"
            users = [each for each in self._containers if each.image == image.id]
            made = tuple(self._container(each, "was made from it") for each in users)
            command = "" if made else self._command(f"cstore rm {_word(image)}")
            yield Holder("image", image.id, image.names, how, "", image.created, command, made)
        own = [container for container in self._containers if container.layer == layer]
        for container in own:
            yield self._container(container, "has it as its own layer")
        if not own:
            command = self._command(f"cstore unmount {shell_word(layer)}")
            yield from self._mount(layer, command, of_container=False)
        yield from self._above(layer, "builds on it", depth)

    def _above(self, layer: str, how: str, depth: int) -> Iterator[Holder]:
        """Yield the child layers of a layer; the topmost layer represents a chain of unused layers."""
        for child in self._children_of(layer):
            if child.id in self._seen or depth > _DEEPEST:
                continue
            self._seen.add(child.id)
            last, between = child, 0
            while not (
                last.names or self._images_on(last.id) or any(each.layer == last.id for each in self._containers)
            ):
                following = self._children_of(last.id)
                if len(following) != 1 or following[0].id in self._seen:
                    break
                last, between = following[0], between + 1
                self._seen.add(last.id)
            through = f", with {between} more between" if between else ""
            held = tuple(self._of_layer(last.id, depth + 1))
            command = "" if held else self._command(f"cstore rm --kind layer {shell_word(last.id)}")
            yield Holder("layer", last.id, last.names, f"{how}{through}", "", last.created, command, held)

    def _command(self, command: str) -> str:
        return command_of(self._context, command)

    def _images_on(self, layer: str) -> list[Image]:
        """Return the images that have a layer on top, or as a mapped layer."""
        if self._images is None and self._asked > _MANY:
            self._images = {}
            for table in self._image_tables:
                for image in table:
                    for top in dict.fromkeys((image.layer, *image.mapped_layers)):
                        self._images.setdefault(top, []).append(image)
        if self._images is not None:
            return self._images.get(layer, [])
        mentioned = (image for table in self._image_tables for image in table.mentioning(layer))
        return [image for image in mentioned if layer in (image.layer, *image.mapped_layers)]

    def _children_of(self, layer: str) -> list[Layer]:
        self._asked += 1
        if self._children is None and self._asked > _MANY:
            self._children = {}
            for each in self._tables.layers:
                self._children.setdefault(each.parent, []).append(each)
        if self._children is not None:
            return self._children.get(layer, [])
        return children(self._tables.layers, layer)

    def _container(self, container: Container, how: str) -> Holder:
        held = tuple(self._of_container(container))
        maker, command = maker_of(self._context, container), removal_command(self._context, container)
        return Holder("container", container.id, container.names, how, maker, container.created, command, held)

    def _mount(self, layer: str, command: str, *, of_container: bool) -> Iterator[Holder]:
        mount = self._mounts.get(layer) if layer else None
        if mount is None:
            return
        times = "once" if mount.count == 1 else f"{mount.count} times"
        shows = "its layer" if of_container else "it"
        there = not flaw_of_part(layer) and self._context.driver.is_mounted(layer, mount.path)
        gone = "" if there else ", according to the mount count, but no mount is visible here"
        yield Holder("mount", mount.path, (), f"shows {shows}, {times}{gone}", "", "", command)


def _word(image: Image) -> str:
    """Return an image's first name, or its ID, as a word of a shell command."""
    return shell_word(image.names[0] if image.names else image.id)


def flattened(found: Iterable[Holder], depth: int = 0) -> Iterator[tuple[int, Holder]]:
    """Yield the holders of a tree from the top down, each with its depth."""
    for holder in found:
        yield depth, holder
        yield from flattened(holder.held_by, depth + 1)
