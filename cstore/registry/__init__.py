"""A client for OCI registries, and the files that configure it.

Owns HTTP with registries and token services, registries.conf, auth.json, certs.d, policy.json, proxies and retries.
Must not know any store, the contents of a manifest beyond its type, or how results are displayed.

    with open_repository("docker://quay.io/debian:12", access=Access(tls_verify=None)) as repository:
        manifest = repository.manifest()                      # raw, media_type, digest: verified
        config = repository.read_blob(digest, size)           # small, complete, verified
        with repository.blob(digest, size, offset=0) as blob: # readinto, read, fetched, position; resumes by itself
            ...                                               # the reader must compute the digest
        repository.tags(), repository.referrers(digest), repository.manifest_digest("12")

    with open_repository(name, writing=True) as repository:   # bypasses mirrors
        repository.has_blob(digest) or repository.mount_blob(digest, "other/repository") or repository.upload(
            digest, size, opened, missing=True)               # opened(offset) returns a context manager of a reader
        repository.put_manifest("12", raw, media_type)

`resolve(name, settings)` lists what a short name may mean. Only the caller applies the policy, `read_policy(path)`:
with `require(name)` before anything is fetched, or with `verified_later=True` there and `verify(name, repository,
digest)` once the manifest is known. Every failure is a `RegistryError` of `cstore.registry.errors`, or a `ConfigError`.
Several threads may use one repository; `close` ends their waits.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.oci.names import ImageName
    from cstore.registry.access import Access, Clock, Credentials, Retry, Retrying
    from cstore.registry.blobs import BlobReader
    from cstore.registry.credentials import (
        find_credentials,
        find_with_source,
        forget_all,
        forget_credentials,
        keep_credentials,
    )
    from cstore.registry.errors import AccessDenied, NotInRegistry, RegistryError
    from cstore.registry.manifests import Manifest
    from cstore.registry.opening import catalog, check_login, open_repository, parse_reference, registry_key
    from cstore.registry.policy import Policy, read_policy
    from cstore.registry.repository import Repository
    from cstore.registry.settings import Settings, load_settings
    from cstore.registry.shortnames import is_short, resolve
    from cstore.registry.uploads import Sent

__all__ = [
    "Access",
    "AccessDenied",
    "BlobReader",
    "Clock",
    "Credentials",
    "ImageName",
    "Manifest",
    "NotInRegistry",
    "Policy",
    "RegistryError",
    "Repository",
    "Retry",
    "Retrying",
    "Sent",
    "Settings",
    "catalog",
    "check_login",
    "find_credentials",
    "find_with_source",
    "forget_all",
    "forget_credentials",
    "is_short",
    "keep_credentials",
    "load_settings",
    "open_repository",
    "parse_reference",
    "read_policy",
    "registry_key",
    "resolve",
]

_HOMES = {
    "Access": "cstore.registry.access",
    "AccessDenied": "cstore.registry.errors",
    "BlobReader": "cstore.registry.blobs",
    "Clock": "cstore.registry.access",
    "Credentials": "cstore.registry.access",
    "ImageName": "cstore.oci.names",
    "Manifest": "cstore.registry.manifests",
    "NotInRegistry": "cstore.registry.errors",
    "Policy": "cstore.registry.policy",
    "RegistryError": "cstore.registry.errors",
    "Repository": "cstore.registry.repository",
    "Retry": "cstore.registry.access",
    "Retrying": "cstore.registry.access",
    "Sent": "cstore.registry.uploads",
    "Settings": "cstore.registry.settings",
    "catalog": "cstore.registry.opening",
    "check_login": "cstore.registry.opening",
    "find_credentials": "cstore.registry.credentials",
    "find_with_source": "cstore.registry.credentials",
    "forget_all": "cstore.registry.credentials",
    "forget_credentials": "cstore.registry.credentials",
    "is_short": "cstore.registry.shortnames",
    "keep_credentials": "cstore.registry.credentials",
    "load_settings": "cstore.registry.settings",
    "open_repository": "cstore.registry.opening",
    "parse_reference": "cstore.registry.opening",
    "read_policy": "cstore.registry.policy",
    "registry_key": "cstore.registry.opening",
    "resolve": "cstore.registry.shortnames",
}


def __getattr__(name: str) -> object:
    """Import names at first use (PEP 562)."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.registry' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
