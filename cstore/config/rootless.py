"""The user who runs cstore, and the location of an ordinary user's store (config spec, 7)."""

from __future__ import annotations

import os
import stat

from cstore import errors, presence
from cstore.config import keys
from cstore.config.environment import read_environment
from cstore.config.options import AUTO_USERNS_USER
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.config.environment import Environment
    from cstore.config.options import FileSettings

_CAP_SYS_ADMIN = 21
_WHOLE_MAP = "4294967295"
RECORDS = {"-layers": "layers.json", "-images": "images.json", "-containers": "containers.json"}
"""Suffixes of a store's record directories, after the driver's name, and the record file in each."""


class Process(Value):
    """Kernel facts about a process. `admin`: it has CAP_SYS_ADMIN. `whole_map`: its namespace has every user ID."""

    uid: int
    euid: int
    gid: int
    admin: bool
    whole_map: bool


class Identity(Value):
    """The user for whom cstore runs.

    Attributes:
        uid, gid: the user's own IDs, outside any user namespace that was entered for cstore.
        seen_uid: the owner of the user's own files as seen from this process.
        rootless: not root of the whole machine.
        per_user: uses the user's own store, not the system's.
        entered: cstore, or a program that started it, has entered a user namespace.
    """

    uid: int
    gid: int
    seen_uid: int
    rootless: bool
    per_user: bool
    entered: bool = False

    @property
    def inside(self) -> bool:
        """Whether this is already root of a user namespace, in which the user's store can be changed."""
        return self.entered or (self.per_user and self.seen_uid == 0)


class Places(Value):
    """The system's configuration places. Tests use others."""

    administrator_file: str = "/etc/containers/storage.conf"
    distribution_file: str = "/usr/share/containers/storage.conf"
    runtime_parent: str = "/run/user"
    temporary_dir: str = "/tmp"  # noqa: S108  - used only if it is a directory that the user owns


def current_process() -> Process:
    """Return the kernel's facts about this process."""
    return Process(
        uid=os.getuid(), euid=os.geteuid(), gid=os.getgid(), admin=_has_admin(), whole_map=_sees_every_user()
    )


def rootless_identity(environ: Mapping[str, str] | None = None, process: Process | None = None) -> Identity:
    """Determine the user for whom cstore runs.

    Raises:
        ConfigError: a variable that must be a number is not.
    """
    environment = read_environment(environ)
    process = process or current_process()
    uid = _number("_CONTAINERS_ROOTLESS_UID", environment.rootless_uid, process.uid)
    effective = _number("_CONTAINERS_ROOTLESS_UID", environment.rootless_uid, process.euid)
    rootless = bool(effective or environment.in_namespace or not process.admin or not process.whole_map)
    return Identity(
        uid=uid,
        gid=_number("_CONTAINERS_ROOTLESS_GID", environment.rootless_gid, process.gid),
        seen_uid=process.uid,
        rootless=rootless,
        per_user=rootless and uid != 0,
        entered=bool(environment.in_namespace) and process.euid == 0,
    )


def home_directory(environment: Environment, identity: Identity) -> str:
    """Return the user's home: HOME, or that in the user database.

    Raises:
        ConfigError: neither is known.
    """
    if environment.home:
        return environment.home
    import pwd

    try:
        return pwd.getpwuid(identity.uid).pw_dir
    except KeyError as error:
        reason = f"is not set, and user {identity.uid} has no entry in the user database"
        raise errors.ConfigError("HOME", reason, hint="set HOME, or name the roots with --graph and --run") from error


def user_name(environment: Environment, identity: Identity) -> str:
    """Return the user's name: USER, or that in the user database, else the UID."""
    if environment.user:
        return environment.user
    import pwd

    try:
        return pwd.getpwuid(identity.uid).pw_name
    except KeyError:
        return str(identity.uid)


def userns_owner(settings: FileSettings, environment: Environment, identity: Identity) -> str:
    """Return the owner of the IDs for automatic user namespaces: the current user or, for root, the configured one."""
    if identity.rootless:
        return user_name(environment, identity)
    return settings.string(keys.AUTO_USER) or AUTO_USERNS_USER


def user_file(environment: Environment, identity: Identity) -> str:
    """Return the path of the user's own configuration file, which need not exist."""
    config_home = environment.config_home or os.path.join(home_directory(environment, identity), ".config")
    return os.path.join(config_home, "containers", "storage.conf")


def data_root(environment: Environment, identity: Identity) -> str:
    """Return the default graph root of a user."""
    data_home = environment.data_home or os.path.join(home_directory(environment, identity), ".local", "share")
    return os.path.join(data_home, "containers", "storage")


