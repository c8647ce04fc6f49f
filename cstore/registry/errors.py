"""The errors of registries. They never contain a secret: messages of servers are cleaned."""

from __future__ import annotations

from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 200


def cleaned(text: str, secrets: Iterable[str] = ()) -> str:
    """Make a text from elsewhere fit to be shown: short, printable, and without any of `secrets`."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = "".join(char if char.isprintable() else "?" for char in " ".join(text[: 4 * _LONGEST].split()))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


class RegistryError(CstoreError):
    """A registry did not do what was asked. `registry` is its host and port."""

    def __init__(self, registry: str, reason: str, *, hint: str = "") -> None:
        self.registry, self.reason = registry, reason
        super().__init__(f"{registry}: {reason}", hint=hint)


class RegistryUnreachable(RegistryError):
    """No connection, or one that was cut."""


class RegistryUntrusted(RegistryError):
    """A registry cannot prove that it is who it should be, or speaks no TLS."""


class AccessDenied(RegistryError):
    """The registry wants other credentials, or any."""


class NotInRegistry(RegistryError):
    """The registry does not have it: a repository, manifest or blob."""


class RegistryBusy(RegistryError):
    """The registry asks to come back later than anybody would wait."""


class RegistryFailed(RegistryError):
    """The registry answered with another status than one that makes sense. `status` is that of HTTP."""

    def __init__(self, registry: str, reason: str, status: int, *, hint: str = "") -> None:
        self.status = status
        super().__init__(registry, reason, hint=hint)


class AnswerInvalid(RegistryError):
    """The registry's response has an unexpected digest or size, or is not valid."""


class RegistryBlocked(RegistryError):
    """The configuration forbids the registry."""


class PolicyRefuses(RegistryError):
    """The signature policy, a file, does not accept an image."""

    def __init__(self, image: str, policy: str, reason: str) -> None:
        self.image, self.policy = image, policy
        hint = "name another policy with --signature-policy, or change the file"
        super().__init__(image.partition("/")[0], reason, hint=hint)
        self.message = f"the policy {policy} does not accept {image}: {reason}"


class ShortNameAmbiguous(CstoreError):
    """A short name could be in several registries, or in none. `candidates` are the names in full."""

    def __init__(self, name: str, candidates: Iterable[str], reason: str) -> None:
        self.name, self.candidates = name, list(candidates)
        example = self.candidates[0] if self.candidates else f"docker.io/library/{name}"
        super().__init__(f"{name!r} is a short name: {reason}", hint=f"write it in full, for example {example}")
