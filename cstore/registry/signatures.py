"""Sigstore signatures by key: what a policy requires, and whether an image has an accepted one.

A signature is in the image's own repository, under the tag `ALGORITHM-HEX.sig`: a manifest whose layers are small
documents that name the image, each with its signature in an annotation. Verification needs the package `cryptography`,
which the extra `cstore[sigstore]` installs.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from functools import partial

from cstore.config.parse import read_named
from cstore.errors import ConfigError, InvalidName
from cstore.oci.names import parse_name
from cstore.registry.errors import NotInRegistry, cleaned
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from cstore.oci.names import ImageName
    from cstore.registry.repository import Repository

KIND = "sigstoreSigned"
_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"
_TYPE = "cosign container image signature"
_LARGEST = 1 << 20
_MOST = 100
"""Maximum number of signatures examined per image."""
_FIELDS = frozenset({"type", "keyPath", "keyPaths", "keyData", "keyDatas", "signedIdentity"})
_IDENTITIES: dict[str, frozenset[str]] = {
    "matchExact": frozenset(),
    "matchRepoDigestOrExact": frozenset(),
    "matchRepository": frozenset(),
    "exactReference": frozenset({"dockerReference"}),
    "exactRepository": frozenset({"dockerRepository"}),
    "remapIdentity": frozenset({"prefix", "signedPrefix"}),
}
"""The types of `signedIdentity`, and the keys that each requires."""


class Required(Value):
    """A policy's requirement: a signature by one of several keys, for a name that agrees with an identity.

    Attributes:
        keys: public keys in PEM format.
        identity: the table `signedIdentity`.
        source: the policy file, for messages.
    """

    keys: Sequence[bytes]
    identity: Mapping[str, str]
    source: str


def problem_with(requirement: Mapping[str, Any]) -> str:
    """Return why a requirement is invalid; "" if it is valid."""
    if unknown := sorted(requirement.keys() - _FIELDS):
        return f"unknown key {cleaned(unknown[0])}"
    given = [key for key in ("keyPath", "keyPaths", "keyData", "keyDatas") if key in requirement]
    if len(given) != 1:
        return "exactly one of keyPath, keyPaths, keyData and keyDatas is required"
    value = requirement[given[0]]
    several = given[0].endswith("s")
    if (
        not (value and isinstance(value, list) and all(isinstance(one, str) for one in value))
        if several
        else not (isinstance(value, str) and value)
    ):
        return f"{given[0]} is not valid"
    identity = requirement.get("signedIdentity", {"type": "matchRepoDigestOrExact"})
    kind = identity.get("type") if isinstance(identity, dict) else None
    wanted = _IDENTITIES.get(kind) if isinstance(kind, str) else None
    if (
        wanted is None
        or identity.keys() != wanted | {"type"}
        or not all(isinstance(one, str) for one in identity.values())
    ):
        return "signedIdentity is not valid"
    return ""


def read_required(requirement: Mapping[str, Any], source: str) -> Required:
    """Read the keys that a requirement names.

    Raises:
        ConfigError: a key cannot be read.
    """
    keys: list[bytes] = []
    for data in [requirement["keyData"]] if "keyData" in requirement else requirement.get("keyDatas", []):
        try:
            keys.append(b64decode(data, validate=True))
        except ValueError:
            raise ConfigError(source, "not valid Base64", key="keyData") from None
    for path in [requirement["keyPath"]] if "keyPath" in requirement else requirement.get("keyPaths", []):
        try:
            keys.append(read_named(path, _LARGEST))
        except OSError as error:
            raise ConfigError(path, f"cannot be read: {os.strerror(error.errno or 0)}") from None
    identity = requirement.get("signedIdentity", {"type": "matchRepoDigestOrExact"})
    return Required(keys, identity, source)


def why_unsigned(required: Required, name: ImageName, repository: Repository, digest: str) -> str:
    """Look for a signature that meets a requirement; return "" if there is one, else the reason.

    Args:
        required: keys and identity.
        name: the requested image.
        repository: the repository that the image came from, possibly through a mirror.
        digest: the verified digest of its manifest.

    Raises:
        ConfigError: a key is invalid, or the package that verifies signatures is missing.
        RegistryError: the registry does not respond.
    """
    accepts = [_verifier(key, required.source) for key in required.keys]
    try:
        manifest = repository.manifest(f"{digest.replace(':', '-')}.sig")
    except NotInRegistry:
        return "no signature found"
    reasons = []
    layers = json.loads(manifest.raw).get("layers")
    for layer in [one for one in layers if isinstance(one, dict)][:_MOST] if isinstance(layers, list) else ():
        reason = _why_not(layer, accepts, required.identity, name, repository, digest)
        if not reason:
            return ""
        reasons.append(reason)
    return reasons[0] if reasons else "no signature found"


def _why_not(
    layer: dict[str, Any],
    accepts: Sequence[Callable[[bytes, bytes], bool]],
    identity: Mapping[str, str],
    name: ImageName,
    repository: Repository,
    digest: str,
) -> str:
    """Return why a signature is not accepted; "" if it is."""
    annotations, size = layer.get("annotations"), layer.get("size")
    text = annotations.get(_SIGNATURE) if isinstance(annotations, dict) else None
    if layer.get("mediaType") != _PAYLOAD or not isinstance(text, str) or type(size) is not int:
        return "no signature found"
    try:
        signature = b64decode(text, validate=True)
    except ValueError:
        return "the signature is damaged"
    payload = repository.read_blob(str(layer.get("digest")), size, _LARGEST)
    if not any(accept(signature, payload) for accept in accepts):  # before any of it is used
        return "no signature by a trusted key"
    signed = _critical(payload)
    if signed is None:
        return "the signed document is not an image signature"
    if signed[0] != digest:
        return "the signature is for another image"
    if not _agrees(signed[1], identity, name):
        return f"the signature is for {cleaned(signed[1])}"
    return ""


def _critical(payload: bytes) -> tuple[str, str] | None:
    """Return the digest and name in a signed document; None if it is another kind of document."""
    try:
        document = json.loads(payload, object_pairs_hook=once_each)
        critical = document["critical"]
        found = critical["image"]["docker-manifest-digest"], critical["identity"]["docker-reference"]
        alone = critical.keys() == {"type", "image", "identity"} and document.keys() <= {"critical", "optional"}
        sound = alone and len(critical["image"]) == len(critical["identity"]) == 1 and critical["type"] == _TYPE
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found if sound and all(isinstance(one, str) for one in found) else None


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object whose keys must be unique; raises ValueError."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _agrees(signed: str, identity: Mapping[str, str], name: ImageName) -> bool:
    """Return whether the name in a signature agrees with the requested image."""
    kind = identity["type"]
    try:
        of = parse_name(signed)
        if kind == "matchRepository":
            return of.repository == name.repository
        if kind == "exactRepository":
            return of.repository == parse_name(identity["dockerRepository"]).repository
        if kind == "exactReference":
            return _is_exact(signed) and str(of) == str(parse_name(identity["dockerReference"]))
        if kind == "remapIdentity":
            prefix, repository = identity["prefix"], name.repository
            if repository == prefix or repository.startswith(f"{prefix}/"):
                moved = parse_name(identity["signedPrefix"] + repository[len(prefix) :])
                name = moved.with_(tag=name.tag, digest=name.digest)
    except InvalidName:
        return False
    if kind != "matchExact" and name.digest and not name.tag:
        return of.repository == name.repository
    wanted = name if kind == "matchExact" and not name.tag else name.with_(digest="")
    return _is_exact(signed) and str(of) == str(wanted)


def _is_exact(text: str) -> bool:
    """Return whether a name has an explicit tag or digest."""
    return "@" in text or ":" in text.rpartition("/")[2]


def _verifier(pem: bytes, source: str) -> Callable[[bytes, bytes], bool]:
    """Return a function that tells whether a signature of given bytes was made with a key.

    Raises:
        ConfigError: it is not a supported public key, or the package is missing.
    """
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        reason = "sigstore signatures need the Python package cryptography"
        raise ConfigError(source, reason, hint="pip install 'cstore[sigstore]'") from None
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(source, "not a PEM public key", key=KIND) from None
    verify: Callable[[bytes, bytes], None]
    if isinstance(key, ec.EllipticCurvePublicKey):
        verify = partial(key.verify, signature_algorithm=ec.ECDSA(SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        verify = partial(key.verify, padding=padding.PKCS1v15(), algorithm=SHA256())
    elif isinstance(key, ed25519.Ed25519PublicKey):
        verify = key.verify
    else:
        raise ConfigError(source, "unsupported type of key", key=KIND)

    def accepts(signature: bytes, payload: bytes) -> bool:
        try:
            verify(signature, payload)
        except InvalidSignature:
            return False
        return True

    return accepts
