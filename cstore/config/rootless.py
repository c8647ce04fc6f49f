"""The user who runs cstore, and the location of an ordinary user's store (config spec, 7)."""

from __future__ import annotations

import os
import stat

from cstore import errors
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
"""The suffixes of a store's directories, after the driver's name, and the record file in each."""


class Process(Value):
    """The kernel's facts about a process. `admin`: it has CAP_SYS_ADMIN. `whole_map`: it sees every user ID."""

    uid: int
    euid: int
    gid: int
    admin: bool
    whole_map: bool


class Identity(Value):
    """On whose behalf cstore runs.

    Attributes:
        uid, gid: the user's own IDs, outside of any user namespace that was entered for cstore.
        seen_uid: the owner that the user's own files have as seen from here.
        rootless: not root of the whole machine.
        per_user: the user's own store, not the system's, is meant.
        entered: a user namespace was entered for cstore, or for a program that started it.
    """

    uid: int
    gid: int
    seen_uid: int
    rootless: bool
    per_user: bool
    entered: bool = False

    @property
    def inside(self) -> bool:
        """Whether this is root of a user namespace already, in which the user's store can be changed."""
        return self.entered or (self.per_user and self.seen_uid == 0)


class Places(Value):
    """Where the system keeps what configuration looks for. Other values are for tests."""

    administrator_file: str = "/etc/containers/storage.conf"
    distribution_file: str = "/usr/share/containers/storage.conf"
    runtime_parent: str = "/run/user"
    temporary_dir: str = "/tmp"  # noqa: S108  - what is found there is used only if it is a directory of the user's own


def current_process() -> Process:
    """Ask the kernel about this process."""
    return Process(
        uid=os.getuid(), euid=os.geteuid(), gid=os.getgid(), admin=_has_admin(), whole_map=_sees_every_user()
    )


def rootless_identity(environ: Mapping[str, str] | None = None, process: Process | None = None) -> Identity:
    """Work out on whose behalf cstore runs.

    Raises:
        ConfigError: a variable that must be a number is not one.
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
    """The user's home: HOME, or what the user database says.

    Raises:
        ConfigError: neither knows one.
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
    """The user's name: USER, or what the user database says, else the UID."""
    if environment.user:
        return environment.user
    import pwd

    try:
        return pwd.getpwuid(identity.uid).pw_name
    except KeyError:
        return str(identity.uid)


def userns_owner(settings: FileSettings, environment: Environment, identity: Identity) -> str:
    """Whose sub-ID ranges automatic user namespaces take: a user's own, or those that the file names for root."""
    if identity.rootless:
        return user_name(environment, identity)
    return settings.string(keys.AUTO_USER) or AUTO_USERNS_USER


def user_file(environment: Environment, identity: Identity) -> str:
    """The path of the user's own configuration file, which need not exist."""
    config_home = environment.config_home or os.path.join(home_directory(environment, identity), ".config")
    return os.path.join(config_home, "containers", "storage.conf")


def data_root(environment: Environment, identity: Identity) -> str:
    """The graph root of a user who has configured none."""
    data_home = environment.data_home or os.path.join(home_directory(environment, identity), ".local", "share")
    return os.path.join(data_home, "containers", "storage")


def runtime_directory(environment: Environment, identity: Identity, places: Places) -> str:
    """Return the directory of the user's volatile files. Chooses and checks it; the store creates it.

    Raises:
        ConfigError: XDG_RUNTIME_DIR names nothing, or the last resort belongs to somebody else.
    """
    if environment.runtime_dir:
        if not os.path.isdir(environment.runtime_dir):
            hint = "log in properly, unset the variable, or name a run root with --run"
            raise errors.ConfigError("XDG_RUNTIME_DIR", f"{environment.runtime_dir} is not a directory", hint=hint)
        return os.path.realpath(environment.runtime_dir)
    usual = os.path.join(places.runtime_parent, str(identity.uid))
    if _is_own(usual, identity) or (not os.path.lexists(usual) and _may_create(places.runtime_parent, identity)):
        return usual
    last = os.path.join(environment.temporary_dir or places.temporary_dir, f"storage-run-{identity.uid}")
    if os.path.lexists(last) and not _is_own(last, identity):
        reason = f"{last} exists, and other users can write to it"
        raise errors.ConfigError("run root", reason, hint="set XDG_RUNTIME_DIR, or name a run root with --run")
    return os.path.abspath(last)


def user_runtime_directory(environ: Mapping[str, str] | None = None) -> str:
    """The same for the user of this process, or of this environment.

    Raises:
        ConfigError: as `runtime_directory`; or a variable that must be a number is none.
    """
    return runtime_directory(read_environment(environ), rootless_identity(environ), Places())


def inherited(system: FileSettings, driver: str) -> FileSettings:
    """The settings that a user without a configuration file inherits from the system's file.

    `driver` is a driver that was named already, "" if none was. Roots, stores and mount options are not for users.
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
    """The drivers that have records under a graph root: first those with images, which is where the Go tool looks."""
    try:
        names = sorted(os.listdir(graph_root))
    except OSError:
        return []
    found = [name.removesuffix(suffix) for suffix in ("-images", "-layers") for name in names if name.endswith(suffix)]
    return [name for name in dict.fromkeys(found) if _serves_users(name)]


def drivers_with_records(graph_root: str) -> list[str]:
    """The drivers that have a store under a graph root: one that has any record file."""
    try:
        names = sorted(os.listdir(graph_root))
    except OSError:
        return []
    found = []
    for name in names:
        driver, dash, kind = name.rpartition("-")
        record = RECORDS.get(dash + kind)
        if driver and record and driver not in found and os.path.exists(os.path.join(graph_root, name, record)):
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
        with open(path, "rb") as file:  # a codec for ASCII would be imported for it
            return file.read().decode(errors="replace").splitlines()
    except OSError:
        return []


def _is_own(path: str, identity: Identity) -> bool:
    """Whether `path` is a directory owned by the user, not a link, and not writable by others."""
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
