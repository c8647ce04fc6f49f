"""Let an ordinary user become root of a user namespace, in which files can have several owners.

Root inside has the IDs that /etc/subuid and /etc/subgid assign to the user, from 1 on. Mounts of a process in there are
seen only by itself and its children, and end with them. So a program that needs a mount is started inside, with `run`
(the command `unshare`); cstore and the Go tools in it use the same namespace.
"""

from __future__ import annotations

import os
import stat

from cstore import errors
from cstore.idmap import IDMap, IDRange
from cstore.kernel.namespaces import CAP_SETGID, CAP_SETUID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

_MAPPERS = ("newuidmap", "newgidmap")
_MAPPERS_NEED = (CAP_SETUID, CAP_SETGID)
_USUAL_COUNT = 65536
_entered: list[int] = []
"""The process that entered a namespace for itself alone: this one, or the one from which it was forked."""


def enter() -> None:
    """Enter a new user namespace in this process, which must have only one thread.

    If the user cannot have other IDs (see `obstacle`), only the caller's own exists inside, and archives with other
    owners are refused with a hint.

    Raises:
        SystemFailure: the kernel refuses unprivileged user namespaces.
    """
    from cstore.config.environment import mark_entered
    from cstore.kernel.namespaces import enter_user_namespace

    uid, gid = os.getuid(), os.getgid()
    granted = IDMap() if obstacle() else granted_ids(uid, gid)
    enter_user_namespace(granted.uids, granted.gids)
    mark_entered(uid, gid)
    _entered.append(os.getpid())


def enter_user_namespace() -> None:
    """Become root of a user namespace in this process, if an ordinary user needs that to write to a store.

    Only there can files have several owners. Open the store after this call, and call it before starting threads. It
    does nothing for root, or inside a namespace. Mounts are then seen only by this process and its children.

    Raises:
        SystemFailure: the kernel refuses user namespaces to ordinary users, or this process has threads.
    """
    from cstore.config import rootless_identity

    identity = rootless_identity()
    if identity.rootless and not identity.inside:
        enter()


def alone() -> bool:
    """Return whether this process has its own namespace, so that no other process sees its mounts."""
    return bool(_entered)


def refuse_unseen(layer: str, path: str) -> None:
    """Refuse a mount that would end with this process.

    Raises:
        Unsupported: this process entered a user namespace for itself alone.
    """
    from cstore.kernel.mountinfo import is_mountpoint

    if alone() and is_mountpoint(path):
        raise errors.Unsupported(
            "the mount would exist only for this command and end with it",
            hint=f"mount it in a lasting namespace: cstore unshare sh -c 'ls \"$(cstore mount {layer})\"'",
            go_text="cannot mount in rootless mode outside of a user namespace that lasts",
        )


def obstacle() -> str:
    """Return what prevents this process from having the IDs assigned to its user, as a clause; "" if nothing does."""
    from cstore.config import rootless_identity
    from cstore.config.subids import GROUP_FILE, USER_FILE, read_ranges
    from cstore.kernel.namespaces import own_ranges
    from cstore.kernel.process import may_ever_have, no_new_privileges

    absent = missing_mappers()
    if absent:
        return f"{' and '.join(absent)} (package uidmap) must be installed"
    if no_new_privileges():
        return (
            f"{' and '.join(_MAPPERS)} have no privileges under no-new-privileges: "
            "start the container or the service without that option"
        )
    if not all(may_ever_have(number) for number in _MAPPERS_NEED):
        return f"{' and '.join(_MAPPERS)} need CAP_SETUID and CAP_SETGID, which this container lacks"
    weak = [path for path in map(_found, _MAPPERS) if not _has_rights(path)]
    if weak:
        return f"{' and '.join(weak)} must be set-user-ID root, on a file system that is not mounted nosuid"
    identity = rootless_identity()
    if identity.inside:
        return ""
    here = own_ranges()
    for path, ranges in ((USER_FILE, here.uids), (GROUP_FILE, here.gids)):
        for start, count in read_ranges(str(identity.uid), path):
            if not any(r.container_id <= start and start + count <= r.container_id + r.size for r in ranges):
                return (
                    f"this container lacks the IDs {start} to {start + count - 1} that {path} assigns: "
                    "start it with more IDs"
                )
    return ""


def _has_rights(program: str) -> bool:
    """Return whether a program gets more privileges than the user who starts it."""
    try:
        if os.statvfs(program).f_flag & os.ST_NOSUID:
            return False
        return bool(os.stat(program).st_mode & stat.S_ISUID) or "security.capability" in os.listxattr(program)
    except OSError:
        return True  # unknown


def granted_ids(uid: int, gid: int) -> IDMap:
    """Return the IDs that the user can have inside: their own as 0, and those assigned to them."""
    from cstore.config.subids import GROUP_FILE, USER_FILE, packed, read_ranges

    uids, gids = [IDRange(0, uid, 1)], [IDRange(0, gid, 1)]
    if not missing_mappers():
        more_uids = packed(read_ranges(str(uid), USER_FILE), first=1)
        more_gids = packed(read_ranges(str(uid), GROUP_FILE), first=1)
        if more_uids and more_gids:
            uids, gids = [*uids, *more_uids], [*gids, *more_gids]
    return IDMap(tuple(uids), tuple(gids))


def shortcomings() -> list[str]:
    """Return why this user has only their own ID inside, as sentences; empty if they have more."""
    from cstore.config import rootless_identity
    from cstore.config.subids import GROUP_FILE, USER_FILE, line_to_add, read_ranges

    identity = rootless_identity()
    if identity.inside:
        return []
    reason = obstacle()
    sentences = [f"only your own user and group exist inside: {reason}"] if reason else []
    for path in (USER_FILE, GROUP_FILE):
        if not read_ranges(str(identity.uid), path):
            line = line_to_add(login_name(identity.uid), _USUAL_COUNT, path)
            sentences.append(
                f"{path} assigns no IDs to you, so only your own user and group exist inside; "
                f"ask the administrator to add the line {line}"
            )
    return sentences


def login_name(uid: int) -> str:
    """Return the name of a user as it may be in /etc/subuid."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def missing_mappers() -> list[str]:
    """Return the missing ones of the programs that grant IDs to users."""
    return [program for program in _MAPPERS if not _found(program)]


def _found(program: str) -> str:
    """Return the path of a program; "" if it is not installed."""
    paths = (os.path.join(directory, program) for directory in os.get_exec_path())
    return next((path for path in paths if os.access(path, os.X_OK)), "")


def run(words: Sequence[str]) -> NoReturn:
    """Replace this process by another program, inside a user namespace.

    Args:
        words: the program and its arguments; none for the user's shell.

    Raises:
        ProgramMissing, ProgramRefused: it cannot be started.
        SystemFailure: the kernel refuses unprivileged user namespaces.
    """
    import signal

    from cstore.config import rootless_identity
    from cstore.config.environment import read_environment

    words = tuple(words) or (read_environment().shell or "/bin/sh",)
    if not rootless_identity().inside:
        enter()
    for name in ("SIGPIPE", "SIGXFSZ"):  # Python ignores these, which the next program would inherit
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execvp(words[0], words)  # noqa: S606  - starting the user's program is the purpose
    except (FileNotFoundError, NotADirectoryError) as error:
        raise errors.ProgramMissing("run", words[0], error, hint="cstore looks for it in $PATH") from None
    except OSError as error:
        raise errors.ProgramRefused("run", words[0], error) from None
