"""Lists of images, containers and layers: tables of columns, sort orders and filters for each kind."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from cstore.arguments import checked
from cstore.errors import CstoreError, UsageMistake
from cstore.insight.inspecting import added_up, images_everywhere, unique_bytes
from cstore.insight.needs import Needs
from cstore.oci.names import repository_of
from cstore.records.images import valid_digests
from cstore.records.outlines import outlines as layer_outlines
from cstore.store import naming
from cstore.store.image_measuring import image_outlines
from cstore.store.mounting import mount_points
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from cstore.values import Value, cached_property

Cell = str | int | tuple[str, ...] | None
"""The value of a column for an item: a text, a number, several texts, or None."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeVar

    from cstore.records.model import Image
    from cstore.records.outlines import LayerOutline
    from cstore.store.context import Context
    from cstore.store.image_measuring import Outline

    R = TypeVar("R")
    Column = Callable[["Listing", Any], Cell]
    Test = Callable[[Any], bool]
    Filter = Callable[["Listing", str], Test]


class Query(Value):
    """A query for a list.

    Attributes:
        kind: image, container or layer.
        sort: sort columns, the most significant first, each with whether the order is descending.
        filters: keys and values. One of the values of a key has to match (for labels, all of them), and so do all keys.
        columns: the displayed columns; empty for the default ones.
    """

    kind: str
    sort: tuple[tuple[str, bool], ...] = ()
    filters: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()


@checked
def parse_query(kind: str, *, sort: str = "", filters: Iterable[str] = (), columns: str = "") -> Query:
    """Parse sort keys, filters and columns: `-size,name`, `dangling=true`, `names,id`.

    Raises:
        UsageMistake: the kind has no such column or filter; the hint lists those that exist.
    """
    order = [(_column(kind, key.removeprefix("-")), key.startswith("-")) for key in _parts(sort)]
    wanted: list[tuple[str, str]] = []
    for text in filters:
        key, equals, value = text.partition("=")
        if key not in FILTERS[kind]:
            raise _unknown(kind, "filter", key, FILTERS[kind])
        if not equals:
            raise UsageMistake(f"the filter {key!r} needs a value", hint=f"write {key}=VALUE")
        wanted.append((key, value))
    shown = tuple(dict.fromkeys(_column(kind, key) for key in _parts(columns)))
    return Query(kind, tuple(order), tuple(wanted), shown)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text else []


def _column(kind: str, key: str) -> str:
    name = "names" if key == "name" else key
    if name not in COLUMNS[kind]:
        raise _unknown(kind, "column", key, COLUMNS[kind])
    return name


def _unknown(kind: str, what: str, key: str, known: Iterable[str]) -> UsageMistake:
    return UsageMistake(f"{kind}s have no {what} {key!r}", hint=f"choose from: {', '.join(known)}")


