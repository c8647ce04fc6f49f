"""Docker's image store on a cstore store: images by the digest of their config (docker 7).

An image created here has a config, which names its layers, and a manifest generated from it, because every image in a
store needs one. `facts` has other facts about an image, such as its parent. IDs are returned as `sha256:<hex>`;
arguments may also be bare hex digits.
"""

from __future__ import annotations

from contextlib import suppress

from cstore.arguments import checked, checked_methods
from cstore.digests import digest_of
from cstore.docker.facts import Facts
from cstore.docker.layerstore import LayerStore
from cstore.docker.partial_id import resolve
from cstore.errors import (
    ChainUnknown,
    DataItemUnknown,
    IDTaken,
    ImageDamaged,
    ImageInvalid,
    ImageUnknown,
    ImageUsedByContainer,
    InUse,
    LayerUnknown,
    ParentImageUnknown,
    ReadOnlyStore,
    WrongSystem,
)
from cstore.oci.config import parse_config
from cstore.oci.media_types import made_up_manifest
from cstore.store.makers import removal_command
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cstore.docker.layer import Freed, WritableLayer
    from cstore.oci.child import Child
    from cstore.oci.config import HistoryItem, ImageConfig, Platform
    from cstore.records.model import Image, Layer
    from cstore.store import Store

_PREFIX = "sha256:"
_SYSTEM = "linux"


class Step(Value):
    """One step in an image's history. `image` is the ID of its result if known, else ""; `size` is in bytes."""

    image: str
    created: str
    created_by: str
    comment: str
    size: int
    names: tuple[str, ...]


