"""Intents: journals of operations that create or remove several items, so that all steps are done or none.

    GRAPH/cstore-intents/<number>     0600  a line of JSON for each step; locked while its owner lives

A container and its layer have a journal of their own, because they change under one lock. An intent's steps run in
several locked sections. If an intent's lock is free, its owner is dead, and the next writer completes or reverts it:

    {"layers": [ID, ...]}             remove them, unless something needs them, or a living owner uses them
    {"free": [ID, ...]}               the same, unless they have a name or are mounted by then
    {"uses": ID}                      a layer that the owner uses and did not create
    {"image": ID}                     created by the owner: remove it, unless it has a name or is used by then
    {"data": ID}                      the data of an image under removal: remove it if the image's record is gone
    {"mounted": ID, "count": N}       a layer that the owner mounted for itself when its mount count was N
    {"names": [...], "of": ID}        give these names to the image when it exists
    {"complete": true}                all items exist: remove none of them, and give the names

Other programs ignore intents. They may keep or use any of these items: nothing that anything refers to is ever removed.
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
    """The journal of one operation. If its owner dies before `done`, the next writer completes or reverts it.

    As a context manager, it is done at the end of the block, and given up if the block raises.

    Nothing is written before the first step is noted.
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
        """Note a step before it is taken.

        Raises:
            SystemFailure: it cannot be written; do not take the step.
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
        """Note a step that only deletes. On a full disk, skip the note: the deletion makes room for later ones."""
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
        """Revert the steps, or finish if they are complete; failures are left to the next writer."""
        from cstore.store.session import writing

        if self._fd >= 0:
            self.leave()
            with suppress(CstoreError), writing(self._context, ItemKind.LAYERS, ItemKind.IMAGES, freeing=True):
                pass  # this is the next writer, which completes or reverts the intent

    def done(self) -> None:
        """Remove the intent: everything is done."""
        if self._fd >= 0:
            with suppress(OSError):
                within.unlink(self._path)  # one that stays, or that a power cut brings back, has no effect
        self.leave()

    def leave(self) -> None:
        """Release the intent to the next writer."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with suppress(OSError):
                os.close(fd)


def begin(context: Context) -> Intent:
    """Begin an operation of several steps. First settle abandoned intents, because these may remove items."""
    from cstore.store.session import writing

    if are_left(context.layout):
        with writing(context, ItemKind.LAYERS, ItemKind.IMAGES, freeing=True):
            pass
    return Intent(context)


class _Found(Value):
    """An intent on disk: its file and its steps; `fd` locks it, or is -1 if its owner lives."""

    path: str
    fd: int
    steps: tuple[dict[str, Any], ...]

    def values(self, key: str) -> list[str]:
        """Return the values of its steps for `key`."""
        return [str(step[key]) for step in self.steps if key in step]

    def layers(self, *keys: str) -> list[str]:
        """Return the layers that its steps list under some keys."""
        lists = (step.get(key) for step in self.steps for key in keys)
        return [str(layer) for found in lists if isinstance(found, list) for layer in found]


def are_left(layout: Layout) -> bool:
    """Return whether an intent has no living owner. Cheap; needs no lock."""
    for path in _paths(layout):
        with suppress(OSError, ForeignThing):
            fd = _open(path)
            try:
                if conflicting_process(fd, exclusive=True) is None:
                    return True
            finally:
                os.close(fd)
    return False


def conclude(writer: Writer) -> list[CstoreError]:
    """Settle the intents of dead owners, under the locks of layers and images. Failures are left to the next writer.

    Returns:
        The failures.
    """
    found, failures = _find(writer.layout), list[CstoreError]()
    try:
        claimed = {
            layer for each in found if each.fd < 0 for layer in (*each.layers("layers", "free"), *each.values("uses"))
        }
        for each in found:
            if each.fd >= 0:
                try:
                    _settle(writer, each, claimed)
                    with suppress(OSError):
                        within.unlink(each.path)
                except CstoreError as error:
                    failures.append(error)
    finally:
        for each in found:
            if each.fd >= 0:
                os.close(each.fd)
    return failures


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
    """Read the steps up to the first incomplete one, which was not taken."""
    from cstore.records.shapes import load

    steps = []
    with suppress(ValueError):
        for line in os.pread(fd, 1 << 24, 0).split(b"\n")[:-1]:
            step = load(line)
            if not isinstance(step, dict):
                break
            steps.append(step)
    return tuple(steps)


def _settle(writer: Writer, intent: _Found, claimed: set[str]) -> None:
    trace("settled the unfinished work of a dead process: %r", intent.steps)
    _unmount(writer, intent.steps)
    if intent.values("complete"):
        _give_names(writer, intent.steps)
        return
    from cstore.store.removal import discard_image_data

    for image in intent.values("image"):
        record = writer.images.get(image)
        if record is not None and not record.names and all(each.image != image for each in writer.containers):
            writer.images.remove(image)
            writer.save(ItemKind.IMAGES)
    for image in (*intent.values("image"), *intent.values("data")):
        if image not in writer.images:
            discard_image_data(writer, image)
    going = intent.layers("layers")
    for layer in intent.layers("free"):
        found = writer.layers.get(layer)
        with writer.mounts() as mounts:
            mounted = mounts.get(layer)
        if found is not None and not found.names and (mounted is None or not mounted.count):
            going.append(layer)
    _drop_unneeded(writer, [layer for layer in going if layer not in claimed])


def _unmount(writer: Writer, steps: Sequence[dict[str, Any]]) -> None:
    """Remove mounts, unless the count shows that they were removed already, or never made."""
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


def _drop_unneeded(writer: Writer, layers: Sequence[str]) -> None:
    """Remove those of the layers that nothing needs, then those that only these needed."""
    from cstore.store.lookup import referenced
    from cstore.store.removal import remove_layer

    elsewhere = [image for extra in writer.additional for image in extra.images]
    tops = {top for image in elsewhere for top in (image.layer, *image.mapped_layers)}
    rest = [layer for layer in dict.fromkeys(layers) if layer in writer.layers and layer not in tops]
    while going := [layer for layer in rest if layer not in referenced(writer)]:
        for layer in going:
            rest.remove(layer)
            remove_layer(writer, layer)
