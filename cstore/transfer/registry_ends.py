"""Images in registries, as a source and as a sink. What a registry says is believed by digest and size alone."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress

from cstore.arguments import checked
from cstore.errors import CstoreError
from cstore.oci.names import parse_name
from cstore.registry import Access, load_settings, read_policy
from cstore.registry.errors import AccessDenied, NotInRegistry, RegistryUnreachable
from cstore.transfer.blob_sink import COMPRESSED, BlobSink
from cstore.transfer.contract import Retried
from cstore.transfer.members import Part, PartReader
from cstore.transfer.rate import Limited, Rate
from cstore.transfer.scratch import ScratchSink, require_scratch_room, scratch_file
from cstore.transfer.sources import StoreSource
from cstore.transfer.verifying import pour
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

    from cstore.archive.streams import ReadInto
    from cstore.oci.names import ImageName
    from cstore.registry import Policy, Repository, Retry, Settings
    from cstore.transfer.contract import CopiedImage, CopyRequest, ImageSource, Tell
    from cstore.transfer.manifests import Descriptor


class RegistryAccess(Value):
    """How registries are spoken to (see `registry.Access`), and whose images are accepted.

    Attributes:
        access: credentials, trust, retries and time limits.
        policy: the signature policy; "" takes that of the machine.
        configuration: what is configured; None for what the files and the environment of this machine say.
    """

    access: Access = Access()
    policy: str = ""
    configuration: Settings | None = None

    def settings(self) -> Settings:
        """What is configured.

        Raises:
            ConfigError: it is not valid.
        """
        if self.configuration is not None:
            return self.configuration
        return load_settings(auth_file=self.access.auth_file)

    def required(self, name: ImageName, settings: Settings) -> Policy:
        """Make sure that the policy accepts an image, as far as that can be told without its manifest; return it.

        Raises:
            PolicyRefuses: it does not.
            ConfigError: the policy makes no sense.
        """
        policy = read_policy(self.policy or settings.policy_file)
        policy.require(name, verified_later=True)
        return policy


class RegistrySource:
    """One image of a registry. To be used as a context manager."""

    def __init__(self, name: str | ImageName, access: RegistryAccess | None = None) -> None:
        """Sends nothing yet.

        Raises:
            InvalidName: it is not a valid name.
            RegistryBlocked, PolicyRefuses: the configuration forbids it.
        """
        self._access = access or RegistryAccess()
        self._settings = self._access.settings()
        from cstore.registry import parse_reference

        self.reference = parse_reference(name) if isinstance(name, str) else name
        self._policy = self._access.required(self.reference, self._settings)
        self.name = str(self.reference)
        self.shown = f"docker://{self.name}"
        self.repository = self._opened()
        self._manifests: dict[str, bytes] = {}

    def hear(self, tell: Tell) -> None:
        """See `TriesAgain.hear`."""
        self.repository.hear(lambda retry: tell(_told(retry)))

    def _opened(self) -> Repository:
        from cstore.registry import open_repository

        return open_repository(self.reference, access=self._access.access, settings=self._settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.repository.close()

    def manifest(self, digest: str = "") -> bytes:
        """See `ImageSource.manifest`.

        Raises:
            PolicyRefuses: the image lacks a signature.
        """
        if digest not in self._manifests:
            if digest:
                self._ensure_signed()
            found = self.repository.manifest(digest)
            if not digest:
                self._policy.verify(self.reference, self.repository, found.digest)
            self._manifests[digest] = found.raw
        return self._manifests[digest]

    def _ensure_signed(self) -> None:
        """Nothing that an image names is fetched before its own manifest has the signatures that are wanted."""
        if "" not in self._manifests and self._policy.wants_signature(self.reference):
            self.manifest()

    @contextmanager
    def open(self, blob: Descriptor, offset: int = 0) -> Iterator[ReadInto]:
        """See `ImageSource.open`. A connection that is cut is taken up again, for the rest only."""
        self._ensure_signed()
        with self.repository.blob(blob.digest, blob.size, offset) as reader:
            yield reader

    def forked(self) -> None:
        """See `RemoteSource.forked`: the connections are the parent's."""
        self.repository = self._opened()


