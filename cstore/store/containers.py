"""The container methods of the library: each calls the function in its module."""

from __future__ import annotations

from cstore.store.lookup import get_container
from cstore.store.places import ItemKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import BufferedReader

    from cstore.records.model import Container
    from cstore.store.container_creation import NewContainer
    from cstore.store.context import Context
    from cstore.store.ends import Source, Target
    from cstore.store.reading import Reader


class Containers:
    """Containers by ID, name, layer or unique ID prefix (`ref`). Reading takes no lock and leaves no trace."""

    def __init__(self, context: Context, reader: Reader) -> None:
        self._context = context
        self._reader = reader

    # ── lookup ──

    def list(self) -> Sequence[Container]:
        """Return all containers, in the order of their records."""
        return list(self._reader.containers)

    def find(self, ref: str) -> Container | None:
        """Return the container that matches `ref`, or None."""
        return self._reader.containers.resolve(ref)

    def get(self, ref: str) -> Container:
        """Return the container that matches `ref`.

        Raises:
            ContainerUnknown: none matches, or more than one.
        """
        return get_container(self._reader, ref)

    def by_layer(self, ref: str) -> Container:
        """Return the container whose own layer matches `ref`; see `container_files.by_layer`.

        Raises LayerUnknown, ContainerUnknown.
        """
        from cstore.store import container_files

        return container_files.by_layer(self._context, ref)

    # ── creation and removal ──

    def create(
        self, request: NewContainer, contents: Source | None = None, directory: Source | None = None
    ) -> Container:
        """Create a container from an image, or from nothing; see `container_creation.create_container`.

        Raises ArchiveError, ImageUnknown, LayerUnknown, IDTaken, NameTaken, InvalidID, InvalidName, InvalidIDMap,
        InvalidOption, InvalidDataName, DriverError.
        """
        from cstore.store import container_creation

        if contents is None and directory is None:
            return container_creation.create_container(self._context, request)
        from contextlib import ExitStack

        from cstore.store.ends import opened_source

        with ExitStack() as stack:
            opened = [
                None if source is None else stack.enter_context(opened_source(source))
                for source in (contents, directory)
            ]
            return container_creation.create_container(self._context, request, *opened)

    def write_directory(self, ref: str, sink: Target) -> bool:
        """Write the contents of the container's own directory as a tar; see `container_files.write_directory`.

        Raises ContainerUnknown, SystemFailure, Unsupported.
        """
        from cstore.store import container_files
        from cstore.store.ends import opened_sink

        with opened_sink(sink, sync=self._context.sync) as opened:
            return container_files.write_directory(self._context, ref, opened)

    def delete(self, ref: str, *, force: bool = False) -> None:
        """Delete a container with everything that belongs to it; see `container_removal.delete_container`.

        Raises NotAContainer, ContainerOccupied, CstoreError.
        """
        from cstore.store import container_removal

        container_removal.delete_container(self._context, ref, force=force)

    # ── data items ──

    def data_names(self, ref: str) -> tuple[str, ...]:
        """Return the data items of a container, in the order in which they were first set."""
        from cstore.store import bigdata

        return bigdata.data_names(self._context, ItemKind.CONTAINERS, ref)

    def get_data(self, ref: str, key: str) -> bytes:
        """Return a data item of a container; see `bigdata.get_data`.

        Raises UnknownItem, DataItemUnknown.
        """
        from cstore.store import bigdata

        return bigdata.get_data(self._context, ItemKind.CONTAINERS, ref, key)

    def data_size(self, ref: str, key: str) -> int:
        """Return the size of a data item, in bytes; see `bigdata.data_size`.

        Raises UnknownItem, DataItemUnknown.
        """
        from cstore.store import bigdata

        return bigdata.data_size(self._context, ItemKind.CONTAINERS, ref, key)

    def data_digest(self, ref: str, key: str) -> str:
        """Return the digest of a data item; see `bigdata.data_digest`.

        Raises UnknownItem, DataItemUnknown.
        """
        from cstore.store import bigdata

        return bigdata.data_digest(self._context, ItemKind.CONTAINERS, ref, key)

    def open_data(self, ref: str, key: str) -> BufferedReader:
        """Open a data item of a container for reading; see `bigdata.open_data`.

        Raises UnknownItem, DataItemUnknown.
        """
        from cstore.store import bigdata

        return bigdata.open_data(self._context, ItemKind.CONTAINERS, ref, key)

    def set_data(self, ref: str, key: str, data: Source) -> None:
        """Set a data item of a container from bytes, a path, a descriptor or a file; see `bigdata.set_data`.

        Raises UnknownItem, ReadOnlyStore, InvalidDataName, InvalidDigest.
        """
        from cstore.store import bigdata

        bigdata.set_data(self._context, ItemKind.CONTAINERS, ref, key, data)

    def delete_data(self, ref: str, key: str) -> None:
        """Delete a data item of a container; see `bigdata.delete_data`.

        Raises UnknownItem, ReadOnlyStore, DataItemUnknown, DataItemNeeded.
        """
        from cstore.store import bigdata

        bigdata.delete_data(self._context, ItemKind.CONTAINERS, ref, key)

    # ── directories, space, owners ──

    def directory(self, ref: str) -> str:
        """Return the directory that the engine keeps for a container; see `container_files.directory`.

        Raises ContainerUnknown.
        """
        from cstore.store import container_files

        return container_files.directory(self._context, ref)

    def run_directory(self, ref: str) -> str:
        """Return the container's directory that a reboot may remove; see `container_files.run_directory`.

        Raises ContainerUnknown.
        """
        from cstore.store import container_files

        return container_files.run_directory(self._context, ref)

    def write_file(self, ref: str, name: str, source: Source, *, run: bool = False) -> None:
        """Write a file into a container's directory, or its run directory; see `container_files.write_file`.

        Raises ContainerUnknown, InvalidDataName, SystemFailure.
        """
        from cstore.store import container_files

        container_files.write_file(self._context, ref, name, source, run=run)

    def read_file(self, ref: str, name: str, *, run: bool = False) -> bytes:
        """Return a file in a container's directory, or its run directory; see `container_files.read_file`.

        Raises ContainerUnknown, InvalidDataName, SystemFailure.
        """
        from cstore.store import container_files

        return container_files.read_file(self._context, ref, name, run=run)

    def size(self, ref: str) -> int:
        """Return the bytes that only the container takes; see `container_files.size`.

        Raises ContainerUnknown, LayerUnknown.
        """
        from cstore.store import container_files

        return container_files.size(self._context, ref)

    def parent_owners(self, ref: str) -> tuple[Sequence[int], Sequence[int]]:
        """Return owners above a container's mount that its layer's maps do not cover; see `mounting.parent_owners`.

        Raises LayerUnknown, LayerNotMounted.
        """
        from cstore.store import mounting

        return mounting.parent_owners(self._context, self.get(ref).layer)
