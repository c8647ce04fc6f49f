"""User namespaces: whether this process is in one, and entering one without restarting the program."""

from __future__ import annotations

import errno
import os

from cstore import errors
from cstore.idmap import IDMap, IDRange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CAP_CHOWN = 0
CAP_DAC_OVERRIDE = 1
CAP_SETGID = 6
CAP_SETUID = 7
CAP_SYS_CHROOT = 18
CAP_SYS_ADMIN = 21
CAP_MKNOD = 27

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_ALL_IDS = 2**32 - 1
_FORBIDDEN = (
    "user namespaces may be restricted here: see the sysctls user.max_user_namespaces and kernel.*userns*, and the "
    "security options of the container; without one, cstore can only use a store without owners: "
    "--storage-driver vfs --storage-opt vfs.ignore_chown_errors=true"
)


def in_user_namespace() -> bool:
    """Return whether user IDs here differ from the host's: the map covers fewer than all IDs, or shifts them."""
    try:
        with open("/proc/self/uid_map", "rb") as table:
            rows = [tuple(int(field) for field in line.split()) for line in table]
    except OSError:
        return False  # a kernel without user namespaces
    return rows != [(0, 0, _ALL_IDS)]


def own_ranges() -> IDMap:
    """Return the IDs that exist in this process's user namespace, mapped to those of the parent namespace.

    Raises:
        SystemFailure: the maps cannot be read.
    """
    return IDMap(_read_map("/proc/self/uid_map"), _read_map("/proc/self/gid_map"))


def _read_map(path: str) -> tuple[IDRange, ...]:
    try:
        with open(path, "rb") as table:
            return tuple(IDRange(*map(int, line.split())) for line in table)
    except OSError as error:
        raise errors.SystemFailure("read", path, error) from error


def has_capability(number: int) -> bool:
    """Return whether this process has the capability (CAP_*) now, within its own user namespace."""
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"CapEff:"):
                    return bool(int(line.split()[1], 16) >> number & 1)
    except OSError:
        pass
    return os.geteuid() == 0


def enter_user_namespace(uid_ranges: Sequence[IDRange] = (), gid_ranges: Sequence[IDRange] = ()) -> None:
    """Move this process into new user and mount namespaces, in which it is user 0.

    `container_id` of a range is the ID inside, `host_id` the one outside. Without ranges, or with a single one that
    covers only the caller's own ID, the process may write the maps itself. Any other map is written by newuidmap(1) and
    newgidmap(1), or directly if the caller has the privilege. Later mounts are visible only in the new namespace.

    Call it before any thread starts. After a failure, the process may be in a namespace without IDs and must exit.

    Raises:
        SystemFailure: threads are running, user namespaces are forbidden, or the map was not granted.
    """
    uids = tuple(uid_ranges) or (IDRange(0, os.geteuid(), 1),)
    gids = tuple(gid_ranges) or (IDRange(0, os.getegid(), 1),)
    from cstore.kernel.mount import MS_PRIVATE, MS_REC, mount

    alone = _only_own(uids, os.geteuid()) and _only_own(gids, os.getegid())
    if alone:
        _unshare()
        _write_map("/proc/self/uid_map", uids)
        _write("/proc/self/setgroups", b"deny")  # the kernel requires this before an unprivileged group map
        _write_map("/proc/self/gid_map", gids)
    else:
        _enter_with_help(uids, gids)
    try:
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    except OSError as error:
        hint = "the ID map must cover ID 0 inside"
        raise errors.SystemFailure("become user 0 in", "the new user namespace", error, hint=hint) from None
    try:
        mount("", "/", flags=MS_REC | MS_PRIVATE)
    except OSError as error:
        raise errors.SystemFailure("use", "the new user namespace", error, hint=_FORBIDDEN) from None


def _only_own(ranges: Sequence[IDRange], own: int) -> bool:
    return len(ranges) == 1 and ranges[0].size == 1 and ranges[0].host_id == own


def _unshare() -> None:
    from cstore.kernel.libc import call

    try:
        call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
    except OSError as error:
        threads = error.errno == errno.EINVAL
        hint = "it must be entered before any thread is started" if threads else _FORBIDDEN
        raise errors.SystemFailure("enter", "a user namespace", error, hint=hint) from None


def _write_map(path: str, ranges: Sequence[IDRange]) -> None:
    lines = [f"{part.container_id} {part.host_id} {part.size}\n" for part in ranges]
    _write(path, "".join(lines).encode())  # in one write: the kernel accepts a map only once


def _write(path: str, data: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
    except OSError as error:
        raise errors.SystemFailure("write", path, error) from None


def _enter_with_help(uids: Sequence[IDRange], gids: Sequence[IDRange]) -> None:
    """Unshare while a child process outside the namespace waits to write the maps."""
    ready_read, ready_write = os.pipe()
    answer_read, answer_write = os.pipe()
    pid, parent = -1, os.getpid()
    try:
        pid = os.fork()
        if pid == 0:
            os.close(ready_write)
            os.close(answer_read)
            _map_from_outside(parent, ready_read, answer_write, uids, gids)
        os.close(answer_write)
        answer_write = -1
        _unshare()
        os.write(ready_write, b"1")
        complaint = b""
        while part := os.read(answer_read, 4096):
            complaint += part
    finally:
        for fd in (ready_read, ready_write, answer_read, answer_write):
            if fd >= 0:
                os.close(fd)
        if pid > 0:
            _, status = os.waitpid(pid, 0)
    if status:
        reason = complaint.decode(errors="replace").strip() or "newuidmap or newgidmap failed without a message"
        refused = "see the lines of this user in /etc/subuid and /etc/subgid"
        hint = f"{reason}; {refused if 'not allowed' in reason else 'the system or the container forbids it'}"
        raise errors.SystemFailure("map IDs into", "a user namespace", PermissionError(errno.EPERM, reason), hint=hint)


def _map_from_outside(pid: int, ready: int, answer: int, uids: Sequence[IDRange], gids: Sequence[IDRange]) -> None:
    """Write the maps of process `pid`; runs in the child that stays outside."""
    status = 1
    try:
        if os.read(ready, 1) == b"1":
            if os.geteuid() == 0 and has_capability(CAP_SETUID):
                _write_map(f"/proc/{pid}/uid_map", uids)
                _write_map(f"/proc/{pid}/gid_map", gids)
            else:
                _run_mapper("newuidmap", pid, uids, answer)
                _run_mapper("newgidmap", pid, gids, answer)
            status = 0
    except errors.SystemFailure as error:
        os.write(answer, error.message.encode(errors="replace"))
    finally:
        os._exit(status)


def _run_mapper(program: str, pid: int, ranges: Sequence[IDRange], answer: int) -> None:
    words = [program, str(pid)]
    for part in ranges:
        words += [str(part.container_id), str(part.host_id), str(part.size)]
    child = os.fork()
    if child == 0:
        try:
            os.dup2(answer, 1)
            os.dup2(answer, 2)
            os.execvp(program, words)  # noqa: S606  - a fixed program with numeric arguments; no shell is wanted
        except OSError as error:
            os.write(answer, f"{program}: {os.strerror(error.errno or 0)}".encode())
        finally:
            os._exit(127)
    _, status = os.waitpid(child, 0)
    if status:
        os._exit(1)  # the program has written the reason to the same pipe
