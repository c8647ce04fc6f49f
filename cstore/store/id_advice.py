"""Owners that do not fit: which line in which file would make them fit.

An archive or a tree names a user or group for which there is no place: in the ID map that was asked for, or in the user
namespace of an ordinary user. Both are made of ranges in /etc/subuid and /etc/subgid, so that is where room is made.
"""

from __future__ import annotations

from cstore.contexts import contextmanager
from cstore.errors import CstoreError, IDNotMapped, InvalidIDMap
from cstore.idmap import format_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.idmap import IDMap, IDRange

_USUAL_COUNT = 65536


@contextmanager
def explained(id_map: IDMap) -> Iterator[None]:
    """Let an error about an owner say what to do about it. `id_map` is the one that owners are mapped by."""
    try:
        yield
    except CstoreError as error:
        from cstore.errors import EntryFailed

        owner = getattr(error, "owner", None)
        if isinstance(error, EntryFailed) and owner is not None:
            error.go_text = _peer_text(error.name, owner)
            error.hint = _advice(id_map, owner, mapped=error.needs == "the ID map") or error.hint
        elif isinstance(error, IDNotMapped) and error.side == "container":
            ranges = id_map.uids if error.noun == "UID" else id_map.gids
            error.hint = _room_in_map(error.noun, error.number, ranges)
        raise


def check_reachable(id_map: IDMap) -> None:
    """Make sure that a map leads to IDs that exist in this user namespace.

    Raises:
        InvalidIDMap: one of its ranges does not.
    """
    if not id_map:
        return
    from cstore.kernel.namespaces import in_user_namespace, own_ranges

    if not in_user_namespace():
        return
    here = own_ranges()
    for noun, ranges, present in (("UID", id_map.uids, here.uids), ("GID", id_map.gids, here.gids)):
        for part in ranges:
            last = part.host_id + part.size - 1
            if not (_covers(present, part.host_id) and _covers(present, last)):
                most = max(each.container_id + each.size for each in present) - 1
                raise InvalidIDMap(
                    format_ranges(ranges),
                    f"the {noun}s {part.host_id} to {last} do not all exist in this user namespace",
                    hint=f"map to {noun}s from 0 to {most}, which do",
                )


def _peer_text(name: str, owner: tuple[int, int]) -> str:
    uid, gid = owner
    return (
        f"potentially insufficient UIDs or GIDs available in user namespace (requested {uid}:{gid} for {name}): "
        'Check /etc/subuid and /etc/subgid if configured locally and run "podman system migrate": '
        f"lchown {name}: invalid argument"
    )


def _advice(id_map: IDMap, owner: tuple[int, int], *, mapped: bool) -> str:
    """What to do for each of user and group that is missing."""
    try:
        if mapped:
            have = id_map
        else:
            from cstore.kernel.namespaces import own_ranges

            have = own_ranges()
        kinds = (("UID", owner[0], have.uids), ("GID", owner[1], have.gids))
        missing = [kind for kind in kinds if not _covers(kind[2], kind[1])]
        reason = "" if mapped else _obstacle()
        if reason:
            numbers = " and ".join(f"{noun} {number}" for noun, number, _ in missing)
            without = "import without owners, with --storage-opt DRIVER.ignore_chown_errors=true"
            return f"{numbers} cannot be had: {reason}; or {without}"
        room = _room_in_map if mapped else _room_in_namespace
        found = [room(*kind) for kind in missing]
    except CstoreError:
        return ""  # a file that cannot be read is no reason to hide what really happened
    return "; ".join(found)


def _covers(ranges: Sequence[IDRange], number: int) -> bool:
    return not ranges or any(part.container_id <= number < part.container_id + part.size for part in ranges)


def _room_in_map(noun: str, number: int, ranges: Sequence[IDRange]) -> str:
    """How to make a map larger: by the line that it was made of, or by one more range."""
    from cstore.config.subids import line_to_add, owner_of

    path, option, enough = _file_of(noun), f"--{noun.lower()}map", f"a range that covers {number}"
    last = max(ranges, key=lambda part: part.container_id)
    name = owner_of(last.host_id, path)
    if name and number >= last.container_id + last.size:
        line = line_to_add(name, number + 1 - last.container_id - last.size, path)
        return f"add the line {line} to {path} for --sub{noun.lower()}map {name}, or {enough} to {option}"
    return f"add {enough} to {option}"


def _room_in_namespace(noun: str, number: int, ranges: Sequence[IDRange]) -> str:
    """How a user gets more IDs."""
    from cstore.config import rootless_identity
    from cstore.config.subids import line_to_add
    from cstore.store.rootless import login_name

    path = _file_of(noun)
    present = max(part.container_id + part.size for part in ranges)
    count = number + 1 - present if present > 1 else max(_USUAL_COUNT, number)
    line = line_to_add(login_name(rootless_identity().uid), count, path)
    return f"add the line {line} to {path}: {noun} {number} is needed"


def _obstacle() -> str:
    """What keeps this user from having more IDs, whatever /etc/subuid says; "" if nothing does."""
    from cstore.config import rootless_identity
    from cstore.store.rootless import obstacle

    if rootless_identity().uid == 0:
        return "start this container with more IDs"
    return obstacle()


def _file_of(noun: str) -> str:
    from cstore.config.subids import GROUP_FILE, USER_FILE

    return USER_FILE if noun == "UID" else GROUP_FILE
