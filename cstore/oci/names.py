"""Names of images: their grammar, and what a short one is short for (docker 9.1, 18.6).

    [domain/]path[:tag][@digest]

What stands before the first slash is a domain if it is `localhost`, holds a dot or a colon, or is not lower case. A
name without one belongs to a *home*: `docker.io` for what Docker wrote, `localhost` for what Podman did.
"""

from __future__ import annotations

import re

from cstore.digests import check_digest
from cstore.errors import InvalidDigest, InvalidName
from cstore.values import Value

DOCKER = "docker.io"
LOCAL = "localhost"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?", re.ASCII)
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_HEX_ID = re.compile(r"[a-f0-9]{64}", re.ASCII)
_LONGEST = 255


class ImageName(Value):
    """A name in full."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Domain and path."""
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        """The name as records hold it."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"


def parse_name(text: str, *, home: str = DOCKER) -> ImageName:
    """Read a name and complete it: the domain, `library/` where Docker's own images are, and the tag `latest`.

    Raises:
        InvalidName: it is none.
    """
    named, _, digest = text.partition("@")
    repository, tag = _without_tag(named)
    if digest:
        _check_digest(text, digest)
    if (tag or named.endswith(":")) and not TAG.fullmatch(tag):
        raise _invalid(text, f"{tag!r} is not a tag")
    if _HEX_ID.fullmatch(named):
        reason = f"invalid repository name ({named}), cannot specify 64-byte hexadecimal strings"
        raise _invalid(text, "64 hex digits are an ID", go_text=reason)
    domain, path = _with_domain(repository, home)
    _check(text, domain, path)
    return ImageName(domain, path, tag or ("" if digest else "latest"), digest)


def repository_of(name: str) -> str:
    """A recorded name without its tag and digest, whatever its form."""
    return _without_tag(name.partition("@")[0])[0]


def _without_tag(named: str) -> tuple[str, str]:
    """Split off a tag; a colon before the last slash belongs to a port."""
    head, colon, tag = named.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (named, "")


def _with_domain(repository: str, home: str) -> tuple[str, str]:
    domain, slash, path = repository.partition("/")
    if not slash or not (domain == LOCAL or "." in domain or ":" in domain or domain.lower() != domain):
        domain, path = home, repository
    if domain == "index.docker.io":
        domain = DOCKER
    if domain == DOCKER and "/" not in path:
        path = f"library/{path}"
    return domain, path


def _check(text: str, domain: str, path: str) -> None:
    if not _DOMAIN.fullmatch(domain):
        raise _invalid(text, f"{domain!r} is not a domain")
    if path.lower() != path and PATH.fullmatch(path.lower()):
        reason = f"invalid reference format: repository name ({path}) must be lowercase"
        raise _invalid(text, f"{path!r} is not in lower case", go_text=reason)
    if not PATH.fullmatch(path):
        raise _invalid(text, "it is not of the form [DOMAIN/]PATH[:TAG]")
    if len(domain) + len(path) + 1 > _LONGEST:
        reason = "repository name must not be more than 255 characters"
        raise _invalid(text, "it has more than 255 characters", go_text=reason)


def _check_digest(text: str, digest: str) -> None:
    try:
        check_digest(digest)
    except InvalidDigest as error:
        raise _invalid(text, error.reason) from None


def _invalid(text: str, reason: str, *, go_text: str = "invalid reference format") -> InvalidName:
    error = InvalidName(text, reason)
    error.go_text = go_text
    return error
