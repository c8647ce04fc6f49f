"""Errors about registries. No message contains a secret: texts from elsewhere are cleaned."""

from __future__ import annotations

from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 200


def cleaned(text: str, secrets: Iterable[str] = ()) -> str:
    """Make a text from elsewhere safe to show: short, printable, and without any of `secrets`."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = "".join(char if char.isprintable() else "?" for char in " ".join(text[: 4 * _LONGEST].split()))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


class RegistryError(CstoreError):
    """A registry failed or refused. `registry` is its host and port."""

    def __init__(self, registry: str, reason: str, *, hint: str = "") -> None:
        self.registry, self.reason = registry, reason
        super().__init__(f"{registry}: {reason}", hint=hint)


class RegistryUnreachable(RegistryError):
    """There is no connection, or it broke."""


class RegistryUntrusted(RegistryError):
    """A registry's certificate is not trusted, or the registry does not support TLS."""


class AccessDenied(RegistryError):
    """The registry requires credentials, or other ones."""


class NotInRegistry(RegistryError):
    """The registry does not have the repository, manifest or blob."""


class RegistryBusy(RegistryError):
    """The registry asks to wait longer than permitted."""


class RegistryFailed(RegistryError):
    """The registry's response has an unexpected status. `status` is the HTTP status."""

    def __init__(self, registry: str, reason: str, status: int, *, hint: str = "") -> None:
        self.status = status
        super().__init__(registry, reason, hint=hint)


class AnswerInvalid(RegistryError):
    """The registry's response has an unexpected digest or size, or is invalid."""


class RegistryBlocked(RegistryError):
    """The configuration blocks the registry."""


class PolicyRefuses(RegistryError):
    """The signature policy file does not accept an image."""

    def __init__(self, image: str, policy: str, reason: str) -> None:
        self.image, self.policy = image, policy
        hint = "name another policy with --signature-policy, or change the file"
        super().__init__(image.partition("/")[0], reason, hint=hint)
        self.message = f"the policy {policy} does not accept {image}: {reason}"


class ShortNameAmbiguous(CstoreError):
    """A short name may be in several registries, or in none. `candidates` are the full names."""

    def __init__(self, name: str, candidates: Iterable[str], reason: str) -> None:
        self.name, self.candidates = name, list(candidates)
        example = self.candidates[0] if self.candidates else f"docker.io/library/{name}"
        super().__init__(f"{name!r} is a short name: {reason}", hint=f"write it in full, for example {example}")
