"""Commands for registries: login, logout, and the list of a repository's tags."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, word
from cstore.cli.output.structured import VERSION
from cstore.cli.registries import registry_options
from cstore.errors import CstoreError, UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.cli.session import Session
    from cstore.registry import Access, Credentials, Settings


@command(
    "login",
    example="cstore login quay.io\n"
    "echo $TOKEN | cstore login -u robot --password-stdin registry.example:5000\n"
    "cstore login --get-login quay.io",
)
@word("registry", "REGISTRY", required=False)
@text("-u", "--username", metavar="USER", help="User name.")
@text("-p", "--password", metavar="PASSWORD", help="Password; other users can see it: prefer --password-stdin.")
@switch("--password-stdin", help="Read the password from standard input.")
@switch("--get-login", help="Print the user who is logged in, and do nothing else.")
@switch("-v", "--verbose", help="Print where the credentials are stored.")
@registry_options
@json_option
def login(session: Session, /, registry: str, **wanted: Any) -> None:
    """Log in to a registry.

    REGISTRY is HOST or HOST:PORT, or HOST/PATH for credentials that apply only below PATH; the default is the first
    registry that registries.conf searches for short names. Asks the registry whether it accepts user and password, then
    stores them in the file that Podman, Buildah and skopeo also use, or with the configured credential helper. On a
    terminal, prompts for whatever is missing. Without --username, tries stored credentials first.
    """
    from cstore.cli.registries import registry_access
    from cstore.registry import check_login, find_credentials, keep_credentials, registry_key

    access, settings = registry_access(wanted)
    key = registry_key(registry or _first_searched(settings))
    host, _, path = key.partition("/")
    kept = find_credentials(settings, host, path)
    if wanted["get_login"]:
        if kept is None:
            raise _not_logged_in(key)
        if session.json:
            session.document({"version": VERSION, "registry": key, "user": kept.user})
        else:
            session.lines([kept.user])
        return
    given = bool(wanted["username"] or wanted["password"] or wanted["password_stdin"])
    if kept is not None and not given and _accepted(key, access.with_(credentials=kept), settings):
        place, credentials = "", kept
    else:
        credentials = _credentials(wanted, kept)
        check_login(key, access.with_(credentials=credentials), settings)
        place = keep_credentials(settings, key, credentials)
    if session.json:
        session.document({"version": VERSION, "registry": key, "user": credentials.user, "kept_in": place})
        return
    if not place:
        session.lines([f"Existing credentials are valid. Already logged in to {key}"])
        return
    if wanted["verbose"]:
        session.lines([f"Used:  {place}"])
    session.lines(["Login Succeeded!"])


def _first_searched(settings: Settings) -> str:
    """Return the default registry, which is the first search registry, as with Podman.

    Raises:
        UsageMistake: there is no search registry.
    """
    if not settings.registries.search:
        raise UsageMistake("no registry is given, and registries.conf has no search registry", hint="name it: quay.io")
    return settings.registries.search[0]


def _accepted(key: str, access: Access, settings: Settings) -> bool:
    from cstore.registry import AccessDenied, check_login

    try:
        check_login(key, access, settings)
    except AccessDenied:
        return False
    return True


def _credentials(wanted: dict[str, Any], kept: Credentials | None) -> Credentials:
    """Return user and password from the options, standard input or prompts on the terminal.

    Raises:
        UsageMistake: the user or password is missing or empty, or the options exclude each other.
    """
    from cstore.cli.output.asking import can_ask
    from cstore.cli.registries import asked_password, asked_user, password_from_input
    from cstore.registry import Credentials

    user, password = wanted["username"], wanted["password"]
    if wanted["password_stdin"]:
        if password:
            raise UsageMistake("--password and --password-stdin are both given", hint="give one of them")
        if not user:
            raise UsageMistake("--password-stdin needs --username")
        password = password_from_input()
        if not password:
            raise UsageMistake("there is no password on standard input")
        return Credentials(user, password)
    if (not user or not password) and not can_ask():
        raise UsageMistake("no user or no password is given", hint="use --username USER --password-stdin")
    user = user or asked_user(kept.user if kept else "")
    password = password or asked_password()
    if not user or not password:
        raise UsageMistake("no user or no password is given")
    return Credentials(user, password)


def _not_logged_in(key: str) -> CstoreError:
    return CstoreError(f"not logged into {key}", hint=f"log in with: cstore login {key}")


@command("logout", example="cstore logout quay.io\ncstore logout --all")
@word("registry", "REGISTRY", required=False)
@switch("-a", "--all", help="Remove the credentials for all registries.")
@text("--authfile", metavar="FILE", help="File with credentials ($REGISTRY_AUTH_FILE).")
@json_option
def logout(session: Session, registry: str, authfile: str, **wanted: bool) -> None:
    """Log out of a registry.

    Removes the registry's credentials from the file that login writes, or from the credential helper. The default
    REGISTRY is the first one that registries.conf searches for short names.
    """
    from cstore.registry import find_with_source, forget_all, forget_credentials, load_settings, registry_key

    if registry and wanted["all"]:
        raise UsageMistake("a registry and --all are both given", hint="give one of them")
    settings = load_settings(auth_file=authfile)
    if wanted["all"]:
        forget_all(settings)
        shown = "all registries"
    else:
        shown = registry_key(registry or _first_searched(settings))
        if not forget_credentials(settings, shown):
            error = _not_logged_in(shown)
            host, _, path = shown.partition("/")
            if found := find_with_source(settings, host, path):
                error.message += f" by {settings.auth_files[0].path}; {found[1]} has credentials for it"
                error.hint = f"name the file with --authfile {found[1]}" if "/" in found[1] else ""
            raise error
    if session.json:
        session.document({"version": VERSION, "registry": "" if wanted["all"] else shown})
    else:
        session.lines([f"Removed login credentials for {shown}"])


@command("tags", example="cstore tags quay.io/fedora/fedora\ncstore tags --json docker://docker.io/library/debian")
@word("name", "NAME")
@registry_options
@json_option
def tags(session: Session, /, name: str, **wanted: Any) -> None:
    """List the tags of a repository.

    NAME is a repository with its registry, or a short name, which is looked up as for pull; docker:// may precede it.
    """
    from cstore.cli.registries import named_images, registry_access
    from cstore.registry import RegistryError, open_repository

    access, settings = registry_access(wanted)
    *others, last = named_images(name, settings)
    for image in (*others, last):
        try:
            with open_repository(image, access=access, settings=settings) as repository:
                found = repository.tags()
        except RegistryError:  # the next search registry may have the repository
            if image is last:
                raise
        else:
            break
    if session.json:
        session.document({"version": VERSION, "repository": image.repository, "tags": found})
    else:
        session.lines(found)
