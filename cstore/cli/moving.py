"""The common options of commands that move images."""

from __future__ import annotations

from cstore.cli.command import switch, text
from cstore.cli.registries import registry_options
from cstore.errors import UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from cstore.transfer import CopyRequest, RegistryAccess

    F = TypeVar("F", bound=Callable[..., Any])

_MOST_JOBS = 64


def trust_options(function: F) -> F:
    """Declare the registry options of commands that move images: connection, credentials and signature policy."""
    function = registry_options(function)
    for option in (
        text("--signature-policy", metavar="FILE", help="Signature policy (default: policy.json, if there is one)."),
        text("--creds", metavar="USER[:PASSWORD]", help="Credentials; without a password, cstore asks for it."),
    ):
        function = option(function)
    return function


def moving_options(function: F) -> F:
    """Declare the options for the transfer of blobs."""
    for option in reversed(
        (
            switch("--dry-run", help="Copy nothing; show what would be copied."),
            text("--jobs", metavar="N", help="Move N blobs at once (default: 3)."),
            text("--limit-rate", metavar="SIZE", help="Move at most SIZE bytes per second, for example 2m."),
            text(
                "--memory",
                metavar="SIZE",
                help="Memory for blobs in flight (default: 64m); above 128m, also for a decoder's window.",
            ),
            switch("-q", "--quiet", help="Show no progress."),
        )
    ):
        function = option(function)
    return function


def access_of(wanted: dict[str, Any]) -> RegistryAccess:
    """Convert the values of `trust_options` to the registry access of sources and sinks.

    Raises:
        UsageMistake: an option is not valid.
        ConfigError: the configuration is not valid.
    """
    from cstore.cli.registries import asked_password, registry_access
    from cstore.transfer import RegistryAccess

    said = wanted["creds"]  # a secret: never include it in a message
    if said and ":" not in said[1:]:
        if said.startswith(":"):
            raise UsageMistake("--creds has no user", hint="write --creds USER, and cstore asks for the password")
        from cstore.cli.output.asking import can_ask

        if not can_ask():
            raise UsageMistake(
                "cannot ask for the password of --creds without a terminal",
                hint="cstore login keeps it in a file for all tools",
            )
        said = f"{said}:{asked_password()}"
    access, settings = registry_access(wanted, credentials=said)
    return RegistryAccess(access, wanted["signature_policy"], settings)


def moving(request: CopyRequest, wanted: dict[str, Any]) -> CopyRequest:
    """Add the values of `moving_options` to a request.

    Raises:
        UsageMistake: an option is not valid.
    """
    return request.with_(
        dry_run=bool(wanted["dry_run"]),
        jobs=number_of_jobs(wanted["jobs"], request.jobs),
        limit_rate=_size(wanted["limit_rate"], "--limit-rate") if wanted["limit_rate"] else 0,
        memory=_size(wanted["memory"], "--memory") if wanted["memory"] else request.memory,
    )


def number_of_jobs(said: str, default: int) -> int:
    """Return the number of concurrent jobs from `--jobs`.

    Raises:
        UsageMistake: it is not a valid number.
    """
    if not said:
        return default
    if not (said.isascii() and said.isdecimal() and 0 < int(said) <= _MOST_JOBS):
        raise UsageMistake(f"--jobs must be a number from 1 to {_MOST_JOBS}, not {said!r}")
    return int(said)


def _size(said: str, option: str) -> int:
    from cstore.config import parse_size

    try:
        size = parse_size(said)
    except ValueError:
        size = 0
    if size <= 0:
        raise UsageMistake(f"{option} must be a size such as 512k or 64m, not {said!r}")
    return size