class Listing:
    """Computes the cells of a list, and filters and sorts its records. Costly lookups run once, on first use."""

    def __init__(self, context: Context, kind: str) -> None:
        self.context, self.kind = context, kind
        self.tables = Reader(context)

    def pick(self, records: Sequence[R], query: Query) -> list[R]:
        """Return the records that match all filters, in the order of the query; those without a value come last.

        Raises:
            UnknownItem, AmbiguousItem: a filter names an item that does not exist, or several.
            UsageMistake: the value of a filter is invalid.
        """
        tests: dict[str, list[Test]] = {}
        for key, value in query.filters:
            tests.setdefault(key, []).append(FILTERS[self.kind][key](self, value))
        # An item has to match all of the labels, but only one of the values of any other key.
        rules = [(all if key == "label" else any, alternatives) for key, alternatives in tests.items()]
        found = [each for each in records if all(rule(test(each) for test in given) for rule, given in rules)]
        for column, descending in reversed(query.sort):
            ranks = [(_rank(column, self.cell(record, column)), record) for record in found]
            known = [pair for pair in ranks if pair[0] is not None]
            known.sort(key=lambda pair: pair[0], reverse=descending)
            found = [record for _, record in known] + [record for rank, record in ranks if rank is None]
        return found

    def cell(self, record: Any, column: str) -> Cell:
        """Return the cell of a column: a text, a number (None if unknown), or several texts."""
        return COLUMNS[self.kind][column](self, record)

    @cached_property
    def needs(self) -> Needs:
        """The dependencies between items."""
        return Needs(self.context, self.tables)

    @property
    def problems(self) -> tuple[str, ...]:
        """The errors in the chains of layers, as sentences, if an answer so far depends on the chains."""
        return self.needs.problems if "needs" in vars(self) else ()

    @cached_property
    def mounts(self) -> Mapping[str, str]:
        """The mount points of layers."""
        return mount_points(self.context)

    @cached_property
    def images(self) -> dict[str, Image]:
        """All images, including those of additional stores."""
        return images_everywhere(self.tables, self.needs)

    def layers(self) -> Iterable[LayerOutline]:
        """Return outlines of all layers, complete or not, once each; those of additional stores come last."""
        found = dict(self.needs.outlines)
        for extra in self.tables.additional:
            for layer in layer_outlines(extra.layers):
                found.setdefault(layer.id, layer)
        return found.values()

    def outline(self, image: Image) -> Outline:
        """Return the outline of an image. An image that was deleted in the meantime is looked up separately."""
        return self._outlines.get(image.id) or image_outlines(self.tables, [image])[0]

    @cached_property
    def _outlines(self) -> dict[str, Outline]:
        images = self.images
        return dict(zip(images, image_outlines(self.tables, images.values()), strict=True))

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """The containers of each image, by name or ID."""
        found: dict[str, list[str]] = {}
        for container in self.needs.containers.values():
            found.setdefault(container.image, []).append(_called(container))
        return found

    @cached_property
    def holders(self) -> dict[str, list[str]]:
        """The images and containers of each layer, by name or ID."""
        found: dict[str, list[str]] = {}
        for image in self.images.values():
            for layer in dict.fromkeys((image.layer, *image.mapped_layers)):
                found.setdefault(layer, []).append(_called(image))
        for container in self.needs.containers.values():
            found.setdefault(container.layer, []).append(_called(container))
        return found

    @cached_property
    def needed(self) -> set[str]:
        """The layers that images and containers need."""
        tops = {top for image in self.images.values() for top in (image.layer, *image.mapped_layers)}
        tops |= {container.layer for container in self.needs.containers.values()}
        return {layer for top in tops for layer in self.needs.chain(top)}


def _called(record: Any) -> str:
    return str(record.names[0] if record.names else record.id)


# ── order ──


def _rank(column: str, cell: Cell) -> Any:
    """Return the sort key of a cell; None if it has no value."""
    if column == "created":
        return moment(str(cell))
    if isinstance(cell, tuple):
        return len(cell) if column == "used-by" else (cell[0] if cell else None)
    return None if cell == "" else cell


