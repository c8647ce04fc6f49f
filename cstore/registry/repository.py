"""A repository in a registry: reading and writing manifests, blobs and tags, through mirrors if there are any."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote, urlencode

from cstore.digests import algorithm_of, check_digest, digest_of, is_digest_of
from cstore.errors import InvalidDigest
from cstore.oci.media_types import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from cstore.oci.names import is_tag
from cstore.registry.blobs import BlobReader
from cstore.registry.errors import AccessDenied, AnswerInvalid, NotInRegistry, RegistryError, RegistryFailed
from cstore.registry.listing import listed
from cstore.registry.manifests import Manifest, media_type_of
from cstore.registry.uploads import Sent, Upload
from cstore.registry.wire import Request, Wire, finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Self, TypeVar

    from cstore.oci.names import ImageName
    from cstore.registry.access import Retry, Retrying
    from cstore.registry.uploads import Opened

    T = TypeVar("T")

MANIFEST_LIMIT = 4 << 20
"""Maximum size of a manifest in bytes."""
_ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)


class Endpoint:
    """A place of a repository: a registry, and the path there."""

    def __init__(self, wire: Wire, repository: str, retrying: Retrying) -> None:
        self.wire, self.repository, self.retrying = wire, repository, retrying

    def path(self, rest: str) -> str:
        """Return the path of a URL in the repository."""
        return f"/v2/{self.repository}/{rest}"

    def scopes(self, actions: str, *others: str) -> tuple[str, ...]:
        """Return the scopes that a token needs: `actions` here, and pull from other repositories."""
        return (f"repository:{self.repository}:{actions}", *(f"repository:{one}:pull" for one in others))


class Repository:
    """A repository. Several threads may use it; use it as a context manager.

    Attributes:
        name: the full requested name, with tag and digest.
        endpoints: its places, mirrors first.
    """

    def __init__(self, name: ImageName, endpoints: Sequence[Endpoint]) -> None:
        self.name, self.endpoints = name, list(endpoints)
        self._begun: dict[str, str] = {}
        self._first: Endpoint | None = None
        """The endpoint that responded last, which is tried first."""

    def hear(self, tell: Callable[[Retry], None]) -> None:
        """Report every retry from now on to `tell`, in the thread that makes it."""
        for endpoint in self.endpoints:
            endpoint.wire.clock.hear = tell

    def close(self) -> None:
        """Close all connections and end every wait."""
        for endpoint in self.endpoints:
            endpoint.wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── manifests ──

    def manifest(self, reference: str = "") -> Manifest:
        """Fetch a manifest or index by tag or digest; by default, that of the requested name.

        Its digest is verified.

        Raises:
            NotInRegistry: it does not exist.
            AnswerInvalid: the response does not match its digest or type.
            RegistryError: no registry sends it.
        """
        wanted = reference or self.name.digest or self.name.tag
        try:
            return self._at_first(lambda endpoint: self._manifest(endpoint, wanted))
        except NotInRegistry as error:
            error.hint = f"see cstore tags {self.name.repository}"
            raise

    def manifest_digest(self, reference: str = "") -> str:
        """Return the digest of a manifest; "" if it does not exist. Fetches the manifest only if necessary.

        Raises:
            RegistryError: no registry reports it.
        """
        wanted = reference or self.name.digest or self.name.tag

        def asked(endpoint: Endpoint) -> str:
            response = endpoint.wire.send(
                _manifest_request("HEAD", endpoint, wanted, f"look for the manifest {wanted}")
            )
            finish(response)
            try:
                return check_digest(response.headers.get("Docker-Content-Digest", ""))
            except InvalidDigest:
                return self._manifest(endpoint, wanted).digest

        try:
            return self._at_first(asked)
        except NotInRegistry:
            return ""

    def put_manifest(self, reference: str, raw: bytes, media_type: str) -> str:
        """Upload a manifest under a tag or its digest; return its digest.

        Raises:
            AnswerInvalid: the registry reports another digest.
            RegistryError: it does not accept the manifest.
        """
        endpoint, digest = self.endpoints[-1], digest_of(raw)
        action = f"push the manifest {reference}"
        response = endpoint.wire.send(
            Request(
                method="PUT",
                path=endpoint.path(f"manifests/{quote(reference, safe=':')}"),
                action=action,
                expect=(201, 202),
                scopes=endpoint.scopes("pull,push"),
                headers={"Content-Type": media_type},
                body=lambda: raw,
            )
        )
        finish(response)
        told = response.headers.get("Docker-Content-Digest", "")
        if algorithm_of(told) == "sha256" and told != digest:
            raise AnswerInvalid(endpoint.wire.registry, f"cannot {action}: the registry reports a different digest")
        return digest

    def delete_manifest(self, digest: str) -> None:
        """Delete a manifest with all its tags.

        Raises:
            NotInRegistry: it does not exist.
            RegistryError: the registry does not delete it.
        """
        endpoint, action = self.endpoints[-1], f"delete the manifest {check_digest(digest)}"
        try:
            finish(
                endpoint.wire.send(
                    Request(
                        method="DELETE",
                        path=endpoint.path(f"manifests/{digest}"),
                        action=action,
                        expect=(200, 202, 204),
                        scopes=endpoint.scopes("*"),
                    )
                )
            )
        except RegistryFailed as error:
            if error.status == 405:
                error.message = f"{error.registry}: cannot {action}: the registry does not allow deletion"
            raise

    def tags(self) -> list[str]:
        """Return the tags of the repository, sorted.

        Raises:
            NotInRegistry: there is no such repository.
            AnswerInvalid: the list is invalid, or does not end.
            RegistryError: no registry sends it.
        """
        return sorted(
            self._at_first(
                lambda endpoint: listed(
                    endpoint.wire,
                    endpoint.path("tags/list?n=1000"),
                    ("tags", is_tag),
                    endpoint.scopes("pull"),
                    "list tags",
                )
            )
        )

    def referrers(self, digest: str, artifact_type: str = "") -> list[dict[str, Any]]:
        """Return the descriptors of artifacts that refer to a manifest: signatures, bills of materials.

        Registries without this API are asked for the tag `ALGORITHM-HEX`, which has the same list.

        Raises:
            RegistryError: no registry sends the list.
        """
        action = f"list what refers to {check_digest(digest)}"

        def asked(endpoint: Endpoint) -> list[dict[str, Any]]:
            request = Request(
                method="GET",
                path=endpoint.path(f"referrers/{digest}"),
                action=action,
                expect=(200, 404),
                scopes=endpoint.scopes("pull"),
                headers={"Accept": OCI_INDEX},
            )
            response, raw = endpoint.wire.document(request, MANIFEST_LIMIT)
            if response.status == 404:
                try:
                    raw = self._manifest(endpoint, digest.replace(":", "-")).raw
                except NotInRegistry:
                    return []
            listed = endpoint.wire.parsed(raw, action).get("manifests")
            if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
                raise AnswerInvalid(endpoint.wire.registry, f"cannot {action}: the response is not an index")
            return listed

        return [one for one in self._at_first(asked) if artifact_type in {"", one.get("artifactType")}]

    # ── blobs ──

    def blob(self, digest: str, size: int, offset: int = 0) -> BlobReader:
        """Return a reader for a blob of `size` bytes, starting at `offset`. Use it as a context manager.

        Nothing is requested before the first read.
        """
        return BlobReader(self._in_order(), check_digest(digest), size, offset)

    def read_blob(self, digest: str, size: int, limit: int = MANIFEST_LIMIT) -> bytes:
        """Fetch a small blob, such as a config, completely; its digest is verified.

        Raises:
            AnswerInvalid: it does not match its digest or size, or is larger than `limit`.
            RegistryError: no registry sends it.
        """
        if not 0 <= size <= limit:
            reason = f"cannot fetch blob {digest}: {size} bytes exceed the limit of {limit} bytes"
            raise AnswerInvalid(self.endpoints[-1].wire.registry, reason)

        def fetched(endpoint: Endpoint) -> bytes:
            with BlobReader([endpoint], check_digest(digest), size) as reader:
                data = reader.read()
            if not is_digest_of(digest, data):
                raise AnswerInvalid(endpoint.wire.registry, f"cannot fetch blob {digest}: digest mismatch")
            return data

        return self._at_first(fetched)

    def blob_size(self, digest: str) -> int | None:
        """Return the size of a blob; -1 if the registry does not state it; None if it has no such blob.

        Raises:
            RegistryError: no registry responds.
        """
        check_digest(digest)

        def asked(endpoint: Endpoint) -> int:
            request = Request(
                method="HEAD",
                path=endpoint.path(f"blobs/{digest}"),
                action=f"look for blob {digest}",
                scopes=endpoint.scopes("pull"),
            )
            response = endpoint.wire.send(request)
            finish(response)
            said = response.headers.get("Content-Length", "")
            return int(said) if said.isascii() and said.isdecimal() and len(said) < 20 else -1

        try:
            return self._at_first(asked)
        except NotInRegistry:
            return None

    def has_blob(self, digest: str) -> bool:
        """Return whether the registry has a blob.

        Raises:
            RegistryError: no registry responds.
        """
        return self.blob_size(digest) is not None

    def mount_blob(self, digest: str, source_repository: str) -> bool:
        """Mount a blob from another repository of the same registry; return whether that succeeded.

        If the registry refuses, the blob can still be uploaded.

        Args:
            digest: the blob.
            source_repository: the other repository's path, without the registry.

        Raises:
            RegistryError: there is no usable response.
        """
        endpoint, action = self.endpoints[-1], f"mount blob {check_digest(digest)}"
        query = urlencode({"mount": digest, "from": source_repository})
        request = Request(
            method="POST",
            path=endpoint.path(f"blobs/uploads/?{query}"),
            action=action,
            expect=(201, 202),
            scopes=endpoint.scopes("pull,push", source_repository),
            body=lambda: b"",
        )
        try:
            response = endpoint.wire.send(request)
        except (AccessDenied, NotInRegistry, RegistryFailed):
            return False
        finish(response)
        if response.status == 202:  # the registry began an upload instead; `upload` continues it
            with suppress(AnswerInvalid):
                self._begun[digest] = endpoint.wire.location(response, action)
        return response.status == 201

    def upload(self, digest: str, size: int, opened: Opened, *, missing: bool = False) -> Sent:
        """Upload a blob, unless the registry has it.

        Args:
            digest: the digest of the whole blob, which the registry verifies.
            size: the size of the whole blob in bytes.
            opened: opens the blob at an offset, as a context manager; called again after a broken connection.
            missing: the registry is known not to have the blob, so it is not asked.

        Raises:
            RegistryError: the registry does not accept it.
            InvalidOption: the source has fewer bytes.
        """
        if not missing and digest not in self._begun and self.has_blob(digest):
            return Sent()
        return Upload(self.endpoints[-1], check_digest(digest), size, opened, self._begun.pop(digest, "")).run()

    # ── at one endpoint ──

    def _at_first(self, ask: Callable[[Endpoint], T]) -> T:
        """Ask one endpoint after the other until one responds, which is then asked first in the future."""
        failed: list[RegistryError] = []
        for endpoint in self._in_order():
            try:
                found = ask(endpoint)
            except RegistryError as error:
                failed.append(error)
            else:
                self._first = endpoint
                return found
        *mirrors, last = failed
        if mirrors:
            last.message += "".join(f"; mirror {error.message}" for error in mirrors)
        raise last

    def _in_order(self) -> list[Endpoint]:
        first = self._first
        return self.endpoints if first is None else [first, *(one for one in self.endpoints if one is not first)]

    def _manifest(self, endpoint: Endpoint, reference: str) -> Manifest:
        action = f"fetch the manifest {reference}"
        response, raw = endpoint.wire.document(_manifest_request("GET", endpoint, reference, action), MANIFEST_LIMIT)
        told = response.headers.get("Docker-Content-Digest", "")
        by_digest = ":" in reference
        if by_digest and not is_digest_of(reference, raw):
            raise AnswerInvalid(endpoint.wire.registry, f"cannot {action}: digest mismatch")
        if not by_digest and algorithm_of(told) == "sha256" and not is_digest_of(told, raw):
            reason = f"cannot {action}: digest mismatch: the content does not match Docker-Content-Digest"
            raise AnswerInvalid(endpoint.wire.registry, reason)
        return Manifest(
            raw, media_type_of(endpoint.wire, response, raw, action), reference if by_digest else digest_of(raw)
        )


def _manifest_request(method: str, endpoint: Endpoint, reference: str, action: str) -> Request:
    return Request(
        method=method,
        path=endpoint.path(f"manifests/{quote(reference, safe=':')}"),
        action=action,
        scopes=endpoint.scopes("pull"),
        headers={"Accept": ", ".join(_ACCEPTED)},
    )
