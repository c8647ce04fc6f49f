"""Full details of an item: its record, layers, users and data items, and an image's config."""

from __future__ import annotations

import os

from cstore import presence
from cstore.arguments import checked
from cstore.errors import CstoreError
from cstore.ids import flaw_of_part
from cstore.insight.needs import Needs
from cstore.records.images import valid_digests, with_digest
from cstore.records.layers import children
from cstore.store import bigdata, container_files, content, layer_tar
from cstore.store.context import context_of
from cstore.store.image_measuring import image_size
from cstore.store.lookup import chain_of_layer, known_exactly, layout_of_image, layout_of_layer
from cstore.store.mounting import mount_points
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from cstore.insight.configs import ConfigSummary
    from cstore.records.model import Container, Image, Layer
    from cstore.store.context import Context
    from cstore.store.lookup import Item, Tables
    from cstore.store.store import Store


class User(Value):
    """An item that uses the inspected one."""

    kind: str
    id: str
    names: tuple[str, ...]


class DataItem(Value):
    """A data item, its size in bytes and its digest; None and "" if they are unknown."""

    name: str
    size: int | None
    digest: str


class Inspection(Value):
    """Full details of an item. Sizes are bytes, None if unknown.

    Attributes:
        record: the record itself.
        size: of an image its layers and data items, of a container its own layer and data items, of a layer its files.
        unique: the bytes that deleting only the image frees; None for other kinds.
        digests: an image's own digest and those of its manifests; a layer's digests are those of its archive.
        layers: the chain of layers, the top one first.
        users: images, containers and layers that use it: for a layer, all images and containers that have it anywhere
            in their chain, and its direct children; for an image, its containers and the images built on it.
        mounts: its mount points, each with its mount count; 0 if the mounts are not counted.
        directories: its files and directories on the disk, by purpose.
        config: an image's config, if it can be read.
        problems: errors of the inspection, as sentences.
    """

    kind: str
    record: Layer | Image | Container
    size: int | None
    unique: int | None
    digests: tuple[str, ...]
    layers: tuple[Layer, ...]
    users: tuple[User, ...]
    data: tuple[DataItem, ...]
    mounts: Mapping[str, int]
    directories: Mapping[str, str]
    read_only: bool
    image_names: tuple[str, ...] = ()
    config: ConfigSummary | None = None
    problems: tuple[str, ...] = ()


@checked
def inspect(store: Store | Context, item: Item, *, measure: bool = False) -> Inspection:
    """Collect the details of an item from its record, mount counts and data items. Writes nothing.

    With `measure`, reads trees for a size that is not recorded; otherwise, reads no tree.

    Raises:
        UnknownItem: the item is gone.
        SystemFailure: the records cannot be read.
    """
    context = context_of(store)
    return _Look(context, item, measure=measure).inspection()


def unique_bytes(needs: Needs, image: str) -> int | None:
    """Return the recorded bytes that only an image needs; None if a size is unknown or it is in another store."""
    if image not in needs.images:
        return None
    own = [layer for layer in needs.of("image", image) if needs.users[layer] == {("image", image)}]
    return added_up([needs.sizes[layer] for layer in own], needs.images[image].data_sizes)


def images_everywhere(tables: Tables, needs: Needs) -> dict[str, Image]:
    """Return all images by ID, including those of additional stores."""
    return {**{image.id: image for extra in tables.additional for image in extra.images}, **needs.images}


def added_up(sizes: Sequence[int | None], data: Mapping[str, int]) -> int | None:
    """Add up the sizes of layers and data items; None if the size of a layer is unknown."""
    if any(size is None for size in sizes):
        return None
    return sum(size or 0 for size in sizes) + sum(data.values())


