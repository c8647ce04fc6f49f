"""The layers that added, changed or removed a path, and the steps of the image's history that created them."""

from __future__ import annotations

import stat

from cstore.arguments import checked
from cstore.contents.chain import add_new
from cstore.contents.comparing import ADDED, CHANGED, REMOVED, Comparison
from cstore.contents.files import Contents, FileUnknown, open_item
from cstore.errors import CstoreError
from cstore.records.layers import line
from cstore.store import Item
from cstore.store.lookup import layer_by_id
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.contents.files import File
    from cstore.records.model import Image
    from cstore.store import Store


class Event(Value):
    """A layer's change to a path.

    Attributes:
        layer: its ID.
        change: ADDED, CHANGED or REMOVED.
        what: the changed properties; see `Difference`.
        file: the file from that layer on; None if it was removed.
        created: time of the history step, or else of the layer; RFC 3339.
        created_by: the command in the image's history that created the layer; "" if unknown.
        comment: the step's comment.
    """

    layer: str
    change: str
    what: tuple[str, ...] = ()
    file: File | None = None
    created: str = ""
    created_by: str = ""
    comment: str = ""


@checked
def blame(store: Store, contents: Contents, path: bytes) -> list[Event]:
    """Return the changes of an item's layers to a path, the latest first. The path may no longer exist.

    Raises:
        FileUnknown: no layer has or ever had it.
        SystemFailure: a directory cannot be read.
    """
    plain = _plain(contents, path)
    steps = History(store, contents.item)
    events = []
    for found in _events(contents, plain):
        record = layer_by_id(Reader(store.context), found.layer)
        step = steps.of(found.layer)
        when = str(step.get("created") or ("" if record is None else record.created))
        texts = {name: str(step.get(name) or "") for name in ("created_by", "comment")}
        events.append(found.with_(created=when, **texts))
    if not events:
        raise FileUnknown("/" + plain.decode(errors="backslashreplace"), "none of its layers has or ever had this file")
    return events


def _plain(contents: Contents, path: bytes) -> bytes:
    """Resolve links as far as the path exists; the rest of a removed path stays as written."""
    try:
        return contents.resolve(path, follow=False)
    except FileUnknown:
        folder, _, name = path.rstrip(b"/").rpartition(b"/")
    if name not in {b"", b".", b".."}:
        try:
            above = contents.resolve(folder or b"/")
        except FileUnknown:
            parts = [part for part in path.split(b"/") if part not in {b"", b".", b".."}]
            return b"/".join(parts)
        return b"%b/%b" % (above, name) if above else name
    raise FileUnknown("/" + path.decode(errors="backslashreplace"))


def _events(contents: Contents, path: bytes) -> Iterator[Event]:
    chain = contents.chain
    chain.note_lost()
    starts = [n for n, root in enumerate(chain.roots) if n == 0 or root.layer != chain.roots[n - 1].layer]
    place = 0
    upper, seen = contents, contents.find(path)
    while place < len(starts):
        while seen is not None and place + 1 < len(starts) and starts[place + 1] <= seen.number:
            place += 1  # the layers above do not change it
        layer = chain.layer_of(starts[place])
        place += 1
        lower = Contents(chain, contents.item, starts[place]) if place < len(starts) else None
        below = lower.find(path) if lower is not None else None
        if seen is None:
            if below is not None:
                yield Event(layer, REMOVED)
        elif below is None or lower is None:
            yield Event(layer, ADDED, (), seen)
        else:
            # A directory's time changes when entries are created in it.
            comparison = Comparison(lower, upper, times=seen.format != stat.S_IFDIR)
            found = comparison.judge(path, below, seen)
            upper.problems += comparison.problems
            if found is not None:
                yield Event(layer, CHANGED, found.what, seen)
        if lower is not None:
            upper, seen = lower, below


@checked
def blame_everywhere(store: Store, path: bytes, problems: list[str]) -> Iterator[tuple[Image, list[Event]]]:
    """Yield the changes to a path for each image of the store with a layer that has, or had, the path."""
    for image in store.images.list():
        if not image.layer:
            continue
        item = Item(ItemKind.IMAGES, image.id)
        try:
            with open_item(store, item) as contents:
                events = blame(store, contents, path)
                add_new(problems, contents.problems)
        except FileUnknown:
            continue
        except CstoreError as error:
            problems.append(f"image {image.id}: {error.message}")
            continue
        yield image, events


class History:
    """Maps the layers of an image to the steps of its history: the nonempty steps and the layers correspond in order.

    For other items, the steps are those of an image that has their layers.
    """

    def __init__(self, store: Store, item: Item | None) -> None:
        self._store, self._tables = store, Reader(store.context)
        self._steps: dict[str, dict[str, object]] = {}
        image = None if item is None else self._image_of(item)
        if image is None:
            return
        from cstore.oci.config import parse_config

        try:
            config = parse_config(store.images.get_data(image.id, f"sha256:{image.id}"))
        except CstoreError:
            return  # created by hand, or damaged: the steps are unknown
        layers = self._chain(image)[::-1]
        steps = [step.document() for step in config.history if not step.empty_layer]
        if len(steps) == len(layers):
            self._steps = dict(zip(layers, steps, strict=True))
            self._steps |= dict.fromkeys(image.mapped_layers, steps[-1] if steps else {})

    def of(self, layer: str) -> dict[str, object]:
        """Return the step that created a layer; empty if unknown."""
        return self._steps.get(layer, {})

    def _image_of(self, item: Item) -> Image | None:
        if item.item_kind is ItemKind.IMAGES:
            return self._store.images.find(item.id)
        if item.item_kind is ItemKind.CONTAINERS:
            return self._store.images.find(self._store.containers.get(item.id).image)
        images = self._store.images.list()
        return next((image for image in images if item.id in (*self._chain(image), *image.mapped_layers)), None)

    def _chain(self, image: Image) -> list[str]:
        return line(lambda layer: layer_by_id(self._tables, layer), image.layer)
