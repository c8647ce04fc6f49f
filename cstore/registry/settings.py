"""The machine's configuration for registries: files, directories and variables.

The order is that of Podman and skopeo: a file named in the environment, the user's own, the system's.
"""

from __future__ import annotations

import os

from cstore import presence
from cstore.arguments import checked
from cstore.config.environment import read_environment
from cstore.config.rootless import home_directory, rootless_identity
from cstore.errors import ConfigError
from cstore.registry.proxies import Proxies, read_proxies
from cstore.registry.registries_conf import RegistriesConfig, read_registries
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cstore.config.environment import Environment
    from cstore.config.rootless import Identity

SYSTEM = "/etc/containers"
_REGISTRIES = "registries.conf"


class AuthFile(Value):
    """A file that may contain credentials. `legacy`: it has Docker's first format, without the enclosing table."""

    path: str
    legacy: bool = False


class Settings(Value):
    """The configuration of the machine and the user.

    Attributes:
        registries: registries.conf with its drop-ins.
        proxies: the proxies of the environment.
        auth_files: the files to search for credentials; login and logout change the first.
        certificates: the certs.d directories.
        policy_file: the signature policy; "" for none.
        alias_file: aliases that tools have recorded, which win over those of registries.conf; "" for none.
        search_path: PATH, for credential helpers.
    """

    registries: RegistriesConfig = RegistriesConfig()
    proxies: Proxies = Proxies()
    auth_files: tuple[AuthFile, ...] = ()
    certificates: tuple[str, ...] = ()
    policy_file: str = ""
    alias_file: str = ""
    search_path: str = ""


@checked
def load_settings(environ: Mapping[str, str] | None = None, *, system: str = SYSTEM, auth_file: str = "") -> Settings:
    """Find and read the configuration.

    Args:
        environ: the environment; by default that of this process.
        system: the directory of the system's files.
        auth_file: a file to search first for credentials, as given with --authfile.

    Raises:
        ConfigError: a file or a variable is invalid.
    """
    environment, identity = read_environment(environ), rootless_identity(environ)
    try:
        home = home_directory(environment, identity)
    except ConfigError:
        home = ""
    own = _own_directory(home)
    variables = environment.variables
    cache = os.path.join(home, ".cache", "containers") if identity.per_user else "/var/cache/containers"
    if system != SYSTEM and not identity.per_user:
        cache = os.path.join(system, "cache")
    policies = [os.path.join(own, "policy.json")] if own else []
    return Settings(
        registries=read_registries(_registries_files(variables, own, system)),
        proxies=read_proxies(variables),
        auth_files=tuple(_auth_files(environment, identity, home, auth_file)),
        certificates=tuple(
            os.path.join(one, "certs.d")
            for one in (own, system, os.path.join(os.path.dirname(system), "docker"))
            if one
        ),
        policy_file=next(filter(presence.exists, [*policies, os.path.join(system, "policy.json")]), ""),
        alias_file=os.path.join(cache, "short-name-aliases.conf") if home or not identity.per_user else "",
        search_path=environment.search_path,
    )


def _own_directory(home: str, config_home: str = "") -> str:
    """Return the user's configuration directory for container tools; "" if there is none.

    XDG_CONFIG_HOME applies to credentials only, as in Podman and skopeo.
    """
    if config_home:
        return os.path.join(config_home, "containers")
    return os.path.join(home, ".config", "containers") if home else ""


def _registries_files(variables: Mapping[str, str], own: str, system: str) -> list[str]:
    """Return the main file and its drop-ins. A user with a main file gets only their own drop-ins."""
    named = variables.get("CONTAINERS_REGISTRIES_CONF") or variables.get("REGISTRIES_CONFIG_PATH", "")
    mine = os.path.join(own, _REGISTRIES) if own else ""
    folders = [f"{os.path.join(system, _REGISTRIES)}.d", *([f"{mine}.d"] if mine else [])]
    if named:
        if not presence.exists(named):
            raise ConfigError(named, "file not found", hint="see CONTAINERS_REGISTRIES_CONF")
        main = named
    elif mine and presence.exists(mine):
        main, folders = mine, [f"{mine}.d"]
    else:
        main = os.path.join(system, _REGISTRIES)
    found = [main]
    for folder in folders:
        try:
            names = sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ConfigError(folder, f"cannot be listed: {os.strerror(error.errno or 0)}") from None
        found += (os.path.join(folder, name) for name in names if name.endswith(".conf"))
    return found


def _auth_files(environment: Environment, identity: Identity, home: str, given: str) -> Iterator[AuthFile]:
    """Yield the files with credentials; an explicitly named one replaces the first, as in skopeo."""
    variables, runtime = environment.variables, environment.runtime_dir
    folder = os.path.join(runtime, "containers") if runtime else f"/run/containers/{identity.uid}"
    yield AuthFile(given or variables.get("REGISTRY_AUTH_FILE") or os.path.join(folder, "auth.json"))
    if own := _own_directory(home, environment.config_home or ""):
        yield AuthFile(os.path.join(own, "auth.json"))
    docker = variables.get("DOCKER_CONFIG") or (os.path.join(home, ".docker") if home else "")
    if docker:
        yield AuthFile(os.path.join(docker, "config.json"))
    if home:
        yield AuthFile(os.path.join(home, ".dockercfg"), legacy=True)
