"""The entry point of the library, and the methods for items of any kind and for the whole store."""

from __future__ import annotations

from cstore.store.context import open_context
from cstore.store.lookup import LAYER_FIRST, Item, find_item
from cstore.store.reading import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, Self

    from cstore.config import StoreConfig
    from cstore.errors import RecordsDamaged
    from cstore.fs.lock_policy import LockPolicy
    from cstore.fs.lockfile import HeldLock
    from cstore.idmap import IDMap
    from cstore.records.model import Layer
    from cstore.store.containers import Containers
    from cstore.store.context import Context
    from cstore.store.copying import LayerPath
    from cstore.store.dedup import Sharing
    from cstore.store.garbage import Leftover
    from cstore.store.images import Images
    from cstore.store.intents import Intent
    from cstore.store.layers import Layers
    from cstore.store.naming import ItemPath
    from cstore.store.partial import PartialBlob
    from cstore.store.places import ItemKind


def open_store(
    config: StoreConfig | None = None,
    *,
    graph_root: str = "",
    run_root: str = "",
    driver: str = "",
    lock_policy: LockPolicy | None = None,
    degraded: bool = False,
) -> Store:
    """Open a store; see `library.open_store`, which programs use."""
    from cstore.arguments import check_classes
    from cstore.store.containers import Containers
    from cstore.store.images import Images
    from cstore.store.layers import Layers

    check_classes(Store, Layers, Images, Containers)
    return Store(
        open_context(
            config, graph_root=graph_root, run_root=run_root, driver=driver, lock_policy=lock_policy, degraded=degraded
        )
    )


