"""Copies many images from one place to another: skips equal ones, reports failures, and continues.

    docker://HOST              every repository of a registry        docker://HOST/PATH/       those below a path
    docker://HOST/PATH         every tag of a repository             docker://HOST/PATH:TAG    one; * is any text
    containers-storage:[…]     every named image of a store, or those whose names are like a pattern
    oci:PATH, dir:PATH         every image of a layout; every directory below that holds one

At a registry, images keep their paths; `scoped` puts their registry in front, so that the way back gives the same
names: `docker.io/library/app:1` ↔ `docker://HOST/PREFIX/docker.io/library/app:1`, with `__` for a port's colon.
"""

from __future__ import annotations

import os
from contextlib import suppress
from fnmatch import fnmatchcase

from cstore.arguments import checked
from cstore.digests import digest_of
from cstore.errors import CstoreError, Refused, UsageMistake
from cstore.oci.names import DOCKER, LOCAL, ImageName, parse_name
from cstore.transfer import places
from cstore.transfer.containers import (
    UNNAMED,
    ContainerSource,
    identifier_of,
    is_container,
    name_of,
    restore_container,
)
from cstore.transfer.contract import CopyRequest, Remembers
from cstore.transfer.copying import members_at, opened_source, sink_of, store_at
from cstore.transfer.manifests import Index, Manifest
from cstore.transfer.oci_layout import Choice, chosen_instances
from cstore.transfer.places import Place, parse_place
from cstore.transfer.sources import read_document
from cstore.transfer.sync_deleting import scope_of
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from cstore.records.model import Image
    from cstore.store import Store
    from cstore.transfer.contract import ImageSource, Tell
    from cstore.transfer.registry_ends import RegistryAccess

COPIED, EQUAL, FAILED, DELETED, KEPT = "copied", "equal", "failed", "deleted", "kept"
_SOURCES = (places.REGISTRY, places.STORE, places.OCI, places.DIRECTORY)
_DEEPEST = 8
"""Directories below one that is looked through for images."""


class SyncRequest(Value):
    """How images are synced.

    Attributes:
        scoped: at a registry, put the registry of an image's name in front of its path.
        delete: delete tags and names at the destination that the source no longer has.
        copy: how each image is copied.
        listed: images of the source to sync, instead of all of them; not patterns.
        containers: also sync the containers of a store (see `containers`), and the unnamed images that they use.
    """

    scoped: bool = False
    delete: bool = False
    copy: CopyRequest = CopyRequest()
    listed: tuple[str, ...] = ()
    containers: bool = False


class Synced(Value):
    """The outcome for one image: copied, equal, failed, deleted or, if it could not be deleted, kept."""

    source: str
    destination: str
    outcome: str
    digest: str = ""
    size: int = 0
    error: CstoreError | None = None


class _Item(Value):
    """An image of the source: its name, and where it is. `below`: the part of its path that counts at a registry.

    `container` is the ID of a container of a store; one that comes back from elsewhere is told by its name.
    """

    name: ImageName
    place: Place
    below: str
    container: str = ""


@checked
def sync(
    source: str | Place,
    destination: str | Place,
    request: SyncRequest,
    tell: Tell,
    *,
    store: Store | None = None,
    access: RegistryAccess | None = None,
) -> Iterator[Synced]:
    """Copy the images of one place to another; yields the outcome of each as soon as it is known.

    Args:
        source: which images; see above.
        destination: `docker://HOST[/PREFIX]`, a store, or a directory for `oci:` or `dir:`.
        request: how to copy.
        tell: called with the events of each copy.
        store: the store of places that name none.
        access: how registries are spoken to.

    Raises:
        UsageMistake: a place cannot be used here.
        CstoreError: the images of the source cannot be listed; nothing is changed then.
    """
    run = _Sync(
        parse_place(source) if isinstance(source, str) else source,
        parse_place(destination) if isinstance(destination, str) else destination,
        request,
        tell,
        store,
        access,
    )
    return run.all()