def moment(created: str) -> tuple[int, str] | None:
    """Return a time of creation as seconds since 1970 and nine digits of nanoseconds; None if unknown."""
    try:
        when = datetime.fromisoformat(created)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    fraction = re.search(r"\.(\d+)", created)
    seconds = int((when.replace(microsecond=0) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return None if when.year == 1 else (seconds, (fraction[1] if fraction else "").ljust(9, "0"))


# ── columns ──


def _state(*marks: tuple[str, object]) -> tuple[str, ...]:
    """Return the marks that are set, from pairs of a mark and a condition."""
    return tuple(mark for mark, is_set in marks if is_set)


_COMMON: dict[str, Column] = {"names": lambda _, record: record.names, "id": lambda _, record: record.id}
COLUMNS: dict[str, dict[str, Column]] = {
    "image": {
        **_COMMON,
        "layers": lambda listing, image: listing.outline(image).layers,
        "size": lambda listing, image: listing.outline(image).size,
        "unique": lambda listing, image: unique_bytes(listing.needs, image.id),
        "created": lambda _, image: image.created,
        "used-by": lambda listing, image: tuple(listing.children.get(image.id, ())),
        "digest": lambda _, image: image.digest or next(iter(valid_digests(image)), ""),
        "layer": lambda _, image: image.layer,
        "state": lambda listing, image: _state(
            ("mounted", any(layer in listing.mounts for layer in (image.layer, *image.mapped_layers))),
            ("read-only", image.id not in listing.needs.images),
        ),
    },
    "container": {
        **_COMMON,
        "image": lambda listing, container: (
            str(container.image) if (image := listing.images.get(container.image)) is None else _called(image)
        ),
        "created": lambda _, container: container.created,
        "state": lambda listing, container: _state(
            ("mounted", container.layer in listing.mounts),
            ("volatile", container.flags.get("Volatile")),
            ("ID-mapped", container.uid_map),
        ),
        "size": lambda listing, container: added_up([listing.needs.sizes.get(container.layer)], container.data_sizes),
        "layer": lambda _, container: container.layer,
    },
    "layer": {
        **_COMMON,
        "parent": lambda _, layer: layer.parent,
        "size": lambda _, layer: layer.known_size,
        "created": lambda _, layer: layer.created,
        "used-by": lambda listing, layer: tuple(listing.holders.get(layer.id, ())),
        "digest": lambda _, layer: layer.diff_digest,
        "state": lambda listing, layer: _state(
            ("mounted", layer.id in listing.mounts), ("read-only", layer.id not in listing.needs.parents)
        ),
    },
}
"""The columns of each kind, in the order of the lists."""


# ── filters ──


def _yes_or_no(test: Callable[[Listing, Any], bool]) -> Filter:
    """Return a filter that accepts true or false."""

    def make(listing: Listing, value: str) -> Test:
        if value.lower() not in {"true", "false", "1", "0"}:
            raise UsageMistake(f"{value!r} is neither true nor false")
        wanted = value.lower() in {"true", "1"}
        return lambda record: bool(test(listing, record)) == wanted

    return make


def _by_id(_: Listing, value: str) -> Test:
    return lambda record: record.id.startswith(value.removeprefix("sha256:"))


def _by_name(_: Listing, value: str) -> Test:
    """Match a regular expression anywhere in a name, as Podman does."""
    try:
        pattern = re.compile(value)
    except re.error as error:
        raise UsageMistake(f"{value!r} is not a regular expression: {error}") from None
    return lambda record: any(pattern.search(name) for name in record.names)


def _by_reference(_: Listing, value: str) -> Test:
    """Match a pattern against the name, starting at any of its components, with or without the tag, as Podman does."""

    def passes(image: Image) -> bool:
        parts = [name.split("/") for name in image.names]
        ends = ["/".join(each[start:]) for each in parts for start in range(len(each))]
        return any(
            fnmatchcase(form, value) for end in ends for form in (end, end.partition("@")[0], repository_of(end))
        )

    return passes


def _by_time(*, later: bool) -> Filter:
    """Return a filter for items created before or after another item of the kind."""

    def make(listing: Listing, value: str) -> Test:
        item = naming.resolve(listing.tables, value, listing.kind)
        table: Mapping[str, Any] = listing.images if item.item_kind is ItemKind.IMAGES else listing.needs.containers
        limit = moment(table[item.id].created) if item.id in table else None

        def passes(record: Any) -> bool:
            when = moment(record.created)
            return when is not None and limit is not None and (when > limit if later else when < limit)

        return passes

    return make


def _by_label(listing: Listing, value: str) -> Test:
    from cstore.insight.configs import image_config

    key, equals, text = value.partition("=")

    def passes(image: Image) -> bool:
        try:
            config = image_config(listing.context, image)
        except CstoreError:
            return False  # a config that cannot be read has no labels
        return config is not None and key in config.labels and (not equals or config.labels[key] == text)

    return passes


def _by_ancestor(listing: Listing, value: str) -> Test:
    """Match items created from an image or from one that is built on it."""
    wanted = naming.resolve(listing.tables, value, "image").id
    top = listing.images[wanted].layer if wanted in listing.images else ""

    def passes(container: Any) -> bool:
        own = listing.images.get(container.image)
        tops = (container.layer,) if own is None else (own.layer, *own.mapped_layers)
        built_on_it = top != "" and top not in tops and top in listing.needs.chain(*tops)
        return container.image == wanted or built_on_it

    return passes


def _by_parent(listing: Listing, value: str) -> Test:
    parent = naming.resolve(listing.tables, value, "layer").id
    return lambda layer: layer.parent == parent


FILTERS: dict[str, dict[str, Filter]] = {
    "image": {
        "reference": _by_reference,
        "dangling": _yes_or_no(lambda _, image: not image.names),
        "before": _by_time(later=False),
        "since": _by_time(later=True),
        "id": _by_id,
        "label": _by_label,
        "readonly": _yes_or_no(lambda listing, image: image.id not in listing.needs.images),
        "containers": _yes_or_no(lambda listing, image: image.id in listing.children),
    },
    "container": {
        "name": _by_name,
        "id": _by_id,
        "ancestor": _by_ancestor,
        "before": _by_time(later=False),
        "since": _by_time(later=True),
    },
    "layer": {
        "name": _by_name,
        "id": _by_id,
        "parent": _by_parent,
        "used": _yes_or_no(lambda listing, layer: layer.id in listing.needed),
    },
}
"""The filters of each kind: functions from a value to a test of a record."""
