"""Whether a host can run container storage: kernel, driver, file system, space, user, locks, mounts, clock, programs.

Nothing is written, mounted or locked. Each fact is read once and may be outdated at any moment.
"""

from __future__ import annotations

import os
import time
from enum import Enum

from cstore.arguments import checked
from cstore.errors import CstoreError
from cstore.fs.writable import nearest_directory
from cstore.store.context import context_of
from cstore.store.makers import command_of
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.store.context import Context
    from cstore.store.store import Store

_GIB = 1 << 30
_LITTLE, _HARDLY_ANY = 0.05, 0.01
"""Free fractions of a file system below which the report has a warning, or a problem."""
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb2", "smb3", "ceph", "9p", "afs", "gfs2", "ocfs2"})
_PROGRAMS = ("podman", "buildah", "skopeo", "crio", "containers-storage", "fuse-overlayfs", "crun", "runc")
_SECONDS_FOR_A_PROGRAM = 5
_CLOCK_MAY_DIFFER = 120.0


class Level(Enum):
    """The severity of a fact. A problem prevents containers from working, or soon will; a warning may do so."""

    PROBLEM = "problem"
    WARNING = "warning"
    OK = "ok"


class Fact(Value):
    """One fact about the host: its area, its level, a sentence, and what to do ("" for nothing)."""

    area: str
    level: Level
    sentence: str
    remedy: str = ""


class HostReport(Value):
    """All facts, ordered by area, and the space on the graph root's file system, in bytes and inodes (-1: unknown)."""

    facts: tuple[Fact, ...]
    bytes_free: int = -1
    bytes_total: int = -1
    inodes_free: int = -1
    inodes_total: int = -1

    @property
    def problems(self) -> tuple[Fact, ...]:
        """The facts whose level is `PROBLEM`."""
        return tuple(fact for fact in self.facts if fact.level is Level.PROBLEM)


@checked
def examine_host(store: Store | Context) -> HostReport:
    """Examine the host as the current user, for an open store. Works before the store's directories exist."""
    context = context_of(store)
    where = nearest_directory(context.config.graph_root)
    room = os.statvfs(where)
    facts = (
        *_system(context),
        *_file_system(where),
        *_space(context, where, room),
        *_identity(),
        *_settings(context),
        *_locks(context),
        *_mounts(context),
        *_clock(context),
        *_programs(),
    )
    return HostReport(
        facts=facts,
        bytes_free=room.f_bavail * room.f_frsize,
        bytes_total=room.f_blocks * room.f_frsize,
        inodes_free=room.f_favail,
        inodes_total=room.f_files,
    )


def _system(context: Context) -> Iterator[Fact]:
    """Report the kernel and whether the driver works on it."""
    release = os.uname().release
    old = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit()) < (5, 11)
    if old and os.geteuid():
        yield Fact(
            "kernel", Level.WARNING, f"Linux {release} mounts overlay for root only",
            "use Linux 5.11 or newer, or set mount_program to fuse-overlayfs",
        )  # fmt: skip
    else:
        yield Fact("kernel", Level.OK, f"Linux {release}")
    try:
        context.driver.require()
        told = ", ".join(f"{key.lower()} {value}" for key, value in context.driver.status())
    except CstoreError as error:
        yield Fact("driver", Level.PROBLEM, error.message, error.hint)
    else:
        yield Fact("driver", Level.OK, f"the {context.driver.name} driver works{f': {told}' if told else ''}")


def _file_system(where: str) -> Iterator[Fact]:
    from cstore.kernel.statfs import SHARE_BLOCKS, filesystem_name, tells_types

    kind, has_types = filesystem_name(where), True
    try:
        has_types = tells_types(where)
    except OSError as error:
        told = f"cannot tell whether {where} is on a file system with d_type: {error.strerror}"
        yield Fact("file system", Level.WARNING, told, "run cstore doctor as its owner")
    if kind in _NETWORK:
        sentence = f"{where} is on {kind}, which supports neither the locks nor the marks of layers"
        yield Fact("file system", Level.PROBLEM, sentence, "put the graph root on a local disk")
    elif not has_types:
        yield Fact(
            "file system", Level.PROBLEM, f"{where} is on {kind} without d_type, so overlay cannot work on it",
            "create the file system again, for xfs with ftype=1",
        )  # fmt: skip
    else:
        shares = "; equal files can share their blocks" if kind in SHARE_BLOCKS else ""
        yield Fact("file system", Level.OK, f"{where} is on {kind}{shares}")


