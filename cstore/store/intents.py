"""Transactions: the creation or removal of several items, noted in a journal before it begins, all or none.

    GRAPH/cstore-intents/<number>     0600  a line of JSON for each step; locked for as long as its owner lives

Containers with their layers have a separate journal, because one lock covers their creation. Here, other work goes on
between the steps. If the lock of an intent is free, its owner has died, and the next writer concludes it:

    {"layers": [ID, ...]}             go, unless something needs them, or a living owner counts on them
    {"free": [ID, ...]}               likewise, and unless they have a name or are mounted by then
    {"uses": ID}                      a layer that the owner counts on and did not make
    {"image": ID}                     made by the owner: goes, unless somebody has named it, or uses it
    {"data": ID}                      the data of an image that was to go: they go, if its record has gone
    {"mounted": ID, "count": N}       a layer that the owner mounted for itself, when N mounts of it were counted
    {"names": [...], "of": ID}        to be given to the image, once there is
    {"complete": true}                all items are there: nothing of them goes, and the names are given

Other programs do not know the journal, and may use or remove the items: nothing that is referenced is ever removed.
"""

from __future__ import annotations

import errno
import os

from cstore.contexts import suppress
from cstore.errors import CstoreError, ForeignThing, SystemFailure
from cstore.fs import within
from cstore.fs.atomic import sync_directory
from cstore.fs.lockfile import make_directory
from cstore.kernel.locks import conflicting_process, take
from cstore.store.places import ItemKind
from cstore.traces import trace
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from cstore.layout import Layout
    from cstore.store.context import Context
    from cstore.store.session import Writer


class Intent:
    """The journal of one transaction. If its owner dies before `done`, the next writer concludes it.

    As a context manager, it is done at the end of its block, and given up if the block raises.

    Nothing is on disk before the first step is noted.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._path, self._fd = "", -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.done()
        else:
            self.give_up()

    def note(self, **step: Any) -> None:
        """Add a step, before it is taken.

        Raises:
            SystemFailure: it cannot be written; do not take it.
        """
        from cstore.gojson import encode

        if self._fd < 0:
            self._begin()
        line = encode(step).rstrip(b"\n") + b"\n"
        try:
            written = os.write(self._fd, line)
            if self._context.sync:
                os.fdatasync(self._fd)
        except OSError as error:
            raise SystemFailure("write", self._path, error) from None
        if written < len(line):
            raise SystemFailure("write", self._path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def note_if_room(self, **step: Any) -> None:
        """Add a step that only deletes. On a full disk it is not noted, because the deletion makes room."""
        with suppress(SystemFailure):
            self.note(**step)

    def _begin(self) -> None:
        directory = self._context.layout.intents
        make_directory(directory, sync=self._context.sync)
        while self._fd < 0:
            self._path = os.path.join(directory, str(int.from_bytes(os.urandom(4), "little")))
            try:
                fd = _open(self._path, os.O_CREAT | os.O_EXCL | os.O_APPEND)
                if take(fd, self._path):
                    self._fd = fd
            except FileExistsError:
                continue
            except OSError as error:
                raise SystemFailure("write", self._path, error) from None
        if self._context.sync:
            sync_directory(directory)

    def give_up(self) -> None:
        """Take back what was done so far, or finish it if it is complete; what resists is left to the next writer."""
        from cstore.store.session import writing

        if self._fd >= 0:
            self.leave()
            with suppress(CstoreError), writing(self._context, ItemKind.LAYERS, ItemKind.IMAGES, freeing=True):
                pass  # the next writer concludes it, which is this process

    def done(self) -> None:
        """Forget it: everything is there, or nothing."""
        if self._fd >= 0:
            with suppress(OSError):
                within.unlink(self._path)  # one that stays, or that a power cut brings back, finds nothing to do
        self.leave()

    def leave(self) -> None:
        """Leave it to the next writer."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with suppress(OSError):
                os.close(fd)


def begin(context: Context) -> Intent:
    """Begin a transaction. Concludes those of dead processes first, so that this one uses no item that they delete."""
    from cstore.store.session import writing

    if are_left(context.layout):
        with writing(context, ItemKind.LAYERS, ItemKind.IMAGES, freeing=True):
            pass
    return Intent(context)


class _Found(Value):
    """An intent: its file and its steps; `fd` locks it, or is -1 if its owner is alive."""

    path: str
    fd: int
    steps: tuple[dict[str, Any], ...]

    def values(self, key: str) -> list[str]:
        """The values of `key` in its steps."""
        return [str(step[key]) for step in self.steps if key in step]

    def layers(self, *keys: str) -> list[str]:
        """The layers that its steps list under some keys."""
        lists = (step.get(key) for step in self.steps for key in keys)
        return [str(layer) for found in lists if isinstance(found, list) for layer in found]


def are_left(layout: Layout) -> bool:
    """Whether there is an intent without an owner. Cheap, and needs no lock."""
    return any(map(_has_no_owner, _paths(layout)))


