"""Names of images: their grammar, and how short names are completed (docker 9.1, 18.6).

    [domain/]path[:tag][@digest]

The part before the first slash is a domain if it is `localhost`, contains a dot or a colon, or is not lower case. A
name without a domain belongs to a *home*: `docker.io` for names that Docker wrote, `localhost` for Podman's.
"""

from __future__ import annotations

from cstore import errors
from cstore.digests import check_digest
from cstore.values import Value

DOCKER = "docker.io"
LOCAL = "localhost"

_DIGITS = "0123456789"
_LOWER = "abcdefghijklmnopqrstuvwxyz" + _DIGITS
_ALPHANUMERIC = frozenset(_LOWER + _LOWER.upper())
_GAPS = {**dict.fromkeys(map(ord, _LOWER), " "), ord(" "): "!"}
"""A translation that keeps the separators between the letters and digits of a path component."""
_IN_LABEL, _IN_TAG = _ALPHANUMERIC | {"-"}, _ALPHANUMERIC | set("_.-")
_HEX = frozenset("0123456789abcdef")
_IN_ADDRESS = _HEX | set("ABCDEF:")
_LONGEST, _LONGEST_TAG = 255, 128


class ImageName(Value):
    """A complete name."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """Domain and path."""
        return f"{self.domain}/{self.path}"

    def __str__(self) -> str:
        """Return the name in the form used in records."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"


def parse_name(text: str, *, home: str = DOCKER) -> ImageName:
    """Parse a name, and complete it with the domain, `library/` for Docker's own images, and the tag `latest`.

    Raises:
        InvalidName: it is not a valid name.
    """
    named, _, digest = text.partition("@")
    repository, tag = _without_tag(named)
    if digest:
        try:
            check_digest(digest)
        except errors.InvalidDigest as error:
            raise _invalid(text, error.reason) from None
    if (tag or named.endswith(":")) and not is_tag(tag):
        raise _invalid(text, f"{tag!r} is not a tag")
    if len(named) == 64 and _HEX.issuperset(named):
        reason = f"invalid repository name ({named}), cannot specify 64-byte hexadecimal strings"
        raise _invalid(text, "64 hex digits are an ID", go_text=reason)
    domain, slash, path = repository.partition("/")
    if not slash or not (domain == LOCAL or "." in domain or ":" in domain or domain.lower() != domain):
        domain, path = home, repository
    if domain == "index.docker.io":
        domain = DOCKER
    if domain == DOCKER and "/" not in path:
        path = f"library/{path}"
    if not _is_domain(domain):
        raise _invalid(text, f"{domain!r} is not a domain")
    if path.lower() != path and is_path(path.lower()):
        reason = f"invalid reference format: repository name ({path}) must be lowercase"
        raise _invalid(text, f"{path!r} is not in lower case", go_text=reason)
    if not is_path(path):
        raise _invalid(text, "it is not of the form [DOMAIN/]PATH[:TAG]")
    if len(domain) + len(path) + 1 > _LONGEST:
        reason = "repository name must not be more than 255 characters"
        raise _invalid(text, "it has more than 255 characters", go_text=reason)
    return ImageName(domain, path, tag or ("" if digest else "latest"), digest)


def is_path(text: str) -> bool:
    """Return whether a text can be a path: components of `a-z0-9`, joined by `.`, `_`, `__` or dashes, and slashes."""
    return all(map(_is_component, text.split("/")))  # no regular expression: importing `re` takes too long


def _is_component(text: str) -> bool:
    gaps = text.translate(_GAPS).split(" ")
    ends = len(gaps) > 1 and not (gaps[0] or gaps[-1])
    return ends and all(gap in {".", "_", "__"} or not gap.strip("-") for gap in gaps[1:-1])


def is_tag(text: str) -> bool:
    """Return whether a text can be a tag."""
    return 0 < len(text) <= _LONGEST_TAG and _IN_TAG.issuperset(text) and text[0] not in ".-"


def _is_domain(text: str) -> bool:
    if text.startswith("["):
        address, closed, port = text[1:].partition("]")
        return bool(closed and address) and _IN_ADDRESS.issuperset(address) and (not port or _is_port(port))
    host, colon, port = text.partition(":")
    labels = all(
        label and _IN_LABEL.issuperset(label) and "-" not in {label[0], label[-1]} for label in host.split(".")
    )
    return labels and (not colon or _is_port(colon + port))


def _is_port(text: str) -> bool:
    return len(text) > 1 and text[0] == ":" and not text[1:].strip(_DIGITS)


def repository_of(name: str) -> str:
    """Return a recorded name without its tag and digest, even if it is not valid."""
    return _without_tag(name.partition("@")[0])[0]


def _without_tag(named: str) -> tuple[str, str]:
    """Split off a tag; a colon before the last slash belongs to a port."""
    head, colon, tag = named.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (named, "")


def _invalid(text: str, reason: str, *, go_text: str = "invalid reference format") -> errors.InvalidName:
    error = errors.InvalidName(text, reason)
    error.go_text = go_text
    return error
