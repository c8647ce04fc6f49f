"""The registry options that several commands share, the conversion of their values, and prompts for credentials."""

from __future__ import annotations

import sys

from cstore.cli.command import text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from cstore.registry import Access, ImageName, Settings

    F = TypeVar("F", bound=Callable[..., Any])

_YES = frozenset({"1", "t", "true"})
_NO = frozenset({"0", "f", "false"})
_LONGEST_PASSWORD = 1 << 20


def registry_options(function: F) -> F:
    """Declare the options for connections to registries."""
    for option in (
        text("--tls-verify", metavar="BOOL", help="true: TLS with a trusted certificate; false: any, or plain HTTP."),
        text("--cert-dir", metavar="PATH", help="Directory with *.crt, *.cert and *.key for the registry."),
        text("--authfile", metavar="FILE", help="File with credentials ($REGISTRY_AUTH_FILE)."),
    ):
        function = option(function)
    return function


def registry_access(wanted: dict[str, Any], *, credentials: str = "") -> tuple[Access, Settings]:
    """Convert the values of `registry_options` to the client's settings, and load the configuration.

    Args:
        wanted: the values by name.
        credentials: `USER:PASSWORD`, as in --creds; "" to use the credential files.

    Raises:
        UsageMistake: an option is not valid.
        ConfigError: the configuration is not valid.
    """
    from cstore import __version__
    from cstore.registry import Access, Credentials, load_settings

    given = None
    if credentials:
        user, _, password = credentials.partition(":")
        given = Credentials(user, password)
    access = Access(
        tls_verify=truth(wanted["tls_verify"], "--tls-verify"),
        credentials=given,
        auth_file=wanted["authfile"],
        certificates=wanted["cert_dir"],
        user_agent=f"cstore/{__version__}",
    )
    return access, load_settings(auth_file=wanted["authfile"])


def truth(word: str, option: str) -> bool | None:
    """Return the value of a Boolean option; None if it is absent.

    Raises:
        UsageMistake: the value is neither true nor false.
    """
    if not word or word.lower() in _YES:
        return True if word else None
    if word.lower() in _NO:
        return False
    from cstore.errors import UsageMistake

    raise UsageMistake(f"{option}: {word!r} must be true or false", hint=f"write {option}=false")


def named_images(name: str, settings: Settings) -> list[ImageName]:
    """Return the registry images that a name may refer to, in the order to try.

    With the prefix `docker://` a name refers to one image, as in skopeo; without it, short names are resolved as in
    Podman, which may ask the user at a terminal.

    Raises:
        InvalidName, ShortNameAmbiguous, ConfigError: the name cannot be resolved.
    """
    from cstore.cli.output.asking import can_ask
    from cstore.registry import parse_reference, resolve

    if name.startswith("docker://"):
        return [parse_reference(name)]
    return resolve(name, settings, _chosen if can_ask() else None)


def _chosen(candidates: Sequence[ImageName]) -> ImageName:
    """Ask the user to choose one of the candidates."""
    from cstore.cli.output.asking import answer
    from cstore.cli.output.text import visible
    from cstore.errors import UsageMistake

    listed = "".join(f"{number}. {visible(str(candidate))}\n" for number, candidate in enumerate(candidates, 1))
    number = answer(f"{listed}Which image? ")
    if number.isascii() and number.isdecimal() and 1 <= int(number) <= len(candidates):
        return candidates[int(number) - 1]
    raise UsageMistake("no image was chosen", hint="write the name in full")


def password_from_input() -> str:
    """Return the password on standard input: its whole text without trailing newlines."""
    import os

    from cstore.cli.files import standard_input
    from cstore.errors import UsageMistake

    parts, size, source = [], 0, standard_input()
    while data := os.read(source, 1 << 16):
        parts.append(data)
        size += len(data)
        if size > _LONGEST_PASSWORD:
            raise UsageMistake("standard input is too long for a password")
    try:
        return b"".join(parts).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageMistake("the password on standard input is not UTF-8") from None


def asked_user(default: str) -> str:
    """Ask the user for a user name; return `default` for an empty answer."""
    from cstore.cli.output.asking import answer

    return answer(f"Username ({default}): " if default else "Username: ") or default


def asked_password() -> str:
    """Ask the user for a password without echo."""
    from getpass import getpass

    return getpass("Password: ", stream=sys.stderr)