def _has_no_owner(path: str) -> bool:
    try:
        fd = _open(path)
    except (OSError, ForeignThing):
        return False
    try:
        return conflicting_process(fd, exclusive=True) is None
    except OSError:
        return False
    finally:
        os.close(fd)


def conclude(writer: Writer) -> None:
    """Conclude what dead owners began. Under the locks of layers and images. What resists is for the next writer."""
    found = _find(writer.layout)
    try:
        claimed = {
            layer for each in found if each.fd < 0 for layer in (*each.layers("layers", "free"), *each.values("uses"))
        }
        for each in found:
            if each.fd >= 0:
                with suppress(CstoreError):
                    _settle(writer, each, claimed)
                    with suppress(OSError):
                        within.unlink(each.path)
    finally:
        for each in found:
            _close(each)


def _paths(layout: Layout) -> list[str]:
    names = within.names_in(*os.path.split(layout.intents))
    return [os.path.join(layout.intents, name) for name in names if name.isdigit()]


def _open(path: str, flags: int = 0) -> int:
    top, folder = os.path.split(os.path.dirname(path))
    return within.open_file(top, f"{folder}/{os.path.basename(path)}", os.O_RDWR | flags)


def _find(layout: Layout) -> list[_Found]:
    found = []
    for path in _paths(layout):
        try:
            fd = _open(path)
        except (OSError, ForeignThing):
            continue
        try:
            steps = _steps(fd)
        except OSError:
            os.close(fd)  # it cannot be read now
            continue
        free = False
        with suppress(OSError):
            free = take(fd, path)
        found.append(_Found(path, fd if free else -1, steps))
    return found


def _steps(fd: int) -> tuple[dict[str, Any], ...]:
    """Read steps, up to the first that is not whole: it was not taken."""
    from cstore.records.scanner import load

    steps = []
    with suppress(ValueError):
        for line in os.pread(fd, 1 << 24, 0).split(b"\n")[:-1]:
            step = load(line)
            if not isinstance(step, dict):
                break
            steps.append(step)
    return tuple(steps)


def _close(found: _Found) -> None:
    if found.fd >= 0:
        os.close(found.fd)


def _settle(writer: Writer, intent: _Found, claimed: set[str]) -> None:
    from cstore.store.removal import discard_image_data

    trace("settled the unfinished work of a dead process: %r", intent.steps)
    _unmount(writer, intent.steps)
    if intent.values("complete"):
        _give_names(writer, intent.steps)
        return
    for image in intent.values("image"):
        _drop_image(writer, image)
    for image in (*intent.values("image"), *intent.values("data")):
        if image not in writer.images:
            discard_image_data(writer, image)
    going = [*intent.layers("layers"), *(layer for layer in intent.layers("free") if _is_free(writer, layer))]
    _drop_unneeded(writer, [layer for layer in going if layer not in claimed])


def _is_free(writer: Writer, layer: str) -> bool:
    """Whether a layer has no name and is not mounted. Otherwise, something may need it now."""
    record = writer.layers.get(layer)
    with writer.mounts() as mounts:
        mounted = mounts.get(layer)
    return record is not None and not record.names and (mounted is None or not mounted.count)


def _unmount(writer: Writer, steps: Sequence[dict[str, Any]]) -> None:
    """Take back mounts, unless the count says that they were taken back, or never made."""
    from cstore.store.mounting import count_down

    for step in (step for step in steps if "mounted" in step):
        layer = str(step["mounted"])
        with writer.mounts() as mounts:
            recorded = mounts.get(layer)
            if recorded is None or recorded.count >= int(step.get("count", 1)):
                count_down(writer.context, mounts, layer, force=False)


def _give_names(writer: Writer, steps: Sequence[dict[str, Any]]) -> None:
    from cstore.ids import unique_names

    for step in steps:
        image = writer.images.get(str(step.get("of", "")))
        names = step.get("names")
        if image is not None and isinstance(names, list):
            writer.images.assign_names(image.id, unique_names((*map(str, names), *image.names)))
    writer.save(ItemKind.IMAGES)


def _drop_image(writer: Writer, image: str) -> None:
    record = writer.images.get(image)
    if record is None or record.names or any(container.image == image for container in writer.containers):
        return
    writer.images.remove(image)
    writer.save(ItemKind.IMAGES)


def _drop_unneeded(writer: Writer, layers: Sequence[str]) -> None:
    """Remove those of some layers that nothing needs, and then those that only these needed."""
    from cstore.store.lookup import referenced
    from cstore.store.removal import remove_layer

    elsewhere = [image for extra in writer.additional for image in extra.images]
    tops = {top for image in elsewhere for top in (image.layer, *image.mapped_layers)}
    rest = [layer for layer in dict.fromkeys(layers) if layer in writer.layers and layer not in tops]
    while going := [layer for layer in rest if layer not in referenced(writer)]:
        for layer in going:
            rest.remove(layer)
            remove_layer(writer, layer)
