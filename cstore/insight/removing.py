"""Plans for deleting a set of items and the bytes that it frees, and the deletion in a safe order.

Containers go first, each with its layer; then images, each with the layers that nothing else needs; then layers,
topmost first. If something outside the set uses an item, the plan refuses that item, and the commands delete nothing.
A plan is based on one view of the records; deletion checks again under the locks.
"""

from __future__ import annotations

from contextlib import suppress
from shlex import quote

from cstore import presence
from cstore.arguments import checked
from cstore.errors import (
    ContainerOccupied,
    ImageUsedByContainer,
    LayerHasChildren,
    LayersMounted,
    LayerUsedByContainer,
    LayerUsedByImage,
    ReadOnlyStore,
    UnknownItem,
    UnsafeID,
)
from cstore.ids import flaw_of_part
from cstore.insight.accounting import count, files_of
from cstore.insight.needs import Needs
from cstore.records.layers import follow_ids
from cstore.store.context import context_of
from cstore.store.makers import MAKERS, command_of, maker_of, removal_command
from cstore.store.occupants import refuse_occupied
from cstore.store.places import ItemKind
from cstore.store.reading import Reader, Snapshot
from cstore.values import Value, cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cstore.errors import CstoreError
    from cstore.insight.accounting import Key
    from cstore.insight.tally import Tally
    from cstore.records.mounts import MountTable
    from cstore.store.context import Context
    from cstore.store.lookup import Item
    from cstore.store.store import Store

_ORDER = (ItemKind.CONTAINERS, ItemKind.IMAGES, ItemKind.LAYERS)


class Going(Value):
    """An item to delete.

    Attributes:
        goes_with: the ID of the item whose deletion includes it; "" if the caller named it.
        forced: whether to delete it although a process runs in it.
        disk: the bytes of its own files; bytes that items share count for each of them.
        maker, command: for a container of another tool, such as Podman: the tool, and its command that also removes the
            tool's records.
    """

    kind: str
    id: str
    names: tuple[str, ...]
    goes_with: str = ""
    disk: int = 0
    forced: bool = False
    maker: str = ""
    command: str = ""


class Refusal(Value):
    """An item that cannot be deleted, and the reason."""

    kind: str
    id: str
    names: tuple[str, ...]
    error: CstoreError


class Plan(Value):
    """The items to delete, in order; the refused items; the bytes freed; read errors; and damaged records.

    `problems` are errors in the chains of layers of the given items, as sentences.
    """

    going: tuple[Going, ...]
    refused: tuple[Refusal, ...]
    freed: int
    unread: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = ()


class Removed(Value):
    """The deleted items, those that were not deleted with the reasons, and the bytes freed."""

    going: tuple[Going, ...]
    failed: tuple[tuple[Going, CstoreError], ...]
    freed: int


@checked
def plan_removal(store: Store | Context, items: Iterable[Item], *, force: bool = False) -> Plan:
    """Plan the deletion of items. Only reads.

    Args:
        store: the store.
        items: the items to delete.
        force: also delete the idle containers of images, and the containers among `items` even if a process uses them.

    Raises:
        RecordsDamaged: a record file is damaged, so it is unknown what is needed.
        SystemFailure: the records cannot be read.
    """
    context = context_of(store)
    tables = trusted(context)
    removal = Removal(context, tables)
    removal.take(wanted := tuple(items), force=force)
    plan = measured(context, tables, removal)
    tops = (top for item in wanted for top in removal.needs.tops(item.kind, item.id))
    tables.hand_on()  # the removal reuses them
    return plan.with_(problems=(*removal.needs.problems_of(*tops), *plan.problems))


def trusted(context: Context) -> Snapshot:
    """Read the complete records.

    Raises:
        RecordsDamaged: a record file is damaged.
    """
    tables = Snapshot(context)
    for _, flaw, additional in tables.flaws:
        if not additional:
            raise flaw
    return tables


@checked
def freed_by(store: Store | Context, items: Iterable[Item]) -> int:
    """Return the bytes that deleting a set of items frees. Holders of the items are not part of the set.

    Raises:
        CstoreError: an item of the set cannot be deleted, or see `plan_removal`.
    """
    context = context_of(store)
    plan = plan_removal(context, items)
    if plan.refused:
        raise plan.refused[0].error
    return plan.freed


