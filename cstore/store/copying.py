"""Copy files and trees into and out of layers; a layer's paths never lead out of the layer (cli 9).

A layer is mounted during the copy. A source that has, or is above, a composefs image is read by name instead, which
does not need root. A path in a layer is resolved as in a process whose root it is: links and dots stop at its top.
Owners are mapped in by the source's ID map, and mapped out by the target's.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from cstore import presence
from cstore.errors import CstoreError, InvalidOption, LayerUnknown, SystemFailure
from cstore.fs.closing import opened
from cstore.fs.scoped import open_in_root
from cstore.idmap import IDENTITY
from cstore.store.lookup import container_of_layer, find_layer, get_layer
from cstore.store.mounting import mounted_meanwhile
from cstore.store.reading import Reader
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from cstore.fs.tree.copy_entries import Owner, Plan
    from cstore.fs.tree.merge import Opener
    from cstore.idmap import IDMap
    from cstore.store.context import Context

_LOOK = os.O_PATH | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_PARENT, _NEW_DIRECTORY = 0o700, 0o755
"""The modes of parent directories created for a file, and of directories created for a tree, as with the Go tool."""
_ROOT = (0, 0)
"""The owner of created parent directories."""


class LayerPath(Value):
    """A path in a layer or, with `layer` "", on the host; `item`, if any, is the layer's name in messages."""

    path: str
    layer: str = ""
    item: str = ""

    @property
    def side(self) -> str:
        """What stands before a path there in messages."""
        return f"{self.item or self.layer}:" if self.layer else ""


class _Side(Value):
    """An open tree: its root, the prefix of its paths in messages, and its ID map.

    `shown` are the directories and images of a tree that is read by name, which has no root descriptor.
    """

    root_fd: int
    name: str
    id_map: IDMap
    shown: tuple[str, ...] = ()


class _Making(Value):
    """The target side of a copy, the owner of all copies (None: as in the source), a callback, and whether to sync."""

    into: _Side
    fixed: tuple[int, int] | None
    progress: Callable[[int], None] | None
    sync: bool

    def owner_from(self, inside: IDMap) -> Owner:
        """Return how owners change in a copy from a side with that map."""

        def owner(uid: int, gid: int) -> tuple[int, int]:
            return self.into.id_map.to_host(*(self.fixed or inside.to_container(uid, gid)))

        return owner


