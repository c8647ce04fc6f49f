"""policy.json: which images are accepted. An image is refused if a part of the policy is not understood.

Without a policy file, only digests are verified: the image matches them, but nobody vouches for it.
"""

from __future__ import annotations

import json
import os

from cstore.arguments import checked
from cstore.config.parse import read_named
from cstore.errors import ConfigError
from cstore.registry.errors import PolicyRefuses, cleaned
from cstore.registry.signatures import KIND as SIGSTORE
from cstore.registry.signatures import once_each, problem_with, read_required, why_unsigned
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from cstore.oci.names import ImageName
    from cstore.registry.repository import Repository

ACCEPT, REJECT = "insecureAcceptAnything", "reject"
DOCKER = "docker"
_KNOWN: dict[str, str] = {
    "signedBy": "it requires a GPG signature (signedBy), which cstore cannot verify",
    "signedBaseLayer": "it requires a signed base layer (signedBaseLayer), which cstore cannot verify",
}
"""Existing requirements that cstore cannot verify."""
_WHY = {
    REJECT: "the rule is reject",
    SIGSTORE: "it requires a sigstore signature, which is only looked up in registries",
    **_KNOWN,
}
_LARGEST = 8 << 20


class Policy(Value):
    """The contents of a policy file.

    Attributes:
        source: the file, "" if there is none and everything is accepted.
        default: the requirements without a more specific rule.
        transports: the requirements for scopes, by transport and scope.
    """

    source: str = ""
    default: Sequence[Mapping[str, Any]] = ({"type": ACCEPT},)
    transports: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]] = {}

    def require(self, name: ImageName, *, verified_later: bool = False) -> None:
        """Check that an image of a registry may be used. The name is the requested one, not a mirror's.

        Args:
            name: the image.
            verified_later: `verify` will follow once the manifest is known, so signatures are not checked yet.

        Raises:
            PolicyRefuses: the policy does not accept it.
        """
        self.require_scopes(DOCKER, list(_scopes(name)), shown=str(name), verified_later=verified_later)

    def wants_signature(self, name: ImageName) -> bool:
        """Return whether `verify` has a signature to look for."""
        return any(one["type"] == SIGSTORE for one in self._requirements(DOCKER, list(_scopes(name))))

    def verify(self, name: ImageName, repository: Repository, digest: str) -> None:
        """Check that an image has the required signatures. `digest` is that of its manifest or index.

        Raises:
            PolicyRefuses: it does not have them.
            ConfigError: a key is invalid, or signatures cannot be verified here.
            RegistryError: the registry does not respond.
        """
        self.require(name, verified_later=True)
        for requirement in self._requirements(DOCKER, list(_scopes(name))):
            if requirement["type"] == SIGSTORE:
                required = read_required(requirement, self.source)
                if why := why_unsigned(required, name, repository, digest):
                    raise PolicyRefuses(str(name), self.source, why)

    def require_scopes(
        self, transport: str, scopes: Sequence[str], *, shown: str, verified_later: bool = False
    ) -> None:
        """Do the same for an image of another transport, by its scopes, the most specific first.

        Raises:
            PolicyRefuses: the policy does not accept it.
        """
        for requirement in self._requirements(transport, scopes):
            kind = requirement["type"]
            if kind == ACCEPT or (kind == SIGSTORE and verified_later):
                continue
            raise PolicyRefuses(shown, self.source, _WHY[kind])

    def _requirements(self, transport: str, scopes: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        known = self.transports.get(transport, {})
        return next((known[scope] for scope in (*scopes, "") if scope in known), self.default)


@checked
def read_policy(path: str) -> Policy:
    """Read a policy file; "" for none, which accepts everything.

    Raises:
        ConfigError: it cannot be read, or is not understood.
    """
    if not path:
        return Policy()
    try:
        document = json.loads(read_named(path, _LARGEST), object_pairs_hook=once_each)
    except OSError as error:
        raise ConfigError(path, f"cannot be read: {os.strerror(error.errno or 0)}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(path, f"not a valid policy: {cleaned(str(error))}") from None
    if not isinstance(document, dict) or "default" not in document or document.keys() - {"default", "transports"}:
        raise ConfigError(path, "not a valid policy: it must have default and may have transports, nothing else")
    transports = document.get("transports", {})
    if not isinstance(transports, dict) or not all(isinstance(scopes, dict) for scopes in transports.values()):
        raise ConfigError(path, "not a valid policy: transports must be a table of tables", key="transports")
    return Policy(
        path,
        _requirements(document["default"], path, "default"),
        {
            transport: {scope: _requirements(found, path, scope or transport) for scope, found in scopes.items()}
            for transport, scopes in transports.items()
        },
    )


def _requirements(found: object, path: str, key: str) -> list[dict[str, Any]]:
    """Validate a list of requirements. One that cannot be met is refused only when an image needs it."""
    if not isinstance(found, list) or not found:
        raise ConfigError(path, "not a valid policy: requirements must be a list that is not empty", key=key)
    for one in found:
        kind = one.get("type") if isinstance(one, dict) else None
        if kind not in {ACCEPT, REJECT, SIGSTORE, *_KNOWN}:
            raise ConfigError(path, f"not a valid policy: unknown requirement {cleaned(repr(kind))}", key=key)
        if kind in {ACCEPT, REJECT} and len(one) > 1:
            raise ConfigError(path, f"not a valid policy: {kind} takes no other keys", key=key)
        if kind == SIGSTORE and (why := problem_with(one)):
            raise ConfigError(path, f"not a valid policy: {SIGSTORE}: {why}", key=key)
    return found


def _scopes(name: ImageName) -> Iterator[str]:
    """Yield the scopes of an image of a registry, the most specific first."""
    if name.digest:
        yield f"{name.repository}@{name.digest}"
    if name.tag:
        yield f"{name.repository}:{name.tag}"
    scope = name.repository
    while True:
        yield scope
        if "/" not in scope:
            break
        scope = scope.rpartition("/")[0]
    host = scope.partition(":")[0]
    while "." in host:
        host = host.partition(".")[2]
        yield f"*.{host}"