class Store:
    """One container store. Items are named by ID, name or unique ID prefix (`ref`)."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reader = Reader(context)
        self._verbs: dict[str, Any] = {}

    @property
    def layers(self) -> Layers:
        """The methods for layers."""
        if "layers" not in self._verbs:
            from cstore.store.layers import Layers

            self._verbs["layers"] = Layers(self._context, self._reader)
        verbs: Layers = self._verbs["layers"]
        return verbs

    @property
    def images(self) -> Images:
        """The methods for images."""
        if "images" not in self._verbs:
            from cstore.store.images import Images

            self._verbs["images"] = Images(self._context, self._reader)
        verbs: Images = self._verbs["images"]
        return verbs

    @property
    def containers(self) -> Containers:
        """The methods for containers."""
        if "containers" not in self._verbs:
            from cstore.store.containers import Containers

            self._verbs["containers"] = Containers(self._context, self._reader)
        verbs: Containers = self._verbs["containers"]
        return verbs

    @property
    def context(self) -> Context:
        """The shared state of this store's operations, for packages above this one."""
        return self._context

    @property
    def config(self) -> StoreConfig:
        """The configuration with which the store was opened."""
        return self._context.config

    @property
    def driver_name(self) -> str:
        """The name of the storage driver."""
        return self._context.layout.driver

    @property
    def id_map(self) -> IDMap:
        """The default ID map of layers without a parent and of containers."""
        from cstore.store.maps import default_map

        return default_map(self._context)

    @property
    def is_made(self) -> bool:
        """Whether the store exists. Until the first change creates it, lookups find nothing."""
        from cstore.store.places import is_made

        return is_made(self._context.layout)

    @property
    def flaws(self) -> list[RecordsDamaged]:
        """The damage in the records read so far, if the store was opened `degraded`."""
        return self._reader.flaws

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing, because the store holds nothing open between two calls."""

    # ── items of any kind ──

    def find(self, ref: str, order: tuple[ItemKind, ...] = LAYER_FIRST) -> Item | None:
        """Return the layer, image or container that matches `ref`, or None.

        A full ID or a name takes precedence over an ID prefix; after that, the `order` of kinds decides.
        """
        return find_item(self._reader, ref, order)

    def resolve(self, text: str, kind: str = "", *, by_layer: bool = False) -> Item:
        """Return the one item that a text identifies, also by digest or an image's short name; see `naming.resolve`.

        Raises UnknownItem, AmbiguousItem, InvalidOption.
        """
        from cstore.store import naming

        return naming.resolve(self._reader, text, kind, by_layer=by_layer)

    def resolve_path(self, text: str, kind: str = "", *, by_layer: bool = False) -> ItemPath:
        """Return the item and the path in `ITEM:PATH`; see `naming.resolve_path`.

        Raises UnknownItem, AmbiguousItem, InvalidOption.
        """
        from cstore.store import naming

        return naming.resolve_path(self._reader, text, kind, by_layer=by_layer)

    def layer_of(self, item: Item) -> Layer:
        """Return an image's top layer, a container's own layer, or the layer itself; see `naming.layer_of`.

        Raises ImageWithoutLayers, LayerMissing.
        """
        from cstore.store import naming

        return naming.layer_of(self._reader, item)

    def delete(self, ref: str) -> None:
        """Delete an item without checking for references; see `removal.delete_item`.

        Raises LayerUnknown, NotALayer, ContainerOccupied.
        """
        from cstore.store import removal

        removal.delete_item(self._context, ref)

    def names(self, ref: str) -> tuple[str, ...]:
        """Return the names of an item; see `names.names_of`.

        Raises LayerUnknown.
        """
        from cstore.store import names

        return names.names_of(self._context, ref)

    def set_names(self, ref: str, new: Iterable[str]) -> tuple[str, ...]:
        """Replace the names of an item; see `names.set_names`."""
        from cstore.store import names

        return names.set_names(self._context, ref, new)

    def add_names(self, ref: str, new: Iterable[str]) -> tuple[str, ...]:
        """Add names to an item; see `names.add_names`."""
        from cstore.store import names

        return names.add_names(self._context, ref, new)

    def remove_names(self, ref: str, old: Iterable[str]) -> tuple[str, ...]:
        """Remove names from an item; see `names.remove_names`."""
        from cstore.store import names

        return names.remove_names(self._context, ref, old)

    def metadata(self, ref: str) -> str:
        """Return the metadata of an item; see `names.metadata_of`.

        Raises NotAnItem.
        """
        from cstore.store import names

        return names.metadata_of(self._context, ref)

    def set_metadata(self, ref: str, text: str) -> None:
        """Replace the metadata of an item; see `names.set_metadata`.

        Raises NotAnItem, ReadOnlyStore.
        """
        from cstore.store import names

        names.set_metadata(self._context, ref, text)

    def set_flag(self, ref: str, flag: str, value: Any) -> None:
        """Set a flag of an item to a JSON value; see `names.set_flag`.

        Raises NotAnItem, ReadOnlyStore, InvalidOption.
        """
        from cstore.store import names

        names.set_flag(self._context, ref, flag, value)

    def clear_flag(self, ref: str, flag: str) -> None:
        """Remove a flag from an item; see `names.clear_flag`.

        Raises NotAnItem, ReadOnlyStore, InvalidOption.
        """
        from cstore.store import names

        names.clear_flag(self._context, ref, flag)

    # ── contents ──

    def copy(
        self,
        sources: Sequence[LayerPath],
        target: LayerPath,
        owner: tuple[int, int] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Copy files and directories into or out of a layer; see `copying.copy`.

        Raises LayerUnknown, ReadOnlyStore, InvalidOption, IDNotMapped, SystemFailure.
        """
        from cstore.store import copying

        copying.copy(self._context, sources, target, owner, progress)

    # ── operations of several steps ──

    def begin(self) -> Intent:
        """Start the creation of several items, all or none; see `intents.begin`."""
        from cstore.store import intents

        return intents.begin(self._context)

    def digest_lock(self, digest: str) -> AbstractContextManager[HeldLock]:
        """Hold the exclusive lock of a blob, so that one of several importers imports it and the others reuse it.

        Raises:
            InvalidDigest: the digest is invalid.
            LockTimeout: another process held it for longer than the store's lock policy allows.
        """
        from cstore.digests import check_digest
        from cstore.fs.lockfile import LockFile

        return LockFile(self._context.layout.digest_lock(check_digest(digest))).exclusive(self._context.lock_policy)

    # ── mounts ──

    def mount(self, ref: str, *, label: str = "", options: tuple[str, ...] = ()) -> str:
        """Mount a layer or container; see `mounting.mount`.

        Raises LayerUnknown, DriverError.
        """
        from cstore.store import mounting

        return mounting.mount(self._context, ref, label=label, options=options)

    def unmount(self, ref: str, *, force: bool = False) -> bool:
        """Remove one mount; see `mounting.unmount`.

        Raises LayerUnknown.
        """
        from cstore.store import mounting

        return mounting.unmount(self._context, ref, force=force)

    def mounting(self, ref: str, *, label: str = "", options: tuple[str, ...] = ()) -> AbstractContextManager[str]:
        """Mount a layer or container during a `with` block, which gets the mount point; see `mounting.mounting_of`.

        Raises LayerUnknown, DriverError.
        """
        from cstore.store import mounting

        return mounting.mounting_of(self._context, ref, label=label, options=options)

    def mounted(self, ref: str) -> bool:
        """Return whether a layer or container is mounted; see `mounting.mounted`.

        Raises LayerUnknown.
        """
        from cstore.store import mounting

        return mounting.mounted(self._context, ref)

    def mount_count(self, ref: str) -> int:
        """Return the mount count of a layer or container; see `mounting.mount_count`.

        Raises LayerUnknown.
        """
        from cstore.store import mounting

        return mounting.mount_count(self._context, ref)

    # ── the store as a whole ──

    def status(self) -> list[tuple[str, str]]:
        """Return facts about the store, as pairs of label and value."""
        options = " ".join(self.config.driver_options)
        return [
            ("Root", self.config.graph_root),
            ("Run Root", self.config.run_root),
            ("Driver Name", self.driver_name),
            ("Driver Options", f"[{options}]"),
            *self._context.driver.status(),
        ]

    def gc(
        self,
        *,
        dry_run: bool = False,
        quarantine_age: float | None = None,
        foreign: bool = False,
        partial: bool = False,
    ) -> list[Leftover]:
        """Remove leftovers, that is everything without a record; see `garbage.collect`.

        Raises RecordsDamaged, SystemFailure.
        """
        from cstore.store import garbage

        return garbage.collect(
            self._context, dry_run=dry_run, quarantine_age=quarantine_age, foreign=foreign, partial=partial
        )

    def partial_blobs(self) -> Sequence[PartialBlob]:
        """Return the partially downloaded blobs, whose downloads resume where they stopped."""
        from cstore.store.partial import PartialBlobs

        return PartialBlobs(self._context).list()

    def foreign(self) -> list[Leftover]:
        """Return files with names that no tool creates, which `gc` keeps by default; see `garbage.foreign`.

        Raises RecordsDamaged, SystemFailure.
        """
        from cstore.store import garbage

        return garbage.foreign(self._context)

    def dedup(
        self, method: str = "crc", *, dry_run: bool = False, progress: Callable[[int], None] | None = None
    ) -> Sharing:
        """Share the blocks of identical files of all images; see `dedup.dedup`.

        Raises InvalidOption, RecordsDamaged.
        """
        from cstore.store import dedup

        return dedup.dedup(self._context, method, dry_run=dry_run, progress=progress)

    def wipe(self) -> None:
        """Remove all items; see `wiping.wipe`.

        Raises ContainerOccupied, RecordsDamaged, SystemFailure.
        """
        from cstore.store import wiping

        wiping.wipe(self._context)

    def shutdown(self, *, force: bool = False) -> Sequence[str]:
        """Release the driver, and return the IDs of layers that were still mounted; see `mounting.shutdown`.

        Raises LayersMounted.
        """
        from cstore.store import mounting

        return mounting.shutdown(self._context, force=force)