class _Sync:
    """One run."""

    def __init__(
        self,
        source: Place,
        destination: Place,
        request: SyncRequest,
        tell: Tell,
        store: Store | None,
        access: RegistryAccess | None,
    ) -> None:
        if source.transport not in _SOURCES:
            raise UsageMistake(f"{source.transport} holds one image", hint="cstore copy-image copies one")
        if destination.transport not in _SOURCES:
            raise UsageMistake(
                f"{destination.transport} cannot hold many images", hint=f"choose one of: {', '.join(_SOURCES)}"
            )
        if request.delete and (request.listed or destination.transport not in {places.REGISTRY, places.STORE}):
            raise UsageMistake("--delete is for a registry or a store, and for a source that is not a list")
        self._from, self._to, self._request, self._tell = source, destination, request, tell
        self._store, self._access = store, access

    def all(self) -> Iterator[Synced]:
        """Copy everything, then delete what is gone."""
        every: Iterable[_Item] = [self._typed(text) for text in self._request.listed]
        if not self._request.listed:
            every = {
                places.REGISTRY: self._of_registry,
                places.STORE: self._of_store,
                places.OCI: self._of_layout,
                places.DIRECTORY: self._of_directories,
            }[self._from.transport]()
        items = [item for item in every if self._request.containers or not self._comes_back(item)]
        items.sort(key=lambda item: is_container(item.name.path))  # their images first
        if not items:
            raise Refused(f"there is no image at {self._from}", hint="nothing was changed")
        goals = []
        for item in items:
            try:
                goals.append(goal := self._goal(item))
            except CstoreError as error:  # a registry may have what no store can
                yield Synced(str(item.place), str(self._to), FAILED, error=error)
            else:
                yield self._one(item, goal)
        if self._request.delete and not self._request.copy.dry_run:
            yield from self._delete({goal.reference for goal in goals})

    def _delete(self, kept: set[str]) -> Iterator[Synced]:
        """Delete what the source speaks for and does not have."""
        from cstore.transfer.registry_ends import RegistryAccess
        from cstore.transfer.sync_deleting import Scope, gone_from

        host, path, tag = scope_of(self._from.reference) if self._from.transport == places.REGISTRY else ("", "", "")
        if tag and "*" not in tag:
            return
        to_store = self._to.transport == places.STORE
        scope = Scope("" if self._request.scoped else host, "" if self._request.scoped else path, tag or "*")
        store = store_at(self._to, self._store) if to_store else None
        prefix = self._to.reference.rstrip("/")
        access = self._access or RegistryAccess()
        spared = None if self._request.containers else is_container
        for name, error in gone_from(self._to.transport, kept, scope, prefix, access, store, spared):
            yield Synced("", name, DELETED if error is None else KEPT, error=error)

    def _comes_back(self, item: _Item) -> bool:
        """Whether an item is a container from elsewhere that is to be created in a store again."""
        return self._to.transport == places.STORE and is_container(item.name.path)

    # ── which images ──

    def _typed(self, text: str) -> _Item:
        """Read a line of a list: a name, at the source's place; one without a registry is the source's."""
        homes = {places.STORE: LOCAL, places.REGISTRY: scope_of(self._from.reference)[0]}
        name = parse_name(text.removeprefix("docker://"), home=homes.get(self._from.transport, DOCKER))
        if self._from.transport == places.REGISTRY:
            return _Item(name, Place(places.REGISTRY, reference=str(name)), name.path)
        if self._from.transport == places.STORE and self._request.containers and is_container(name.path):
            return _Item(name, self._from.with_(reference=name.tag), name.path, name.tag)
        return _Item(name, self._from.with_(reference=text), name.path)

    def _of_registry(self) -> Iterator[_Item]:
        from cstore.registry import catalog, open_repository
        from cstore.transfer.registry_ends import RegistryAccess

        access = self._access or RegistryAccess()
        settings = access.settings()
        host, path, pattern = scope_of(self._from.reference)
        repositories = [path]
        if not path or path.endswith("/") or "*" in path:
            wanted = path + "*" if path.endswith("/") or not path else path
            every = catalog(host, access=access.access, settings=settings)
            repositories = [one for one in every if fnmatchcase(one, wanted)]
        for one in repositories:
            tags: Sequence[str] = [pattern]
            if not pattern or "*" in pattern:
                name = ImageName(host, one, "latest")
                with open_repository(name, access=access.access, settings=settings) as repository:
                    tags = [tag for tag in repository.tags() if fnmatchcase(tag, pattern or "*")]
            for tag in tags:
                name = ImageName(host, one, tag)
                below = one.removeprefix(path) if path.endswith("/") else one
                yield _Item(name, Place(places.REGISTRY, reference=str(name)), below)

    def _of_store(self) -> Iterator[_Item]:
        pattern, store, listed = self._from.reference, store_at(self._from, self._store), set[str]()
        for image in store.images.list():
            for item in self._named(image, pattern):
                listed.add(image.id)
                yield item
        for container in store.containers.list() if self._request.containers else ():
            if pattern and not any(fnmatchcase(name, pattern) for name in container.names):
                continue
            # Those of their images that are not listed yet come too: without them, no container can come back.
            used = store.images.find(container.image) if container.image else None
            if used is not None and used.id not in listed:
                listed.add(used.id)
                name = name_of(used.id, UNNAMED)
                nameless = _Item(name, self._from.with_(reference=f"@{used.id}"), name.path)
                yield next(self._named(used, ""), nameless)
            name = name_of(container.id)
            yield _Item(name, self._from.with_(reference=container.id), name.path, container.id)

    def _named(self, image: Image, pattern: str) -> Iterator[_Item]:
        """An image under each of its names that is like a pattern."""
        for text in image.names:
            if pattern and not fnmatchcase(text, pattern):
                continue
            with suppress(CstoreError):  # what other tools have called it need be no name
                name = parse_name(text, home=LOCAL)
                if not name.digest:
                    yield _Item(name, self._from.with_(reference=text), name.path)

    def _of_layout(self) -> Iterator[_Item]:
        from cstore.transfer.oci_layout import read_index
        from cstore.transfer.sources import references_of

        with members_at(self._from.path, layout=True) as members:
            entries = read_index(members).manifests
        for reference in dict.fromkeys(text for entry in entries for text in references_of(entry)[:1]):
            with suppress(CstoreError):
                name = parse_name(reference, home=LOCAL)
                yield _Item(name, self._from.with_(reference=reference), name.path)

    def _of_directories(self) -> Iterator[_Item]:
        top = self._from.path
        for folder, folders, files in os.walk(top):
            below = os.path.relpath(folder, top)
            if "manifest.json" in files and below != ".":
                folders.clear()
                with suppress(CstoreError):
                    name = parse_name(below, home=LOCAL)
                    yield _Item(name, Place(places.DIRECTORY, folder), name.path)
            elif below.count("/") >= _DEEPEST:
                folders.clear()

    # ── where they go ──

    def _goal(self, item: _Item) -> Place:
        """Where an image goes."""
        name, to = item.name, self._to
        if to.transport == places.REGISTRY:
            host, _, prefix = to.reference.rstrip("/").partition("/")
            scope = name.domain.lower().replace(":", "__") if self._request.scoped else ""
            path = "/".join(filter(None, (prefix, scope, item.below)))
            return Place(places.REGISTRY, reference=str(ImageName(host, path, name.tag, name.digest)))
        if self._request.scoped and self._from.transport == places.REGISTRY:
            domain, _, path = item.below.partition("/")
            name = ImageName(domain.replace("__", ":"), path, name.tag)
            parse_name(str(name))
        if to.transport == places.DIRECTORY:
            return Place(places.DIRECTORY, os.path.join(to.path, str(name)))
        return to.with_(reference=str(name))

    # ── one image ──

    def _one(self, item: _Item, goal: Place) -> Synced:
        request = self._request.copy
        whole = goal.transport != places.STORE and not request.platform
        request = request.with_(all_platforms=whole)
        try:
            if item.container:
                opened: AbstractContextManager[ImageSource]
                opened = ContainerSource(store_at(self._from, self._store), item.container)
            else:
                opened = opened_source(item.place, store=self._store, platform=request.platform, access=self._access)
            with opened as found:
                if self._comes_back(item):
                    return self._restored(found, item, request)
                if self._is_equal(found, goal):
                    return Synced(str(item.place), str(goal), EQUAL)
                if goal.transport == places.DIRECTORY:
                    os.makedirs(os.path.dirname(goal.path), exist_ok=True)
                sink = sink_of(goal, store=self._store, access=self._access)
                done = sink.take(found, request, self._tell)
        except CstoreError as error:
            return Synced(str(item.place), str(goal), FAILED, error=error)
        return Synced(str(item.place), str(goal), COPIED, done.digest, done.size)

    def _restored(self, source: ImageSource, item: _Item, request: CopyRequest) -> Synced:
        """Make a container again, unless it is there; one that has changed since is never replaced."""
        store, identifier = store_at(self._to, self._store), identifier_of(source, item.name.tag)
        known, shown = store.containers.find(identifier), f"container {identifier}"
        if known is not None and known.id == identifier:
            with ContainerSource(store, known.id) as ours:
                if digest_of(ours.manifest()) == self._digest(source):
                    return Synced(str(item.place), shown, EQUAL)
        done = restore_container(store, source, request, self._tell)
        return Synced(str(item.place), shown, COPIED, done.digest, done.size)

    def _is_equal(self, source: ImageSource, goal: Place) -> bool:
        """Whether the destination has the same manifest or index; for a generated image, the same config."""
        from cstore.transfer.registry_ends import RegistrySource

        if goal.transport == places.STORE:
            store = store_at(goal, self._store)
            image = store.images.find(goal.reference)
            if image is None or goal.reference not in image.names:
                return False
            if isinstance(source, Remembers):
                document = read_document(source)
                return isinstance(document, Manifest) and document.config.digest == f"sha256:{image.id}"
            return self._digest(source) in store.images.digests(image)
        with suppress(CstoreError), opened_source(goal, store=self._store, access=self._access) as there:
            if isinstance(source, Remembers):
                ours, theirs = read_document(source), read_document(there)
                if isinstance(ours, Manifest) and isinstance(theirs, Manifest):
                    return ours.config.digest == theirs.config.digest
                return False
            if isinstance(there, RegistrySource):
                return there.repository.manifest_digest() == self._digest(source)
            return digest_of(there.manifest()) == self._digest(source)
        return False

    def _digest(self, source: ImageSource) -> str:
        """The digest of what would be copied of an image."""
        from cstore.oci.platforms import wanted_platform
        from cstore.transfer.registry_ends import RegistrySource

        platform = self._request.copy.platform
        if not platform:
            known = source.repository.manifest_digest() if isinstance(source, RegistrySource) else ""
            return known or digest_of(source.manifest())
        document = read_document(source, artifacts=True)
        if isinstance(document, Index):
            return chosen_instances(document.manifests, Choice(wanted_platform(platform)), source.shown)[0].digest
        return digest_of(document.raw)