class _Look:
    """An inspection of one item."""

    def __init__(self, context: Context, item: Item, *, measure: bool) -> None:
        self._context, self._item, self._measures = context, item, measure
        self._tables = Reader(context)
        self._needs = Needs(context, self._tables)
        self._problems: list[str] = []

    def inspection(self) -> Inspection:
        """Return the details of the item."""
        record: Any = known_exactly(self._tables, self._item.id, self._item.item_kind)
        if record is None:
            from cstore.errors import NotAnItem

            raise NotAnItem(self._item.id)
        image = container = None
        digests: tuple[str, ...] = ()
        if self._item.item_kind is ItemKind.IMAGES:
            image = record = with_digest(record)
            digests = valid_digests(image)
        elif self._item.item_kind is ItemKind.CONTAINERS:
            container = record
        else:
            digests = tuple(filter(None, (record.diff_digest, record.compressed_digest, record.toc_digest)))
        chain, problem = chain_of_layer(self._tables, record.layer if image or container else record.id)
        self._problems += [f"{problem}, so the chain of layers is not complete"] if problem else []
        layers = tuple(chain.values())
        return Inspection(
            kind=self._item.kind,
            record=record,
            layers=layers,
            size=self._size(record, layers),
            unique=unique_bytes(self._needs, image.id) if image else None,
            digests=tuple(dict.fromkeys(digests)),
            users=tuple(self._users(record)),
            data=self._data(record),
            mounts=self._mounts(record),
            directories=self._directories(record),
            read_only=not container and record.id not in (self._needs.images if image else self._tables.layers),
            image_names=self._image_names(container) if container else (),
            config=self._config(image) if image else None,
            problems=tuple(self._problems),
        )

    def _size(self, record: Any, layers: Sequence[Layer]) -> int | None:
        """Return the recorded size of an item; if there is none, measure the trees if the caller requested it."""
        known: int | None = None
        if self._item.item_kind is ItemKind.IMAGES:
            whole = [self._needs.size_of(layer) for layer in self._needs.chain(record.layer, *record.mapped_layers)]
            known = None if self._problems else added_up(whole, record.data_sizes)
        elif layers:
            known = layers[0].known_size
            if self._item.item_kind is ItemKind.CONTAINERS:
                known = added_up([known], record.data_sizes)
        if known is not None or not self._measures:
            return known
        measures = {
            ItemKind.IMAGES: image_size,
            ItemKind.CONTAINERS: container_files.size,
            ItemKind.LAYERS: content.diff_size,
        }
        try:
            return measures[self._item.item_kind](self._context, record.id)
        except CstoreError as error:
            self._problems.append(error.message)
            return None

    def _users(self, record: Any) -> list[User]:
        if self._item.item_kind is ItemKind.CONTAINERS:
            return []
        found: list[User] = []
        is_layer = self._item.item_kind is ItemKind.LAYERS
        top = record.id if is_layer else record.layer
        for image in images_everywhere(self._tables, self._needs).values():
            above = self._needs.chain(image.layer, *image.mapped_layers)
            if top in above and (is_layer or (image.id != record.id and image.layer != top)):
                found.append(User("image", image.id, image.names))
        containers = self._needs.containers.values()
        if not is_layer:
            return found + [User("container", one.id, one.names) for one in containers if one.image == record.id]
        found += [User("container", one.id, one.names) for one in containers if top in self._needs.chain(one.layer)]
        return found + [User("layer", one.id, one.names) for one in children(self._tables.layers, top)]

    def _data(self, record: Any) -> tuple[DataItem, ...]:
        if self._item.item_kind is not ItemKind.LAYERS:
            sizes, digests = record.data_sizes, record.data_digests
            return tuple(DataItem(name, sizes.get(name), digests.get(name, "")) for name in record.data_names)
        found: list[DataItem] = []
        for name in record.data_names:  # a layer's record does not contain their sizes
            size = None
            try:
                with bigdata.open_data(self._context, ItemKind.LAYERS, record.id, name) as file:
                    size = os.fstat(file.fileno()).st_size
            except CstoreError as error:
                self._problems.append(error.message)
            found.append(DataItem(name, size, ""))
        return tuple(found)

    def _mounts(self, record: Any) -> dict[str, int]:
        layers = [record.id if self._item.item_kind is ItemKind.LAYERS else record.layer]
        layers += record.mapped_layers if self._item.item_kind is ItemKind.IMAGES else ()
        places, counts = mount_points(self._context), self._tables.mounts()
        mounted = {layer: places[layer] for layer in layers if layer in places}
        return {path: counted.count if (counted := counts.get(layer)) else 0 for layer, path in mounted.items()}

    def _directories(self, record: Any) -> dict[str, str]:
        """Return the existing files and directories of the item."""
        layout, found = self._context.layout, dict[str, str]()
        if flaw_of_part(record.id):
            return {}
        if self._item.item_kind is ItemKind.IMAGES:
            home = layout_of_image(self._tables, layout, record.id)
            found = {"data": home.image_data(record.id), "directory": layout.image_directory(record.id)}
            found["run-directory"] = layout.image_run_directory(record.id)
        elif self._item.item_kind is ItemKind.CONTAINERS:
            found = {"data": layout.container_data(record.id), "directory": layout.container_directory(record.id)}
            found["run-directory"] = layout.container_run_directory(record.id)
        else:
            home = layout_of_layer(self._tables, layout, record.id)
            found = {"tree": self._context.driver.path_of(record.id), "data": home.layer_data(record.id)}
            found["tar-split"] = home.tar_split(record.id)
        found = {purpose: path for purpose, path in found.items() if presence.is_there(path)}
        if self._item.item_kind is ItemKind.LAYERS:
            try:
                found |= layer_tar.directories(self._context, record.id)
            except (CstoreError, OSError) as error:
                self._problems.append(getattr(error, "message", str(error)))
        return found

    def _image_names(self, container: Container) -> tuple[str, ...]:
        image: Image | None = self._tables.images.get(container.image) or next(
            (found for extra in self._tables.additional if (found := extra.images.get(container.image))), None
        )
        if image is None and container.image:
            self._problems.append(f"image {container.image} is missing")
        return () if image is None else image.names

    def _config(self, image: Image) -> ConfigSummary | None:
        from cstore.insight.configs import image_config

        try:
            return image_config(self._context, image)
        except CstoreError as error:
            self._problems.append(error.message)
            return None