def copy(
    context: Context,
    sources: Sequence[LayerPath],
    target: LayerPath,
    owner: tuple[int, int] | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Copy each source to `target`, in order; stop at the first failure.

    A file becomes `target` itself, in one step, or is copied into it under its own name if `target` is a directory. The
    contents of a directory are merged into `target`. A link at the end of a source's path is followed. On the host, a
    file is written into a device or a pipe, and to the target of a link, as with `cp`; in a layer, these are replaced.

    Args:
        context: the store.
        sources: what to copy.
        target: the destination; missing parent directories are created.
        owner: user and group of all copies, as seen inside the target; None for those of the source.
        progress: called repeatedly with the bytes of files copied so far from the current directory.

    Raises:
        LayerUnknown: there is no such layer.
        ReadOnlyStore: the target belongs to an additional store.
        InvalidOption: a directory would be copied into itself, or a directory's contents over something on the host
            that is not a directory.
        IDNotMapped: an ID map lacks an owner.
        SystemFailure: a file could not be copied. Files of a tree that were copied before it stay.
    """
    with _opened(context, target, writing=True) as into:
        for source in sources:
            with _source_side(context, source, target, into) as out_of:
                _copy(source, out_of, target, _Making(into, owner, progress, context.sync))
        if context.sync:
            from cstore.fs.atomic import sync_filesystem

            path = f"/proc/self/fd/{into.root_fd}/." if target.layer else target.path
            if not target.layer and not presence.is_directory(path):
                path = os.path.dirname(os.path.abspath(path))
            sync_filesystem(path)


# ── the two sides ──


@contextmanager
def _opened(context: Context, layer_path: LayerPath, *, writing: bool) -> Iterator[_Side]:
    if not layer_path.layer:
        with opened("/", _FOLDER) as root_fd:
            yield _Side(root_fd, "", IDENTITY)
        return
    tables, ref = Reader(context), layer_path.layer
    try:
        layer = get_layer(tables, ref)
    except LayerUnknown as error:
        error.go_text = f'error finding layer "{ref}": {error.go_text}'
        raise
    tree: AbstractContextManager[str]
    if writing or layer.id in tables.layers:
        container = container_of_layer(tables, layer.id)
        tree = mounted_meanwhile(context, layer.id)
        id_map = layer.id_map or (IDENTITY if container is None else container.id_map)
    else:
        tree, id_map = context.driver.tree_of(layer.id), layer.id_map
    with tree as path, opened(path, _FOLDER) as root_fd:
        yield _Side(root_fd, layer_path.side, id_map)


@contextmanager
def _source_side(context: Context, source: LayerPath, target: LayerPath, into: _Side) -> Iterator[_Side]:
    """Yield the side of a source; the target's if both are in one layer, which is mounted only once."""
    if source.layer == target.layer:
        yield into
        return
    if source.layer and target.layer:
        one, other = (find_layer(Reader(context), ref) for ref in (source.layer, target.layer))
        if one is not None and other is not None and one.id == other.id:
            yield into.with_(name=source.side)
            return
    side = _shown(context, source) if source.layer else None
    if side is not None:
        yield side
        return
    with _opened(context, source, writing=False) as side:
        yield side


def _shown(context: Context, source: LayerPath) -> _Side | None:
    """Return the side of a source that is read by name; None if it needs a mount, or is a directory anyway.

    A container whose owners differ from its layer's needs a mount.
    """
    from cstore.drivers.inspection import open_inspector

    tables = Reader(context)
    layer = find_layer(tables, source.layer)
    if layer is None:
        return None
    container = container_of_layer(tables, layer.id)
    if container is not None and container.id_map != layer.id_map:
        return None
    roots = tuple(open_inspector(context.driver, context.driver_place).seen_roots(layer.id))
    return _Side(-1, source.side, layer.id_map, roots) if roots else None


# ── copying ──


class _Found(NamedTuple):
    """A source that is not a directory: open for reading, with what creates a copy of it (see `place_file`)."""

    fd: int
    copy: int | Callable[[Plan, int, str], None]


def _copy(source: LayerPath, out_of: _Side, target: LayerPath, making: _Making) -> None:
    from_name, to_name = out_of.name + source.path, making.into.name + target.path
    owner = making.owner_from(out_of.id_map)
    fds: list[int] = []
    try:
        found: int | Opener | _Found
        if out_of.shown:
            found = _find_shown(source, out_of, from_name)
        else:
            fds.append(_open_source(source, out_of, from_name))
            found = fds[0] if stat.S_ISDIR(os.fstat(fds[0]).st_mode) else _Found(fds[0], fds[0])
        if not isinstance(found, _Found):
            _copy_tree(found, from_name, target, making, owner)
            return
        fds.append(found.fd)
        _copy_file(found, source, from_name, target, making, owner)
    except CstoreError as error:
        error.go_text = f'error copying "{from_name}" to "{to_name}": {error.go_text}'
        raise
    finally:
        list(map(os.close, set(fds)))


def _find_shown(source: LayerPath, side: _Side, name: str) -> Opener | _Found:
    """Find a source that is read by name: a copier for a file, or a walker for a directory."""
    from cstore.archive.copy_out import ShownSource, ShownTree

    try:
        with ShownTree(side.shown) as tree:
            path = tree.resolve(_inside(source))
            mode = tree.status(path).st_mode
            if stat.S_ISDIR(mode):
                return lambda plan: ShownSource(plan, side.shown, path)
            if stat.S_ISSOCK(mode):
                raise InvalidOption(f"{name} is a socket, which cannot be copied")
            fd = tree.open(path) if stat.S_ISREG(mode) else os.open(os.devnull, _LOOK)
    except OSError as error:
        raise SystemFailure("read", name, error) from None
    return _Found(fd, lambda plan, at, new: ShownSource(plan, side.shown, path).make(path, at, new))


def _open_source(source: LayerPath, side: _Side, name: str) -> int:
    """Open a source for reading, but a pipe or a device only by path, because reading would change it."""
    try:
        fd = open_in_root(side.root_fd, _inside(source), _LOOK)
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) and not stat.S_ISSOCK(mode):
            return fd
        try:
            if stat.S_ISSOCK(mode):
                raise InvalidOption(f"{name} is a socket, which cannot be copied")
            return os.open(
                f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC
            )  # this file, even if another one has its name now
        finally:
            os.close(fd)
    except OSError as error:
        raise SystemFailure("read", name, error) from None