def _space(context: Context, where: str, room: os.statvfs_result) -> Iterator[Fact]:
    df, prune = command_of(context, "cstore df"), command_of(context, "cstore prune --dry-run")
    for noun, free, total, least in (
        ("bytes", room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize, _GIB),
        ("inodes", room.f_favail, room.f_files, 10_000),
    ):
        if total <= 0:  # btrfs has no fixed number of inodes
            continue
        sentence = f"{free} of {total} {noun} are free on the file system of {where}"
        remedy = f"see what can be deleted with {df} and {prune}"
        if free < total * _HARDLY_ANY and free < least:
            yield Fact("space", Level.PROBLEM, sentence, remedy)
        elif free < total * _LITTLE:
            yield Fact("space", Level.WARNING, sentence, remedy)
        else:
            yield Fact("space", Level.OK, sentence)


def _identity() -> Iterator[Fact]:
    from cstore.config import rootless_identity
    from cstore.store.rootless import missing_mappers, shortcomings

    identity = rootless_identity()
    if identity.inside or not identity.per_user:
        yield Fact("user", Level.OK, "root" if not identity.inside else "root of a user namespace")
        return
    for path, value, sentence in (
        ("/proc/sys/user/max_user_namespaces", "0", "user namespaces are disabled"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "only root may create user namespaces"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor restricts user namespaces"),
    ):
        if _text(path) == value:
            yield Fact("user", Level.PROBLEM, f"{sentence} ({path} is {value})", f"change {path} with sysctl, as root")
    if "NoNewPrivs:\t1" in _text("/proc/self/status"):
        yield Fact(
            "user", Level.WARNING, "this process may not gain privileges, so newuidmap cannot give it more than one ID",
            "start it without no_new_privs, or set ignore_chown_errors",
        )  # fmt: skip
    for program in missing_mappers():
        yield Fact("user", Level.PROBLEM, f"{program} is not installed", "install it: Debian's package is uidmap")
    lacking = shortcomings()
    for sentence in lacking:
        yield Fact("user", Level.PROBLEM, sentence)
    if not lacking:
        yield Fact("user", Level.OK, "an ordinary user with subordinate IDs")


def _settings(context: Context) -> Iterator[Fact]:
    """Report the mode of SELinux, and the configuration with its warnings."""
    enforcing = _text("/sys/fs/selinux/enforce")
    if enforcing:
        yield Fact("SELinux", Level.OK, "enforcing" if enforcing == "1" else "permissive")
    config = context.config
    yield Fact("configuration", Level.OK, f"read from {config.source}" if config.source else "no file; the defaults")
    for sentence in (*config.warnings, *config.write_warnings):
        yield Fact("configuration", Level.WARNING, sentence, "see cstore config --sources")


def _locks(context: Context) -> Iterator[Fact]:
    from cstore.fs.holder import holder_of

    layout = context.layout
    held = False
    for path in (layout.storage_lock, layout.layers_lock, layout.images_lock, layout.containers_lock):
        holder = holder_of(path)
        if holder:
            held = True
            yield Fact("locks", Level.OK, f"{path} is held by {holder}")
    if not held:
        yield Fact("locks", Level.OK, "no process holds a lock of the store")


def _mounts(context: Context) -> Iterator[Fact]:
    from cstore.check.leftovers import mount_findings
    from cstore.check.snapshot import StoreSnapshot

    look = f"see {command_of(context, 'cstore check')}"
    try:
        found = list(mount_findings(StoreSnapshot(context)))
    except CstoreError as error:
        yield Fact("mounts", Level.WARNING, error.message, error.hint or look)
        return
    for finding in found:
        yield Fact(
            "mounts",
            Level.WARNING,
            f"{finding.subject.kind} {finding.subject.id}: {finding.sentence}",
            look,
        )
    if not found:
        yield Fact("mounts", Level.OK, "mount counts match the mounts")


def _clock(context: Context) -> Iterator[Fact]:
    now = time.time()
    try:
        written = os.stat(context.layout.layers_lock).st_mtime
    except OSError:
        written = now
    if written > now + _CLOCK_MAY_DIFFER:
        yield Fact(
            "clock", Level.WARNING, f"the store was last written {written - now:.0f} seconds from now",
            "set the clock; until then, ages are wrong",
        )  # fmt: skip
    else:
        yield Fact("clock", Level.OK, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))


def _programs() -> Iterator[Fact]:
    """Report the versions of other tools, without having them open a store."""
    import shutil
    import subprocess

    for name in _PROGRAMS:
        path = shutil.which(name)
        if path is None:
            continue
        words = [path, "version" if name == "containers-storage" else "--version"]
        try:
            done = subprocess.run(words, capture_output=True, check=False, timeout=_SECONDS_FOR_A_PROGRAM)
            said = (done.stdout or done.stderr).decode("utf-8", "replace").strip().splitlines()
        except (OSError, subprocess.TimeoutExpired) as error:
            yield Fact("programs", Level.WARNING, f"{path} does not answer: {error}", "try it by hand")
            continue
        first = said[0] if said else "no version"  # unless a library prints another line first
        version = next((line for line in said if line.startswith(name)), first).removeprefix(f"{name}: ")
        yield Fact("programs", Level.OK, f"{name}: {version}")


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