@contextmanager
@checked
def first_of(names: Sequence[ImageName], access: RegistryAccess) -> Iterator[RegistrySource]:
    """Open the first of several images that a registry has: what a short name may mean.

    Raises:
        RegistryError: none of them is there.
    """
    failure: CstoreError | None = None
    for name in names:
        with RegistrySource(name, access) as source:
            try:
                source.manifest()
            except (AccessDenied, NotInRegistry, RegistryUnreachable) as error:
                failure = failure or error
                continue
            yield source
            return
    if failure is not None:
        raise failure


@checked
def tags_of(names: Sequence[ImageName], access: RegistryAccess) -> list[ImageName]:
    """Every tag of the first repository of several that a registry has.

    Raises:
        RegistryError: none of them is there.
    """
    from cstore.registry import open_repository

    failure: CstoreError | None = None
    for name in names:
        with open_repository(name, access=access.access, settings=access.settings()) as repository:
            try:
                return [name.with_(tag=tag, digest="") for tag in repository.tags()]
            except (AccessDenied, NotInRegistry, RegistryUnreachable) as error:
                failure = failure or error
    if failure is not None:
        raise failure
    return []


class RegistrySink(BlobSink):
    """A repository of a registry, and a tag in it. What it has is not sent; what a neighbor has is mounted."""

    layers = COMPRESSED
    parallel = True

    def __init__(self, name: str | ImageName, access: RegistryAccess | None = None) -> None:
        """Sends nothing yet.

        Raises:
            InvalidName: it is not a valid name.
            RegistryBlocked: the configuration forbids it.
        """
        access = access or RegistryAccess()
        from cstore.registry import open_repository, parse_reference

        self._name = parse_reference(name) if isinstance(name, str) else name
        self.shown = f"docker://{self._name}"
        self._repository = open_repository(self._name, access=access.access, settings=access.settings(), writing=True)
        self._neighbors: tuple[str, ...] = ()
        self._rate = Rate(0)
        self._known: dict[str, bool] = {}
        """Caches, for each blob, whether the registry has it."""

    def take(self, source: ImageSource, request: CopyRequest, tell: Tell) -> CopiedImage:
        """Store an image (see `contract.ImageSink`)."""
        self._rate = Rate(request.limit_rate)
        if not request.dry_run:
            # Other repositories of the registry may have blobs of the image, under the names that it has.
            names = [source.reference] if isinstance(source, RegistrySource) else []
            if isinstance(source, StoreSource):
                with suppress(CstoreError):
                    names += (parse_name(text) for text in source.all_names)
            paths = (name.path for name in names if name.domain == self._name.domain)
            self._neighbors = tuple(dict.fromkeys(path for path in paths if path != self._name.path))
        with self._repository:
            self._repository.hear(lambda retry: tell(_told(retry)))
            return super().take(source, request, tell)

    def has(self, blob: Descriptor) -> bool:
        """See `BlobSink.has`. What another repository of the registry has costs one request to have here as well."""
        if blob.digest not in self._known:
            repository = self._repository
            self._known[blob.digest] = repository.has_blob(blob.digest) or any(
                repository.mount_blob(blob.digest, other) for other in self._neighbors
            )
        return self._known[blob.digest]

    def put(self, blob: Descriptor, source: ReadInto) -> None:
        """See `BlobSink.put`. What can be read only once waits in a file: a push that was cut goes on."""
        with ExitStack() as stack:
            if isinstance(source, PartReader):
                part = source
            else:
                require_scratch_room(self.shown, blob.size)
                spool = stack.enter_context(scratch_file())
                pour(source, ScratchSink(spool.fileno()))
                part = PartReader(spool.fileno(), Part(blob.digest, blob.size))

            @contextmanager
            def opened(offset: int) -> Iterator[ReadInto]:
                yield Limited(part.again(offset), self._rate)

            self._repository.upload(blob.digest, blob.size, opened, missing=True)
        self._known[blob.digest] = True

    def put_manifest(self, raw: bytes, described: Descriptor, *, instance: bool) -> None:
        """See `BlobSink.put_manifest`."""
        reference = described.digest if instance else self._name.tag or described.digest
        self._repository.put_manifest(reference, raw, described.media_type)

    def finish(self) -> tuple[str, ...]:
        """See `BlobSink.finish`."""
        return (str(self._name),)


def _told(retry: Retry) -> Retried:
    what, _, digest = retry.action.rpartition(" ")
    return Retried(digest if what.endswith("blob") else "", retry.action, retry.attempt, retry.wait, retry.reason)
