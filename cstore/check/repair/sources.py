"""Sources of lost data: archives of layers, archives and layouts of images, other stores, registries.

Sources are only read. Their data is trusted by digest alone, so the type of a file does not matter: every tar in it
may be a layer, and every small file a manifest or a config.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING

from cstore import presence
from cstore.archive.compression import LONGEST_MAGIC, Compression, sniff
from cstore.archive.streams import BUFFER_SIZE, FileReader
from cstore.check.repair.pieces import Piece, PieceReader, decompressed, digests_of, members, open_piece
from cstore.errors import ArchiveError, CstoreError, SourceUnusable, SystemFailure
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.check.repair.registry_source import RegistryImage
    from cstore.records.model import Image, Layer
    from cstore.registry import Access
    from cstore.store.context import Context
    from cstore.store.store import Store

REGISTRY = "docker://"
_SMALL = 4 << 20


class StoredLayer(Value):
    """A layer of a source store: the source as given by the user, the store, and the layer's record."""

    given: str
    store: Store
    record: Layer


class StoredImage(Value):
    """An image of a source store, likewise."""

    given: str
    store: Store
    record: Image


class Sources:
    """All sources together. They are read when something is first searched for."""

    def __init__(self, context: Context, given: Sequence[str], access: Access | None = None) -> None:
        """Note the sources without reading them. `access` is how to access registries.

        Raises:
            SourceUnusable: a source does not exist.
        """
        self._context = context
        self.given = tuple(given)
        self._layers: dict[str, Piece] = {}
        self._blobs: dict[str, Piece] = {}
        self._files: dict[str, Piece] = {}
        self._opened_layers: set[str] = set()
        self._stores: list[tuple[str, Store]] = []
        self._used: set[str] = set()
        self._copies: list[IO[bytes]] = []
        self._looked = False
        self._access = access
        self._images: list[RegistryImage] = []
        for path in given:
            if not path.startswith(REGISTRY) and not presence.exists(path):
                raise SourceUnusable(path, "there is no such file or directory")

    def close(self) -> None:
        """Delete the scratch files."""
        for copy in self._copies:
            copy.close()
        self._copies.clear()

    @contextmanager
    def layer(self, diff_id: str) -> Iterator[int | None]:
        """Yield a descriptor of the archive with this DiffID; None if no source has it."""
        self._look()
        image = next((image for image in self._images if image.has(diff_id)), None)
        if image is not None and diff_id not in self._layers:
            copy = self._kept()
            image.fetch(diff_id, copy, self._append)
            self._note(Piece(f"/proc/self/fd/{copy.fileno()}", image.given))
        piece = self._layers.get(diff_id)
        if piece is not None:
            with self._opened(piece) as fd:
                yield fd
            return
        failure: CstoreError | None = None
        for _, store in self._stores:
            layer = next((found for found in store.layers.list() if found.diff_digest == diff_id), None)
            if layer is None:
                continue
            with ExitStack() as stack:
                try:
                    fd = stack.enter_context(self.spooled(store, layer.id))
                except CstoreError as error:  # this store has lost the layer, too; try the others
                    failure = error
                    continue
                yield fd
                return
        if failure is not None:
            raise failure
        yield None

    def has_layer(self, diff_id: str) -> bool:
        """Return whether a source has the archive with this DiffID."""
        self._look()
        having = [self._layers[diff_id].given] if diff_id in self._layers else []
        having += (image.given for image in self._images if image.has(diff_id))
        for given, store in self._stores:
            if any(found.diff_digest == diff_id for found in store.layers.list()):
                having.append(given)
        self._used.update(having)
        return bool(having)

    def unused(self) -> tuple[str, ...]:
        """Return the sources in which no search found anything; none before the first search."""
        return tuple(path for path in self.given if self._looked and path not in self._used)

    def blob(self, digest: str) -> bytes | None:
        """Return the small file with this digest, such as a manifest or a config; None if no source has it."""
        self._look()
        piece = self._blobs.get(digest)
        if piece is not None:
            with open_piece(piece) as file:
                data = os.pread(file.fileno(), piece.size if piece.size >= 0 else _SMALL, piece.start)
            self._used.add(piece.given)
            return data if digest == f"sha256:{hashlib.sha256(data).hexdigest()}" else None
        for given, store in self._stores:
            for data in self._items(store, digest):
                self._used.add(given)
                return data
        return None

    def _items(self, store: Store, digest: str) -> Iterator[bytes]:
        """Yield the data items of a store's images whose recorded and actual digest is `digest`."""
        for image in store.images.list():
            for key, recorded in image.data_digests.items():
                if recorded != digest:
                    continue
                try:
                    data = store.images.get_data(image.id, key)
                except CstoreError:
                    continue
                if f"sha256:{hashlib.sha256(data).hexdigest()}" == digest:
                    yield data

    def has_content(self, digest: str, diff_id: str) -> bool:
        """Return whether a source has a file with this digest, by itself or in the archive with this DiffID."""
        return self._content(digest, diff_id) is not None

    def _content(self, digest: str, diff_id: str) -> Piece | None:
        self._look()
        wanted = diff_id and digest not in self._files and diff_id not in self._opened_layers
        if wanted and self.has_layer(diff_id):
            self._opened_layers.add(diff_id)
            with self.layer(diff_id) as fd:
                if fd is not None:
                    copy = self._kept()
                    for view in decompressed(FileReader(fd, diff_id)):
                        self._append(copy, view)
                    for member in members(f"/proc/self/fd/{copy.fileno()}", ""):
                        self._note(member)
        piece = self._files.get(digest)
        self._used.update([piece.given] if piece is not None else [])
        return piece

    @contextmanager
    def content(self, path: str, digest: str, diff_id: str) -> Iterator[Iterator[bytes]]:
        """Yield, in parts, the file at a path; without a path, the file with this digest that `has_content` found.

        Raises:
            SourceUnusable: no source has the file any more.
        """
        piece = Piece(path, "") if path else self._content(digest, diff_id)
        if piece is None:
            raise SourceUnusable(digest, "no source has it any more")
        with open_piece(piece) as file:
            reader, buffer = PieceReader(file.fileno(), piece), memoryview(bytearray(BUFFER_SIZE))
            yield iter(lambda: bytes(buffer[: reader.readinto(buffer)]), b"")

    def like(self, record: Layer) -> Iterator[StoredLayer]:
        """Yield layers of source stores with the same archive or table of contents, and the same owners, as a layer."""
        self._look()
        for given, store in self._stores:
            for layer in store.layers.list():
                by_archive = bool(record.diff_digest) and layer.diff_digest == record.diff_digest
                by_contents = bool(record.toc_digest) and layer.toc_digest == record.toc_digest
                if (by_archive or by_contents) and layer.id_map == record.id_map:
                    self._used.add(given)
                    yield StoredLayer(given, store, layer)

    def layer_item(self, layer: str, diff_id: str, key: str) -> bytes | None:
        """Return a data item of the layer with this ID and DiffID; None if no source has it."""
        self._look()
        for given, store in self._stores:
            found = store.layers.find(layer)
            if found is not None and found.id == layer and found.diff_digest == diff_id:
                self._used.add(given)
                try:
                    return store.layers.get_data(layer, key)
                except CstoreError:
                    continue
        return None

    def stored_layer(self, layer: str) -> StoredLayer | None:
        """Return the layer with this exact ID from the first source store that has it."""
        self._look()
        for given, store in self._stores:
            found = store.layers.find(layer)
            if found is not None and found.id == layer:
                self._used.add(given)
                return StoredLayer(given, store, found)
        return None

    def stored_image(self, image: str) -> StoredImage | None:
        """Return the image with this exact ID from the first source store that has it."""
        self._look()
        for given, store in self._stores:
            found = store.images.find(image)
            if found is not None and found.id == image:
                self._used.add(given)
                return StoredImage(given, store, found)
        return None

    # ── reading ──

    def _look(self) -> None:
        if self._looked:
            return
        self._looked = True
        for path in self.given:
            if path.startswith(REGISTRY):  # its documents are fetched now, and its layers when they are needed
                from cstore.check.repair.registry_source import RegistryImage

                image = RegistryImage(path, self._access)
                self._images.append(image)
                for document in image.documents:
                    copy = self._kept()
                    self._append(copy, document)
                    self._note(Piece(f"/proc/self/fd/{copy.fileno()}", path))
            elif not presence.is_directory(path):
                self._look_into(path, path)
            elif not self._look_at_stores(path):
                for folder, _, names in os.walk(path):
                    for name in sorted(names):
                        self._look_into(os.path.join(folder, name), path)

    def _look_at_stores(self, path: str) -> bool:
        """Open the stores in a directory, except the one under repair; return whether it is a graph root.

        A graph root can have one store per driver.
        """
        from cstore.config import Overrides, load_config
        from cstore.drivers.registry import DRIVERS
        from cstore.store.store import open_store

        own = self._context.layout
        drivers = [name for name in DRIVERS if presence.is_directory(os.path.join(path, f"{name}-layers"))]
        for driver in drivers:
            if driver != own.driver or not os.path.samefile(path, own.graph_root):
                run_root = os.path.join(path, ".no-run-root")  # only read, so this directory is never created
                config = load_config(Overrides(graph_root=path, run_root=run_root, driver=driver))
                self._stores.append((path, open_store(config, degraded=True)))
        return bool(drivers)

    def _kept(self) -> IO[bytes]:
        """Create a scratch file that exists until `close`."""
        copy = self._scratch()
        self._copies.append(copy)
        return copy

    def _look_into(self, path: str, given: str) -> None:
        """Note a file by its digests, and the members of a tar by theirs."""
        try:
            if presence.is_file(path):
                self._note(Piece(path, given))
                for member in members(self._plain(path), given):
                    self._note(member)
        except ArchiveError:
            return  # not an archive, or a truncated one, whose readable members are noted

    def _plain(self, path: str) -> str:
        """Return the path of a file with the same bytes, decompressed into a scratch file if necessary."""
        with open_piece(Piece(path, "")) as file:
            if sniff(os.pread(file.fileno(), LONGEST_MAGIC, 0)) is Compression.NONE:
                return path
            copy = self._kept()
            for view in decompressed(FileReader(file.fileno(), path)):
                self._append(copy, view)
        return f"/proc/self/fd/{copy.fileno()}"

    def _note(self, piece: Piece) -> None:
        with open_piece(piece) as file:
            raw, plain, size = digests_of(file.fileno(), piece)
        self._layers.setdefault(plain, piece)
        self._files.setdefault(raw, piece)
        if size <= _SMALL:
            self._blobs.setdefault(raw, piece)

    @contextmanager
    def _opened(self, piece: Piece) -> Iterator[int]:
        """Open a piece as a file of its own: part of a file is copied, so that a reader reaches its end."""
        with open_piece(piece) as file:
            if piece.size < 0:
                yield file.fileno()
                return
            with self._scratch() as copy:
                reader, buffer = PieceReader(file.fileno(), piece), memoryview(bytearray(BUFFER_SIZE))
                while count := reader.readinto(buffer):
                    self._append(copy, buffer[:count])
                if reader.left:
                    raise SourceUnusable(piece.path, "it ends in the middle of a member")
                os.lseek(copy.fileno(), 0, os.SEEK_SET)
                yield copy.fileno()

    def _scratch(self) -> IO[bytes]:
        """Create an unnamed file on the store's file system, which has space for layers; /tmp may not.

        Raises:
            SystemFailure: the file cannot be created.
        """
        import tempfile

        folder = self._context.layout.graph_root
        try:
            return tempfile.TemporaryFile(dir=folder, buffering=0)
        except OSError as error:
            raise SystemFailure("create a scratch file in", folder, error) from None

    def _append(self, copy: IO[bytes], data: bytes | memoryview) -> None:
        """Write all of `data` to a scratch file.

        Raises:
            SystemFailure: there is no space for it.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(copy.fileno(), rest) :]
        except OSError as error:
            folder = self._context.layout.graph_root
            raise SystemFailure("write a scratch file in", folder, error) from None

    @contextmanager
    def spooled(self, store: Store, layer: str) -> Iterator[int]:
        """Export a layer of another store into an unnamed file, and yield its descriptor."""
        from cstore.archive.streams import FileSink

        with self._scratch() as file:
            store.layers.diff(layer, FileSink(file.fileno()), compression=Compression.NONE)
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            yield file.fileno()
