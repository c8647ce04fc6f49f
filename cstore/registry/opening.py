"""Creating a client for a repository from a name: combines configuration, credentials and certificates."""

from __future__ import annotations

from cstore.arguments import checked
from cstore.errors import InvalidName, Refused
from cstore.oci.names import ImageName, is_path, parse_name
from cstore.registry.access import Access, Credentials
from cstore.registry.credentials import HUB, HUB_HOST, find_credentials
from cstore.registry.listing import listed
from cstore.registry.registries_conf import Location
from cstore.registry.repository import Endpoint, Repository
from cstore.registry.settings import load_settings
from cstore.registry.tls import find_trust
from cstore.registry.wire import Request, Wire, finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.registry.settings import Settings

_TRANSPORT = "docker://"
_LAST_PORT = 65535


@checked
def parse_reference(text: str) -> ImageName:
    """Parse an image name, with or without `docker://`: a full name, or one in docker.io.

    Raises:
        InvalidName: it is not a name.
    """
    return parse_name(text.removeprefix(_TRANSPORT))


@checked
def open_repository(
    name: str | ImageName, *, access: Access | None = None, settings: Settings | None = None, writing: bool = False
) -> Repository:
    """Create a client for the repository of an image. Nothing is sent yet. Use it as a context manager.

    Args:
        name: the image, with tag or digest, with or without `docker://`. A name without a registry is in docker.io;
            `resolve` finds what a short name means to the user.
        access: the caller's options for the registry.
        settings: the machine's configuration, if loaded already.
        writing: for pushing: skips mirrors and other locations, which are for reading only.

    Raises:
        InvalidName: it is not a name.
        RegistryBlocked: the configuration blocks the registry.
        ConfigError: the configuration is invalid.
    """
    access = access or Access()
    settings = settings or load_settings(auth_file=access.auth_file)
    parsed = parse_reference(name) if isinstance(name, str) else name
    locations = settings.registries.locations(parsed, writing=writing)
    endpoints = []
    for one in locations:
        # Credentials for a registry are not for its mirrors.
        allowed = access if one.registry == parsed.domain else access.with_(credentials=None)
        endpoints.append(Endpoint(_wire(one, allowed, settings), one.repository, access.retrying))
    return Repository(parsed, endpoints)


def _wire(location: Location, access: Access, settings: Settings) -> Wire:
    """Create the HTTP client for the registry of a location.

    Raises:
        InvalidName: its port is invalid.
    """
    port = location.registry.rpartition(":")[2]
    if port.isdecimal() and port != location.registry and int(port[:6]) > _LAST_PORT:
        raise InvalidName(location.registry, f"its port is above {_LAST_PORT}")
    insecure = location.insecure if access.tls_verify is None else not access.tls_verify

    def found() -> Credentials | None:
        if access.anonymous or access.credentials is not None:
            return access.credentials
        return find_credentials(settings, location.registry, location.repository)

    host = HUB_HOST if location.registry == HUB else location.registry
    return Wire(
        host,
        access,
        shown=location.registry,
        insecure=insecure,
        trust=find_trust(host, settings.certificates, access.certificates),
        proxies=settings.proxies,
        find_credentials=found,
    )


def open_registry(registry: str, access: Access, settings: Settings) -> Wire:
    """Create the HTTP client for a registry as a whole.

    Raises:
        RegistryBlocked, ConfigError: as for `open_repository`.
        InvalidName: it is not a host.
    """
    host = registry.partition("/")[0]
    name = parse_name(f"{host}/any")
    if name.domain != host:
        name = name.with_(domain=parse_name(f"{host}:443/any").domain.removesuffix(":443"))
    [location] = settings.registries.locations(name, writing=True)
    return _wire(Location(host, registry.partition("/")[2], location.insecure), access, settings)


@checked
def check_login(registry: str, access: Access, settings: Settings) -> None:
    """Check that a registry accepts the credentials in `access`.

    Raises:
        AccessDenied: it does not accept them.
        RegistryError: it does not respond.
    """
    wire = open_registry(registry, access, settings)
    try:
        finish(wire.send(Request(method="GET", path="/v2/", action="log in")))
    finally:
        wire.close()


@checked
def catalog(registry: str, *, access: Access | None = None, settings: Settings | None = None) -> list[str]:
    """Return the repositories of a registry, as far as it lists them.

    Raises:
        RegistryError: it sends no list.
    """
    access = access or Access()
    wire = open_registry(registry, access, settings or load_settings(auth_file=access.auth_file))
    try:
        path, scopes = "/v2/_catalog?n=1000", ("registry:catalog:*",)
        return sorted(listed(wire, path, ("repositories", is_path), scopes, "list repositories"))
    finally:
        wire.close()


@checked
def registry_key(text: str) -> str:
    """Return the key for credentials of a registry, or of a path there, from user input.

    Raises:
        Refused: it is not a registry.
    """
    key = text.strip()
    for scheme in ("https://", "http://"):
        if key.startswith(scheme):
            key = key.removeprefix(scheme).partition("/")[0]
    key = key.rstrip("/")
    usable = key and key.isascii() and key.isprintable() and not set(key) & set(' @?#"\\') and ".." not in key
    if not usable:
        raise Refused(f"{text!r} is not a registry", hint="write it as HOST, HOST:PORT or HOST/PATH")
    return key
