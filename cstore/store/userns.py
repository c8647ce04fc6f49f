"""Choose ID maps automatically: ranges that no other container has, as large as the image needs (semantics 8).

Call `choose_map` inside `choosing`, which lasts until the container is recorded, so that no two processes choose the
same ranges.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from cstore.errors import InvalidOption, LayerUnknown, NoFreeIDs, SystemFailure
from cstore.fs import within
from cstore.idmap import IDENTITY, IDMap, IDRange
from cstore.records.layers import end_of, follow
from cstore.store.lookup import find_layer
from cstore.store.session import Trusted
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cstore.records.model import Image
    from cstore.store.context import Context
    from cstore.store.lookup import Tables

_NOBODY = 65534
_UNCOUNTED = frozenset({b"nobody", b"nogroup"})
_LONGEST_FILE = 16 << 20

Span = tuple[int, int]
"""The first ID, and the ID after the last."""


class AutoMap(Value):
    """The request for an automatic map. 0 and "" mean the default.

    Attributes:
        size: the number of IDs; by default what the image needs, within the two limits.
        initial_size: the minimum before the image is examined; 1 by default.
        min_size, max_size: the limits; by default those of the configuration.
        passwd_file, group_file: files to read instead of the image's own.
        additional: ranges to add unchanged.
    """

    size: int = 0
    initial_size: int = 0
    min_size: int = 0
    max_size: int = 0
    passwd_file: str = ""
    group_file: str = ""
    additional: IDMap = IDENTITY


@contextmanager
def choosing(context: Context) -> Iterator[None]:
    """Hold the lock for choosing ID ranges, from the choice until the container is recorded.

    It comes before the locks of all records.

    Raises:
        LockTimeout: another process held it for longer than the store's lock policy allows.
    """
    from cstore.fs.lockfile import LockFile
    from cstore.store.session import make_roots

    make_roots(context.layout)
    with LockFile(context.layout.userns_lock).exclusive(context.lock_policy):
        yield


def choose_map(context: Context, request: AutoMap, image: Image | None = None) -> IDMap:
    """Choose ranges that no container has. Call it inside `choosing`.

    Raises:
        InvalidOption: the image needs more IDs than a map may have.
        NoFreeIDs: there are not enough free IDs.
        LayerUnknown: a layer of the image is missing.
    """
    tables = Trusted(context)
    size = request.size or _size(context, tables, request, image)
    free_uids, free_gids = _available(context)
    taken = [container.id_map for container in tables.containers]
    more = request.additional
    try:
        return IDMap(
            _choose("UIDs", size, _without(free_uids, _outside(used.uids for used in taken)), more.uids),
            _choose("GIDs", size, _without(free_gids, _outside(used.gids for used in taken)), more.gids),
        )
    except NoFreeIDs as error:
        from cstore.config.subids import GROUP_FILE, USER_FILE, line_to_add

        path = USER_FILE if error.noun == "UIDs" else GROUP_FILE
        line = line_to_add(context.config.userns_owner, error.wanted - error.free, path)
        error.hint = f"add the line {line} to {path}, request a smaller map, or delete containers"
        raise


# ── size ──


def _size(context: Context, tables: Tables, request: AutoMap, image: Image | None) -> int:
    least, most = context.config.auto_userns_sizes
    least, most = request.min_size or least, request.max_size or most
    size = max(least, request.initial_size or 1)
    if image is not None and image.layer:
        found, problem = follow(lambda layer: find_layer(tables, layer), image.layer)
        end = end_of(found, image.layer)
        if problem and end not in found:
            error = LayerUnknown(end)
            error.go_text = f'cannot find layer "{end}"'
            raise error
        # One more than the highest ID among the owners of files in the image and in its user database.
        owners = [number for layer in found.values() for number in (*layer.uids, *layer.gids)]
        named = [number for number in _named_ids(context, request, image.layer) if number != _NOBODY]
        size = max(size, 1 + max((*owners, *named), default=-1))
    if size > most:
        raise InvalidOption(
            f"the image needs a user namespace of {size} IDs, but an automatic one may have {most} at most",
            hint="raise auto-userns-max-size in storage.conf, or request a size",
            go_text=f"the container needs a user namespace with size {size} that is bigger than the maximum value "
            f"allowed with userns=auto {most}",
        )
    return size


def _named_ids(context: Context, request: AutoMap, top: str) -> list[int]:
    """Return the IDs in the user database of the image, reading its tree without a visible mount."""
    if request.passwd_file and request.group_file:
        return [*_users(_read(request.passwd_file)), *_groups(_read(request.group_file))]
    with context.driver.tree_of(top) as tree:
        try:
            root = within.open_folder(tree)
        except OSError as error:
            raise SystemFailure("examine", tree, error) from error
        try:
            passwd = _read(request.passwd_file) if request.passwd_file else _read_inside(root, b"etc/passwd")
            group = _read(request.group_file) if request.group_file else _read_inside(root, b"etc/group")
        finally:
            os.close(root)
    return [*_users(passwd), *_groups(group)]


def _users(text: bytes) -> Iterator[int]:
    """Yield user and group of each line `NAME:PASSWORD:UID:GID:…`."""
    for name, *fields in _rows(text):
        if name not in _UNCOUNTED and len(fields) >= 3:
            yield from _numbers(fields[1:3])


def _groups(text: bytes) -> Iterator[int]:
    """Yield the group of each line `NAME:PASSWORD:GID:…`."""
    for name, *fields in _rows(text):
        if name not in _UNCOUNTED and len(fields) >= 2:
            yield from _numbers(fields[1:2])


def _rows(text: bytes) -> Iterator[list[bytes]]:
    return (line.strip().split(b":") for line in text.splitlines() if line.strip())


def _numbers(fields: Iterable[bytes]) -> Iterator[int]:
    return (int(field) for field in fields if field.isdigit() and len(field) <= 10)


def _read_inside(root: int, path: bytes) -> bytes:
    """Read a file of an image; b"" if there is none. Links stay inside the image, and only regular files are read."""
    from cstore.fs.scoped import open_in_root

    try:
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return b""
    return _contents(fd)


def _read(path: str) -> bytes:
    try:
        return _contents(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:
        raise SystemFailure("read", path, error) from error


def _contents(fd: int) -> bytes:
    import stat

    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        with open(fd, "rb", closefd=False) as file:
            return file.read(_LONGEST_FILE)
    finally:
        os.close(fd)


# ── ranges ──


def _available(context: Context) -> tuple[list[Span], list[Span]]:
    """Return the user and group IDs for containers: those assigned to an owner or, if rootless, of this namespace.

    ID 0 of a user namespace is the user's own, and is not used.
    """
    from cstore.config import rootless_identity
    from cstore.config.subids import GROUP_FILE, USER_FILE, packed, read_ranges
    from cstore.kernel.namespaces import in_user_namespace, own_ranges

    if in_user_namespace():
        found = own_ranges()
        return _merged(_inside(found.uids), least=1), _merged(_inside(found.gids), least=1)
    owner = context.config.userns_owner
    uids, gids = packed(read_ranges(owner, USER_FILE), first=1), packed(read_ranges(owner, GROUP_FILE), first=1)
    if rootless_identity().rootless:
        return _merged(_inside(uids)), _merged(_inside(gids))
    return _merged(_outside([uids])), _merged(_outside([gids]))


def _inside(ranges: Iterable[IDRange]) -> list[Span]:
    return [(part.container_id, part.container_id + part.size) for part in ranges]


def _outside(maps: Iterable[Sequence[IDRange]]) -> list[Span]:
    return [(part.host_id, part.host_id + part.size) for ranges in maps for part in ranges]


def _choose(noun: str, size: int, free: list[Span], additional: Sequence[IDRange]) -> tuple[IDRange, ...]:
    """Map each ID below `size` to the lowest free one, except for those in `additional`."""
    inside = _without([(0, size)], _inside(additional))
    outside = _without(free, _outside([additional]))
    wanted, left = (sum(end - start for start, end in spans) for spans in (inside, outside))
    if wanted > left:
        raise NoFreeIDs(noun, wanted, left)
    return (*_paired(inside, outside), *additional)


def _paired(inside: Iterable[Span], outside: Iterable[Span]) -> Iterator[IDRange]:
    """Pair two lists of spans, splitting at the ends of either."""
    pool = iter(outside)
    low, high = 0, 0
    for start, end in inside:
        while start < end:
            if low == high:
                low, high = next(pool)
            count = min(end - start, high - low)
            yield IDRange(start, low, count)
            start, low = start + count, low + count  # noqa: PLW2901  - the rest of the span


def _without(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """Return sorted spans without the taken IDs."""
    cuts = _merged(taken)
    result = []
    for first, end in spans:
        start = first
        for low, high in cuts:
            if low < end and high > start:
                if start < low:
                    result.append((start, low))
                start = high
        if start < end:
            result.append((start, end))
    return result


def _merged(spans: Iterable[Span], least: int = 0) -> list[Span]:
    """Sort spans, join adjacent ones, and leave out IDs below `least`."""
    result: list[Span] = []
    for first, end in sorted(spans):
        start = max(first, least)
        if start >= end:
            continue
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result