@checked_methods
class ImageStore:
    """Images by the digest of their config."""

    @checked
    def __init__(self, store: Store, layers: LayerStore | None = None) -> None:
        """Open the image store; `layers` is the layer store whose references keep layers when images are deleted."""
        self._store = store
        self._layers = layers or LayerStore(store)
        self._facts = Facts(store)

    # ── creating, reading, deleting ──

    def create(self, raw: bytes) -> str:
        """Create an image from its config; return its ID. An existing image is not changed.

        Raises:
            ImageInvalid: the config is invalid, or its history has more layers than the image.
            IDTaken: an image without a config under its ID has the ID.
            ChainUnknown: a layer is missing.
            WrongSystem: the image is for another operating system.
        """
        config = parse_config(raw)
        config.check_history()
        if config.id in self._records():
            return config.digest
        line: Sequence[Layer] = ()
        if config.rootfs.diff_ids:
            self.check_system(config.platform.os)
            try:
                line = self._layers.look(config.rootfs.chain_id).records
            except ChainUnknown as error:
                error.go_text = f"failed to get layer {config.rootfs.chain_id}: {error.go_text}"
                raise
        from cstore.store import NewImage

        # The record is like that of skopeo and Podman for an image whose source has no manifest (docker 16).
        manifest = made_up_manifest(config.raw, [(layer.diff_digest, layer.diff_size) for layer in line])
        data = {config.digest: config.raw, f"manifest-{digest_of(manifest)}": manifest, "manifest": manifest}
        top = line[-1].id if line else ""
        try:
            self._store.images.create(
                NewImage(id=config.id, layer=top, created=config.created, metadata="{}", data=data)
            )
        except IDTaken:
            if config.id not in self._records():
                raise  # it has no config under its ID, so it is another image
        return config.digest

    def register(self, raw: bytes, *, names: Sequence[str] = (), parent: str = "", built_locally: bool = False) -> str:
        """Create an image from its config, with names and facts, atomically; return its ID.

        An existing image gets the names and facts in addition to its own.

        Raises:
            CstoreError: as `create`, `set_parent` and `tag`.
        """
        from cstore.docker.committing import make_noted

        config = parse_config(raw)
        with self._store.begin() as intent:
            return make_noted(self._store, self, config, intent, names, parent=parent, built_locally=built_locally)

    def get(self, image: str) -> ImageConfig:
        """Read an image's config, and verify that its digest is the ID.

        Raises:
            ImageUnknown: there is no such image.
            ImageDamaged: its config is missing or has changed.
        """
        return self._config(self._id(image))

    def _config(self, identifier: str) -> ImageConfig:
        try:
            raw = self._store.images.get_data(identifier, _PREFIX + identifier)
        except DataItemUnknown:
            raise ImageDamaged(identifier, "it has no config") from None
        try:
            config = parse_config(raw)
        except ImageInvalid as error:
            raise ImageDamaged(identifier, error.reason) from None
        if config.id != identifier:
            go_text = f"failed to verify: {_PREFIX}{identifier}"
            raise ImageDamaged(identifier, "its config has another digest", go_text=go_text)
        return config

    def delete(self, image: str) -> list[Freed]:
        """Delete an image and the layers that nothing else uses; return those layers, uppermost first.

        Names and children do not prevent this. The children are kept and lose their recorded parent.

        Raises:
            ImageUnknown: there is no such image.
            ImageUsedByContainer: a container was created from it.
        """
        identifier = self._id(image, go_text="unrecognized image ID {}")
        children = self.children(identifier)
        record = self._records()[identifier]
        top = self._layers.at(record.layer) if record.layer else None
        if top is None or not self._layers.retains_any_of(top):
            below = {one.layer: one for one in top.measured()} if top is not None else {}
            freed = [below[layer] for layer in self._store.images.delete(record.id) if layer in below]
        else:
            user = next((one for one in self._store.containers.list() if one.image == record.id), None)
            if user is not None:
                raise ImageUsedByContainer(record.id, user.id, removal_command(self._store.context, user))
            self._store.delete(record.id)
            for mapped_layer in record.mapped_layers:
                with suppress(InUse, LayerUnknown, ReadOnlyStore):
                    self._store.layers.delete(mapped_layer)
            freed = self._layers.cascade(top)
        for child in children:
            self._facts.set_parent(child.removeprefix(_PREFIX), "")
        return freed

    # ── finding ──

    def search(self, term: str) -> str:
        """Return the ID of the one image whose ID begins with `term`, with `sha256:` or without.

        Raises:
            ImageUnknown: there is no such image, or `term` is empty.
            AmbiguousImageID: there are several.
        """
        return _PREFIX + resolve(term, self._records())

    def map(self) -> Mapping[str, ImageConfig]:
        """Return the configs of all images by ID, without damaged ones."""
        found = {}
        for identifier in self._records():
            try:
                found[_PREFIX + identifier] = self._config(identifier)
            except ImageDamaged:
                continue
        return found

    def heads(self) -> list[str]:
        """Return the IDs of the images that are not a parent of another image."""
        parents = set(self._parents().values())
        return [_PREFIX + identifier for identifier in self._records() if identifier not in parents]

    def children(self, image: str) -> list[str]:
        """Return the IDs of the images whose recorded parent this is; none if this image does not exist."""
        identifier = image.removeprefix(_PREFIX)
        return [_PREFIX + child for child, parent in self._parents().items() if parent == identifier]

    def __len__(self) -> int:
        return len(self._records())

    def __iter__(self) -> Iterator[str]:
        """Iterate over the IDs of all images, including those with a damaged config."""
        return iter([_PREFIX + identifier for identifier in self._records()])

    def walk(self, visit: Callable[[str], object]) -> None:
        """Call `visit` with the ID of each image; an exception of `visit` ends the walk."""
        for identifier in self:
            visit(identifier)

    # ── facts ──

    def set_parent(self, image: str, parent: str) -> None:
        """Record the image that this one was made from, replacing a recorded parent.

        Raises:
            ParentImageUnknown: there is no such parent.
            ImageUnknown: there is no such image.
        """
        above = parent.removeprefix(_PREFIX)
        if above not in self._records():
            raise ParentImageUnknown(parent, image)
        self._facts.set_parent(self._id(image), above)

    def parent(self, image: str) -> str:
        """Return the ID of the image that this one was made from.

        Raises:
            ParentImageUnknown: none is recorded, or it no longer exists.
        """
        above = self._parents().get(image.removeprefix(_PREFIX), "")
        if not above:
            raise ParentImageUnknown("", image)
        return _PREFIX + above

    def tag(self, image: str, name: str, *, force: bool = True) -> str:
        """Add a name to an image, completed as Docker does, and record the time; return the complete name.

        Raises:
            InvalidName: it is not a valid name, or could be mistaken for a digest.
            NameTaken: another image has it, and `force` is false.
            ImageUnknown: there is no such image.
        """
        from cstore.docker.tagging import add_tag, full_tag

        full = full_tag(name)
        add_tag(self._store, self._id(image), full, force=force)
        self.set_last_updated(image)
        return str(full)

    def set_last_updated(self, image: str) -> None:
        """Record that the image was tagged now."""
        from cstore.records.codec import now

        self._facts.set_last_updated(self._id(image), now())

    def last_updated(self, image: str) -> str:
        """Return the time when the image was tagged, RFC 3339; "" if none is recorded, or there is no such image."""
        return self._facts.last_updated(image.removeprefix(_PREFIX))

    def set_built_locally(self, image: str) -> None:
        """Record that the image was built or committed on this host."""
        self._facts.set_built_locally(self._id(image))

    def built_locally(self, image: str) -> bool:
        """Return whether the image was built or committed on this host; false if it does not exist."""
        return self._facts.built_locally(image.removeprefix(_PREFIX))

    # ── history, commit, configs ──

    def history(self, image: str) -> list[Step]:
        """Return the steps that created an image, newest first, as recorded in its config."""
        config = self.get(image)
        top = self._layers.find(config.rootfs.chain_id) if config.rootfs.diff_ids else None
        sizes = [] if top is None else [one.diff_size for one in reversed(top.measured())]
        parents, lineage = self._parents(), [config.id]
        while lineage[-1] in parents and parents[lineage[-1]] not in lineage:
            lineage.append(parents[lineage[-1]])
        steps: list[Step] = []
        for item in reversed(config.history):
            identifier = lineage.pop(0) if lineage else ""
            size = 0 if item.empty_layer or not sizes else sizes.pop()
            names = self._records()[identifier].names if identifier else ()
            shown = _PREFIX + identifier if identifier else ""
            steps.append(Step(shown, item.created, item.created_by, item.comment, size, names))
        return steps

    def commit(
        self, source: WritableLayer, parent: str, *, author: str = "", comment: str = "", names: Sequence[str] = ()
    ) -> str:
        """Create an image from the changes of a writable layer on top of the image `parent`; return its ID.

        The writable layer is kept. Without changes, no layer is added. The image never exists without its names, even
        if this process is killed.

        Raises:
            ImageUnknown: there is no such parent.
            InvalidOption: the writable layer is not based on the layers of that image.
            InvalidName: a name is not valid, or could be mistaken for a digest.
        """
        from cstore.docker.committing import commit
        from cstore.oci.child import Child

        child = Child(author=author, comment=comment)
        return commit(self._store, self, self._layers, source, parent, child, names)

    @staticmethod
    def check_system(system: str) -> None:
        """Check that images for an operating system can be stored here; "" passes.

        Raises:
            WrongSystem: they cannot be stored.
        """
        if system and system.lower() != _SYSTEM:
            raise WrongSystem(system)

    @staticmethod
    def platform(config: ImageConfig) -> Platform:
        """Return the platform of an image; fields missing in its config are those of this machine."""
        from cstore.oci.platforms import host_platform

        return config.on_host(host_platform())

    @staticmethod
    def empty() -> ImageConfig:
        """Return an empty config; fill it with `changed`, and pass its bytes to `create`."""
        from cstore.oci.config import empty_config

        return empty_config()

    @staticmethod
    def new_history(
        author: str = "", comment: str = "", created_by: str = "", *, empty_layer: bool = False
    ) -> HistoryItem:
        """Return a history item with the current time."""
        from cstore.oci.config import HistoryItem
        from cstore.records.codec import now

        return HistoryItem(now(), created_by, author, comment, empty_layer)

    @staticmethod
    def new_child(parent: ImageConfig | None, child: Child, system: str = _SYSTEM, version: str = "") -> ImageConfig:
        """Return the config of an image that adds a layer to `parent`; pass its bytes to `create`.

        `version` is that of the program that builds the image.
        """
        from cstore.oci.child import new_child
        from cstore.oci.platforms import host_platform
        from cstore.records.codec import now

        architecture = host_platform().architecture
        return new_child(parent, child, created=now(), system=system, architecture=architecture, version=version)

    # ── helpers ──

    def _records(self) -> dict[str, Image]:
        """Return the images that have a config under their ID; others are not images in Docker's sense."""
        return {image.id: image for image in self._store.images.list() if _PREFIX + image.id in image.data_names}

    def _id(self, image: str, *, go_text: str = "failed to get digest {}: no such file or directory") -> str:
        identifier = image.removeprefix(_PREFIX)
        if identifier not in self._records():
            error = ImageUnknown(image)
            error.go_text = go_text.format(_PREFIX + identifier)
            if self._store.images.find(identifier) is not None:
                error.hint = "the image is there, but it has no config under its ID, which Docker's images have"
            raise error
        return identifier

    def _parents(self) -> dict[str, str]:
        """Return the recorded parents that exist, by the IDs of their children."""
        records = self._records()
        found = {identifier: self._facts.parent(identifier) for identifier in records}
        return {child: parent for child, parent in found.items() if parent in records}