@checked
def remove(store: Store | Context, plan: Plan) -> Removed:
    """Execute a plan in its order. Skips items that came into use in the meantime.

    Items that the plan refuses stay; whoever wants all or nothing checks `Plan.refused` first, as the commands do.

    If an item remains, the bytes freed are the sum of the deleted items' sizes, including shared bytes.
    """
    context = context_of(store)
    from cstore.errors import CstoreError
    from cstore.store.container_removal import delete_container
    from cstore.store.image_removal import delete_image
    from cstore.store.removal import delete_layer

    deleters: dict[str, Callable[[Context, str], object]] = {"container": delete_container}
    deleters |= {"image": delete_image, "layer": delete_layer}
    done: list[Going] = []
    failed: list[tuple[Going, CstoreError]] = []
    for each in plan.going:
        if any(each.goes_with == other.id or other.goes_with == each.id for other, _ in failed):
            continue  # the item that it depends on was not deleted
        try:
            if each.forced:
                delete_container(context, each.id, force=True)
            elif each.kind != "layer" or not each.goes_with:
                deleters[each.kind](context, each.id)
        except CstoreError as error:
            failed.append((each, error))
        else:
            done.append(each)
    return Removed(tuple(done), tuple(failed), sum(each.disk for each in done) if failed else plan.freed)


class Removal:
    """Simulates the deletion of one item after another on the records."""

    def __init__(self, context: Context, tables: Snapshot, needs: Needs | None = None) -> None:
        self.needs = needs or Needs(context, tables)
        self.going: dict[tuple[str, str], Going] = {}
        self.refused: list[Refusal] = []
        self._context, self._tables = context, tables
        self._images = dict(self.needs.images)
        self._containers = dict(self.needs.containers)
        self._left = {parent: len(children) for parent, children in self.needs.children.items()}
        self._images_on: dict[str, dict[str, None]] = {}
        for image in self.needs.images.values():
            for top in (image.layer, *image.mapped_layers):
                self._images_on.setdefault(top, {})[image.id] = None
        self._containers_on: dict[str, list[str]] = {}
        self._containers_of: dict[str, list[str]] = {}
        for container in self.needs.containers.values():
            self._containers_on.setdefault(container.layer, []).append(container.id)
            self._containers_of.setdefault(container.image, []).append(container.id)

    @cached_property
    def mounts(self) -> MountTable:
        """The mount counts of layers."""
        return Reader(self._context).mounts()

    def take(self, items: Iterable[Item], *, force: bool) -> None:
        """Plan the deletion of items, holders first; with `force`, begin with the containers of images."""
        wanted = sorted(dict.fromkeys(items), key=lambda item: _ORDER.index(item.item_kind))
        named = {item.id for item in wanted if item.item_kind is ItemKind.CONTAINERS}
        for item in wanted if force else ():
            if item.item_kind is ItemKind.IMAGES:
                for container in self._containers_of.get(item.id, ()):
                    self.take_container(container, goes_with=item.id, force=container in named)
        for item in wanted:
            if item.item_kind is ItemKind.CONTAINERS:
                self.take_container(item.id, force=force)
            elif item.item_kind is ItemKind.IMAGES:
                self.take_image(item.id, force=force)
        self.take_layers([item.id for item in wanted if item.item_kind is ItemKind.LAYERS])

    def take_container(self, identifier: str, goes_with: str = "", *, force: bool = False) -> None:
        """Plan the deletion of a container with its layer; with `force`, even if a process runs in it."""
        container = self._containers.get(identifier)
        if container is None:
            return
        try:
            refuse_occupied(self._context, container)
            forced = False
        except ContainerOccupied as error:
            forced = force
            if not forced:
                self.refused.append(Refusal("container", identifier, container.names, error))
                return
        del self._containers[identifier]
        going = Going("container", identifier, container.names, goes_with, forced=forced)
        if (maker := maker_of(self._context, container)) != MAKERS[""]:
            going = going.with_(maker=maker, command=removal_command(self._context, container))
        self.going["container", identifier] = going
        if container.layer in self.needs.parents:
            self._take(container.layer, identifier)

    def take_image(self, identifier: str, *, force: bool = False) -> None:
        """Plan the deletion of an image with the layers that nothing else needs, like `image_removal`."""
        image = self._images.get(identifier)
        if image is None:
            self.refused.append(Refusal("image", identifier, (), self._read_only("images")))
            return
        left = (self._containers.get(each) for each in self._containers_of.get(identifier, ()))
        user = next((each for each in left if each is not None), None)
        if user is not None:
            used = ImageUsedByContainer(identifier, user.id, removal_command(self._context, user))
            self.refused.append(Refusal("image", identifier, image.names, used))
            return
        path = mounted_at(self._context, self.mounts, (image.layer, *image.mapped_layers))
        if path and not force:
            mounted = LayersMounted((image.layer,))
            mounted.message = f"image {identifier} is mounted at {path}"
            command = command_of(self._context, f"cstore unmount {quote((*image.names, identifier)[0])}")
            mounted.hint = f"unmount it first: {command}"
            self.refused.append(Refusal("image", identifier, image.names, mounted))
            return
        del self._images[identifier]
        self.going["image", identifier] = Going("image", identifier, image.names)
        mapped = [layer for layer in image.mapped_layers if layer in self.needs.parents and not self._gone(layer)]
        mapped_layers = [layer for layer in mapped if self._free(layer)]
        for layer in mapped_layers:
            self._take(layer, identifier)
        top = image.layer if len(mapped_layers) == len(mapped) else ""
        for layer in follow_ids(self.needs.parents.get, top)[0]:
            if self._gone(layer) or not self._free(layer):
                break
            self._take(layer, identifier)

    def take_layers(self, layers: list[str]) -> None:
        """Plan the deletion of layers, topmost first."""
        depths = {layer: len(self.needs.chain(layer)) for layer in layers}
        for layer in sorted(depths, key=lambda each: -depths[each]):
            if self._gone(layer):
                continue
            if layer not in self.needs.parents:
                self.refused.append(Refusal("layer", layer, (), self._read_only("layers")))
                continue
            error = self._holder(layer)
            if error is not None:
                self.refused.append(Refusal("layer", layer, self._names_of(layer), error))
            else:
                self._take(layer, "")

    def _take(self, layer: str, goes_with: str) -> None:
        self._left[self.needs.parents[layer]] -= not self._gone(layer)
        self.going["layer", layer] = Going("layer", layer, self._names_of(layer), goes_with)

    def _names_of(self, layer: str) -> tuple[str, ...]:
        record = self._tables.layers.get(layer)
        return () if record is None else record.names

    def _gone(self, layer: str) -> bool:
        return ("layer", layer) in self.going

    def _free(self, layer: str) -> bool:
        return self._holder(layer) is None

    def _holder(self, layer: str) -> CstoreError | None:
        """Return the holder of a layer as an error, or None."""
        if self._left.get(layer):
            return LayerHasChildren(layer, sorted(each for each in self.needs.children[layer] if not self._gone(each)))
        for image in self._images_on.get(layer, ()):
            if image in self._images:
                used = LayerUsedByImage(layer, image)
                used.hint = f"delete the image first: {command_of(self._context, f'cstore rm {quote(image)}')}"
                return used
        for container in self._containers_on.get(layer, ()):
            if container in self._containers:
                remedy = removal_command(self._context, self._containers[container])
                return LayerUsedByContainer(layer, container, remedy)
        return None

    def _read_only(self, what: str) -> CstoreError:
        roots = (each.layout.graph_root for each in self._context.additional if not each.images_only)
        return ReadOnlyStore(f"delete {what}", next(roots, self._context.layout.graph_root))