def runtime_directory(environment: Environment, identity: Identity, places: Places) -> str:
    """Return the directory for the user's volatile files. It is chosen and checked here; the store creates it.

    Raises:
        ConfigError: XDG_RUNTIME_DIR is not a directory, or other users can write to the fallback.
    """
    if environment.runtime_dir:
        if not presence.is_directory(environment.runtime_dir):
            hint = "log in properly, unset the variable, or name a run root with --run"
            raise errors.ConfigError("XDG_RUNTIME_DIR", f"{environment.runtime_dir} is not a directory", hint=hint)
        return os.path.realpath(environment.runtime_dir)
    usual = os.path.join(places.runtime_parent, str(identity.uid))
    if _is_own(usual, identity) or (not presence.is_there(usual) and _may_create(places.runtime_parent, identity)):
        return usual
    last = os.path.join(environment.temporary_dir or places.temporary_dir, f"storage-run-{identity.uid}")
    if presence.is_there(last) and not _is_own(last, identity):
        reason = f"{last} exists, and other users can write to it"
        raise errors.ConfigError("run root", reason, hint="set XDG_RUNTIME_DIR, or name a run root with --run")
    return os.path.abspath(last)


def user_runtime_directory(environ: Mapping[str, str] | None = None) -> str:
    """Return the directory for volatile files for the user of this process, or of the given environment.

    Raises:
        ConfigError: see `runtime_directory`; or a variable that must be a number is not.
    """
    return runtime_directory(read_environment(environ), rootless_identity(environ), Places())


def inherited(system: FileSettings, driver: str) -> FileSettings:
    """Return the system's settings that apply to a user without a file of their own (tools up to 1.60).

    `driver` is the driver named elsewhere, or "". Roots, stores and mount options do not apply to users.
    """
    kept = {keys.PULL_OPTIONS, keys.SYNC, keys.LOCK_TIMEOUT}
    own = system.string(keys.DRIVER)
    if _serves_users(own) and not driver:
        driver = own
        kept.add(keys.DRIVER)
    elif not driver:
        kept.add(keys.DRIVER_PRIORITY)
    result = system.keep(kept)
    general, special = f"{keys.OPTIONS}.ignore_chown_errors", f"{keys.OPTIONS}.overlay.ignore_chown_errors"
    word = system.string(general) or system.string(special)
    return result.with_values({special: word}) if word else result


def _serves_users(driver: str) -> bool:
    from cstore.drivers.registry import facts_of

    facts = facts_of(driver)
    return facts is not None and facts.serves_users


def existing_drivers(graph_root: str) -> list[str]:
    """List the drivers with records under a graph root; those with images, which the Go tool checks, come first."""
    names = _listed(graph_root)
    found = [name.removesuffix(suffix) for suffix in ("-images", "-layers") for name in names if name.endswith(suffix)]
    return [name for name in dict.fromkeys(found) if _serves_users(name)]


def _listed(graph_root: str) -> list[str]:
    """List a graph root; [] if it does not exist or may not be read. Raises SystemFailure: reading it failed."""
    try:
        return sorted(os.listdir(graph_root))
    except PermissionError:
        return []
    except OSError as error:
        presence.mode_despite(error, graph_root)
        return []


def drivers_with_records(graph_root: str) -> list[str]:
    """List the drivers that have a store, that is any record file, under a graph root."""
    names = _listed(graph_root)
    found = []
    for name in names:
        driver, dash, kind = name.rpartition("-")
        record = RECORDS.get(dash + kind)
        if driver and record and driver not in found and presence.can_be_seen(os.path.join(graph_root, name, record)):
            found.append(driver)
    return found


def _number(name: str, text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise errors.ConfigError(name, f"{text!r} is not a user or group ID", hint="unset the variable")
    return int(text)


def _has_admin() -> bool:
    for line in _lines("/proc/self/status"):
        name, _, value = line.partition(":")
        if name == "CapEff":
            return bool(int(value, 16) >> _CAP_SYS_ADMIN & 1)
    return os.geteuid() == 0


def _sees_every_user() -> bool:
    return any(_WHOLE_MAP in line for line in _lines("/proc/self/uid_map"))


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:  # avoids importing the ASCII codec
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []


def _is_own(path: str, identity: Identity) -> bool:
    """Return whether `path` is a directory, not a link, that the user owns and nobody else may write to."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    mode = found.st_mode
    return stat.S_ISDIR(mode) and found.st_uid == identity.seen_uid and mode & 0o700 == 0o700 and not mode & 0o022


def _may_create(parent: str, identity: Identity) -> bool:
    try:
        found = os.stat(parent)
    except OSError:
        return False
    needed = 0o300 if found.st_uid == identity.seen_uid else 0o003
    return found.st_mode & needed == needed
