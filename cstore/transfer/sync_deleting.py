"""Deletes, on request, what the source of a sync no longer has: tags of a registry, names of a store."""

from __future__ import annotations

from fnmatch import fnmatchcase

from cstore.errors import CstoreError, InUse, Unsupported
from cstore.transfer import places
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cstore.registry import Repository
    from cstore.store import Store
    from cstore.transfer.registry_ends import RegistryAccess

Told = tuple[str, CstoreError | None]
"""An item to be deleted, and why it stays; None if it was deleted."""


class Scope(Value):
    """The scope of a source, beyond which nothing is deleted.

    Attributes:
        host: a registry, "" for any.
        path: a repository; all below it, if it ends with a slash; "" for every one.
        tag: a pattern.
    """

    host: str = ""
    path: str = ""
    tag: str = "*"

    def has(self, domain: str, path: str, tag: str) -> bool:
        """Whether a name is one that the source speaks for."""
        whole = not self.path or self.path.endswith("/")
        there = path.startswith(self.path) if whole else fnmatchcase(path, self.path)
        return (not self.host or domain == self.host) and there and fnmatchcase(tag, self.tag)


def scope_of(reference: str) -> tuple[str, str, str]:
    """Take apart what stands behind `docker://` in a sync: host, path and pattern of tags."""
    host, _, rest = reference.partition("/")
    path, colon, tag = rest.rpartition(":")
    return (host, path, tag) if colon and "/" not in tag else (host, rest, "")


def delete_tags(
    repositories: Collection[str], kept: Collection[str], tag: str, opened: Callable[[str], Repository]
) -> Iterator[Told]:
    """Delete the tags of repositories that match a pattern and are not to be kept.

    A registry deletes a digest with all of its tags, so a tag that shares its digest with a kept tag stays.

    Args:
        repositories: `HOST/PATH` of each.
        kept: names in full that stay.
        tag: the pattern.
        opened: opens the repository of a name.
    """
    for one in repositories:
        try:
            with opened(f"{one}:latest") as repository:
                tags = [each for each in repository.tags() if fnmatchcase(each, tag)]
                gone = [each for each in tags if f"{one}:{each}" not in kept]
                needed = {repository.manifest_digest(each) for each in tags if each not in gone} if gone else set()
                yield from _delete(repository, one, gone, needed)
        except CstoreError as error:
            yield one, error


def _delete(repository: Repository, one: str, gone: Collection[str], needed: Collection[str]) -> Iterator[Told]:
    """Delete tags of the repository `one`, except those with one of the digests `needed`."""
    tagged: dict[str, list[str]] = {}
    for tag in gone:
        tagged.setdefault(repository.manifest_digest(tag), []).append(tag)
    for digest, tags in tagged.items():
        error: CstoreError | None = None
        if digest in needed:
            error = Unsupported("another tag that stays names the same image, and a registry can only delete both")
        elif digest:
            try:
                repository.delete_manifest(digest)
            except CstoreError as refused:
                error = refused
        yield from [(f"docker://{one}:{tag}", error) for tag in tags]


def delete_names(store: Store, kept: Collection[str], scope: Scope) -> Iterator[Told]:
    """Take from images of a store the names that a source speaks for and that are not to be kept.

    An image that has no name any more goes, unless something uses it.
    """
    from cstore.oci.names import LOCAL, parse_name

    for image in list(store.images.list()):
        for text in image.names:
            try:
                name = parse_name(text, home=LOCAL)
            except CstoreError:
                continue
            if text in kept or name.digest or not scope.has(name.domain, name.path, name.tag):
                continue
            try:
                left = store.remove_names(image.id, [text])
                if not left:
                    store.images.delete(image.id)
            except InUse:
                yield text, None  # the name has gone; a container keeps the image
            except CstoreError as error:
                yield text, error
            else:
                yield text, None


def gone_from(
    transport: str,
    kept: Collection[str],
    scope: Scope,
    prefix: str,
    access: RegistryAccess,
    store: Store | None,
    spared: Callable[[str], bool] | None = None,
) -> Iterator[Told]:
    """Delete what is gone at a destination.

    Args:
        transport: of the destination.
        kept: what was synced, names in full.
        scope: what the source speaks for.
        prefix: `HOST[/PATH]` of a registry as the destination.
        access: how registries are spoken to.
        store: the store that is the destination.
        spared: whether the source does not speak for a repository of the registry, wherever it is; None for none.
    """
    if transport == places.STORE:
        if store is not None:
            yield from delete_names(store, kept, scope)
        return
    from cstore.registry import catalog, open_repository

    settings = access.settings()
    repositories = {name.rpartition(":")[0] for name in kept}
    if not scope.path or scope.path.endswith("/"):
        host, _, below = prefix.partition("/")
        every = catalog(host, access=access.access, settings=settings)
        found = (one for one in every if spared is None or not spared(one))
        repositories |= {f"{host}/{one}" for one in found if not below or one.startswith(f"{below}/")}
    yield from delete_tags(
        sorted(repositories),
        kept,
        scope.tag,
        lambda name: open_repository(name, access=access.access, settings=settings, writing=True),
    )