# ── bytes ──


def measured(context: Context, tables: Snapshot, removal: Removal, tally: Tally | None = None) -> Plan:
    """Count the bytes that a removal frees. A given `tally` must already contain the whole store."""
    from cstore.insight.tally import Tally

    going = tuple(removal.going.values())
    lost: list[str] = []
    if tally is None:
        tally = Tally(context.layout)
        for each in going:
            for key, path in _paths(context, tables, each.kind, each.id):
                if presence.is_there(path):
                    tally.add(key, path)
                elif key[0] == "layer":
                    lost.append(f"layer {each.id} has lost its directory {path}")
        if tally.has_shared_blocks():
            tally = everything(context, tables)
    unread = tuple((path, error.strerror or str(error)) for path, error in tally.unread)
    keys = {each: files_of(each.kind, each.id) for each in going}
    freed = tally.freed_by([key for each in going for key in keys[each]])
    sized = tuple(each.with_(disk=tally.all_of(keys[each])) for each in going)
    return Plan(sized, tuple(removal.refused), freed, unread, tuple(lost))


def everything(context: Context, tables: Snapshot) -> Tally:
    """Count the whole store."""
    from cstore.insight.parts import Parts
    from cstore.insight.tally import Tally

    parts, tally = Parts(context, tables), Tally(context.layout)
    for root in parts.roots():
        count(tally, parts, root, {})
    return tally


def mounted_at(context: Context, mounts: MountTable, layers: Iterable[str]) -> str:
    """Return a current mount point of one of some layers, regardless of counts; "" if there is none."""
    for layer in layers:
        mount = mounts.get(layer)
        if mount is not None and not flaw_of_part(layer) and context.driver.is_mounted(layer, mount.path):
            return mount.path
    return ""


def _paths(context: Context, tables: Snapshot, kind: str, identifier: str) -> Iterator[tuple[Key, str]]:
    """Yield the paths of an item's own files with their owners."""
    layout = context.layout
    with suppress(UnsafeID, UnknownItem):
        if kind == "layer":
            yield ("layer", "layer", identifier), context.driver.path_of(identifier)
            yield ("data", "layer", identifier), layout.tar_split(identifier)
            yield ("data", "layer", identifier), layout.layer_data(identifier)
        elif kind == "container":
            yield ("data", "container", identifier), layout.container_data(identifier)
        else:
            older = next((extra.layout for extra in tables.additional if extra.images_only), layout)
            own = layout if identifier in tables.images else older
            yield ("data", "image", identifier), own.image_data(identifier)