def _inside(layer_path: LayerPath) -> bytes:
    """Return the path from the root of its side; one on the host may be relative."""
    path = layer_path.path if layer_path.layer else os.path.join(os.getcwd(), layer_path.path)
    return os.fsencode(path) or b"/"


def _copy_tree(found: int | Opener, name: str, target: LayerPath, making: _Making, owner: Owner) -> None:
    from cstore.fs.tree.merge import merge_tree

    where = making.into.name + target.path
    new_owner = making.into.id_map.to_host(*(making.fixed or _ROOT))
    target_fd = _open_folder(_inside(target), making.into, _NEW_DIRECTORY, new_owner, where)
    try:
        if isinstance(found, int):
            _refuse_inside(found, target_fd, name, where)
        merge_tree(name, found, target_fd, owner, making.progress, spare=None if target.layer else where)
    except CstoreError as error:
        error.hint = "; ".join(filter(None, [error.hint, f"files copied before it stay in {where}"]))
        raise
    finally:
        os.close(target_fd)


def _copy_file(found: _Found, source: LayerPath, name: str, target: LayerPath, making: _Making, owner: Owner) -> None:
    """Copy a file to `target` or, if that is a directory, into it under its own name."""
    from cstore.fs.tree.merge import place_file

    into = making.into
    with suppress(OSError):
        os.close(open_in_root(into.root_fd, _inside(target), _LOOK | os.O_DIRECTORY))
        own = os.path.basename(source.path.rstrip("/"))
        if own not in {"", ".", ".."}:
            target = target.with_(path=os.path.join(target.path or "/", own))
    if not target.layer:
        from cstore.store.host_files import place_through

        if presence.is_directory(target.path):
            raise _is_directory(target.path)
        place = target.path.rstrip("/") or "/"
        if place_through(found.fd, found.copy, name, place, owner, sync=making.sync):
            return
    where = into.name + target.path
    path = _inside(target).rstrip(b"/")
    folder, _, last = path.rpartition(b"/")
    if last in {b"", b".", b".."}:
        raise _is_directory(where)
    folder_fd = _open_folder(folder or b"/", into, _NEW_PARENT, into.id_map.to_host(*_ROOT), where)
    try:
        with suppress(OSError):
            if stat.S_ISDIR(os.stat(last, dir_fd=folder_fd, follow_symlinks=False).st_mode):
                raise _is_directory(where)
        place_file(name, found.copy, folder_fd, os.fsdecode(last), owner, sync=making.sync)
    finally:
        os.close(folder_fd)


def _is_directory(where: str) -> SystemFailure:
    refused = IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return SystemFailure("overwrite", where, refused, hint="give a file name")


def _open_folder(path: bytes, side: _Side, mode: int, owner: tuple[int, int], where: str) -> int:
    """Open a directory and create missing parts. Every part is resolved within the side's root."""
    parts = [part for part in path.split(b"/") if part]
    here = os.open(".", _FOLDER, dir_fd=side.root_fd)
    try:
        for count, part in enumerate(parts, 1):
            there = _step(side.root_fd, here, b"/".join(parts[:count]), part, mode, owner)
            os.close(here)
            here = there
    except OSError as error:
        os.close(here)
        raise SystemFailure("create the directory for", where, error) from None
    return here


def _step(root_fd: int, above: int, path: bytes, part: bytes, mode: int, owner: tuple[int, int]) -> int:
    try:
        return open_in_root(root_fd, path, _FOLDER)
    except FileNotFoundError:
        os.mkdir(part, 0o700, dir_fd=above)
    made = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
    try:
        os.fchown(made, *owner)
        os.fchmod(made, mode)
    except OSError:
        os.close(made)
        raise
    return made


def _refuse_inside(source_fd: int, target_fd: int, source: str, target: str) -> None:
    """Refuse to copy a directory into itself or below, which would never end."""
    wanted = os.fstat(source_fd)
    here = os.dup(target_fd)
    try:
        while not os.path.samestat(wanted, os.fstat(here)):
            above = os.open("..", _LOOK | os.O_DIRECTORY, dir_fd=here)
            end = os.path.samestat(os.fstat(above), os.fstat(here))
            os.close(here)
            here = above
            if end:
                return
    except OSError as error:
        raise SystemFailure("examine", target, error) from None
    finally:
        os.close(here)
    raise InvalidOption(f"{source} cannot be copied to {target}, which is inside it", hint="copy it elsewhere first")
