"""What commands that speak to registries have in common: their options, and what those mean."""

from __future__ import annotations

from cstore.cli.command import switch, text
from cstore.errors import InvalidOption, UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from cstore.transfer import CopyRequest
    from cstore.transfer.registry_ends import RegistryAccess

    F = TypeVar("F", bound=Callable[..., Any])

_TRUE, _FALSE = {"true", "1", "t", "yes"}, {"false", "0", "f", "no"}


def registry_options(function: F) -> F:
    """Declare how registries are spoken to."""
    for option in reversed(
        (
            text("--authfile", metavar="FILE", help="Look for credentials in FILE ($REGISTRY_AUTH_FILE)."),
            text("--creds", metavar="USER[:PASSWORD]", help="Credentials; without a password, it is asked for."),
            text("--cert-dir", metavar="PATH", help="Directory of certificates, in the place of certs.d."),
            text("--tls-verify", metavar="BOOL", help="false: accept any certificate, and plain HTTP."),
            text(
                "--signature-policy", metavar="FILE", help="Signature policy (default: policy.json, if there is one)."
            ),
        )
    ):
        function = option(function)
    return function


def moving_options(function: F) -> F:
    """Declare how blobs are moved."""
    for option in reversed(
        (
            switch("--dry-run", help="Copy nothing; show what would be copied."),
            text("--jobs", metavar="N", help="Fetch N blobs side by side (default: 3)."),
            text("--limit-rate", metavar="SIZE", help="Fetch at most SIZE bytes a second, such as 2m."),
            text("--memory", metavar="SIZE", help="Memory for blobs that are being fetched (default: 64m)."),
            switch("-q", "--quiet", help="Show no progress."),
        )
    ):
        function = option(function)
    return function


def access_of(wanted: dict[str, Any]) -> RegistryAccess:
    """Turn the values of `registry_options` into what the registry client takes.

    Raises:
        UsageMistake, InvalidOption: one of them makes no sense.
    """
    from cstore.registry import Access
    from cstore.transfer.registry_ends import RegistryAccess

    said = wanted["tls_verify"].lower()
    if said and said not in _TRUE | _FALSE:
        raise UsageMistake(f"--tls-verify is true or false, not {wanted['tls_verify']!r}")
    access = Access(
        tls_verify=said in _TRUE if said else None,
        credentials=_credentials(wanted["creds"]) if wanted["creds"] else None,
        auth_file=wanted["authfile"],
        certificates=wanted["cert_dir"],
    )
    return RegistryAccess(access, wanted["signature_policy"])


def _credentials(text_: str) -> Any:
    """Read credentials. A password is never part of a message."""
    from cstore.registry import Credentials

    user, colon, password = text_.partition(":")
    if not user:
        raise UsageMistake("--creds has no user", hint="write --creds USER, and the password is asked for")
    if not colon:
        import getpass
        import sys

        if not sys.stdin.isatty():
            raise InvalidOption(
                "there is nobody to ask for the password", hint="cstore login keeps it in a file for all tools"
            )
        password = getpass.getpass(f"Password of {user}: ")
    return Credentials(user, password)


def moving(request: CopyRequest, wanted: dict[str, Any]) -> CopyRequest:
    """Add the values of `moving_options` to a request.

    Raises:
        UsageMistake: one of them makes no sense.
    """
    jobs = wanted["jobs"]
    if jobs and not (jobs.isascii() and jobs.isdecimal() and 0 < int(jobs) <= 64):
        raise UsageMistake(f"--jobs is a number from 1 to 64, not {jobs!r}")
    return request.with_(
        dry_run=bool(wanted["dry_run"]),
        jobs=int(jobs) if jobs else request.jobs,
        limit_rate=_size(wanted["limit_rate"], "--limit-rate") if wanted["limit_rate"] else 0,
        memory=_size(wanted["memory"], "--memory") if wanted["memory"] else request.memory,
    )


def _size(text_: str, option: str) -> int:
    from cstore.config.driver_options import parse_size

    try:
        size = parse_size(text_)
    except ValueError:
        size = 0
    if size <= 0:
        raise UsageMistake(f"{option} is a size such as 512k or 64m, not {text_!r}")
    return size
