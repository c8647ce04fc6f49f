"""Dependencies: the layers of images and containers, from one view of the records."""

from __future__ import annotations

from contextlib import suppress

from cstore.errors import RecordsDamaged
from cstore.records.layers import MISSING, follow_ids
from cstore.records.outlines import outlines, sizes
from cstore.store.lost_records import hidden_containers
from cstore.values import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from cstore.records.model import Container, Image
    from cstore.records.outlines import LayerOutline
    from cstore.store.context import Context
    from cstore.store.lookup import Tables

    Key = tuple[str, str]


class Needs:
    """Every item of a store, and the layers that it needs.

    For layers, two columns of their records provide the dependencies, because a store may have very many layers.

    Attributes:
        parents: the parent IDs of the store's own layers, complete or not.
        images: its images by ID, including those of the graph root beside a separate image store.
        containers: its containers by ID, including those visible only in a transient store.
        elsewhere: like `parents`, for layers of additional stores whose ID does not exist in this store.
    """

    def __init__(self, context: Context, tables: Tables) -> None:
        self._tables = tables
        self.parents: dict[str, str] = dict(tables.layers.columns("id", "parent"))
        self.images: dict[str, Image] = {image.id: image for image in tables.images}
        hidden: dict[str, Container] = {}
        with suppress(RecordsDamaged):  # only transient containers use this file
            hidden = {each.id: each for each in hidden_containers(context.layout)}
        self.containers: dict[str, Container] = {**hidden, **{each.id: each for each in tables.containers}}
        self._suspect = bool(tables.layers.flaws)
        self.elsewhere: dict[str, str] = {}
        for extra in tables.additional:
            if extra.images_only:
                self.images = {**{image.id: image for image in extra.images}, **self.images}
            for layer, parent in extra.layers.columns("id", "parent"):
                if layer not in self.parents:
                    self.elsewhere.setdefault(layer, parent)
        both = {**self.elsewhere, **self.parents} if self.elsewhere else self.parents
        self._parent_of = both.get

    def chain(self, *tops: str) -> dict[str, None]:
        """Return layers and all of their known ancestors, each once, including those of additional stores."""
        found: dict[str, None] = {}
        for top in tops:
            found.update(dict.fromkeys(follow_ids(self._parent_of, top, found)[0]))
        return found

    def size_of(self, layer: str) -> int | None:
        """Return the recorded size of one layer of any store, in bytes; None if there is none."""
        tables = [self._tables.layers, *(extra.layers for extra in self._tables.additional)]
        record = next(filter(None, (table.get(layer) for table in tables)), None)
        return None if record is None else record.known_size

    @cached_property
    def outlines(self) -> dict[str, LayerOutline]:
        """The outlines of the recorded layers of the store itself."""
        return {layer.id: layer for layer in outlines(self._tables.layers)}

    @cached_property
    def sizes(self) -> dict[str, int | None]:
        """The recorded sizes of the store's own layers, in bytes; None where there is none."""
        return dict(sizes(self._tables.layers))

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """The store's own layers by their parent; the key "" lists the layers without a parent."""
        found: dict[str, list[str]] = {}
        for layer, parent in self.parents.items():
            found.setdefault(parent, []).append(layer)
        return found

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """The errors in the chains of layers, as sentences, each once; unknown parts are not errors."""
        seen = {""}  # later also layers whose chains are known to end: nearly all parents come first in the file
        for layer, parent in self.parents.items():
            if parent in seen:
                seen.add(layer)
        found: list[str] = []
        tops = [(f" of image {each}", top) for each in self.images for top in self.tops("image", each) if top]
        tops += [
            (f" of container {each}", top) for each in self.containers for top in self.tops("container", each) if top
        ]
        for what, top in [*tops, *(("", layer) for layer in self.parents)]:
            if top in seen:
                continue
            chain, problem = follow_ids(self._parent_of, top, seen)
            seen.update(chain)
            if problem and not (self._suspect and problem.endswith(MISSING)):
                found.append(problem if chain else f"layer {top}{what} {MISSING}")
        return tuple(found)

    def problems_of(self, *tops: str) -> tuple[str, ...]:
        """Return the errors in the chains of some layers, as in `problems`."""
        return tuple(dict.fromkeys(problem for top in tops if top and (problem := follow_ids(self._parent_of, top)[1])))

    def of(self, kind: str, identifier: str) -> list[str]:
        """Return the store's own layers that an item needs, its top layer first."""
        return [layer for layer in self.chain(*self.tops(kind, identifier)) if layer in self.parents]

    def tops(self, kind: str, identifier: str) -> tuple[str, ...]:
        """Return the layer itself, or the layers that an item names; nothing for an unknown item."""
        if kind == "image":
            image = self.images.get(identifier)
            return () if image is None else (image.layer, *image.mapped_layers)
        container = self.containers.get(identifier)
        return (identifier,) if kind == "layer" else () if container is None else (container.layer,)

    @cached_property
    def users(self) -> Mapping[str, AbstractSet[Key]]:
        """The users of each layer: images, containers, and unused layers without children.

        A container counts as its image, whose layers it uses; its own layer belongs to the container.
        """
        found: dict[str, AbstractSet[Key]] = dict.fromkeys(self.parents, frozenset())
        for user, layers in self._needed():
            alone = frozenset((user,))  # most layers have one user, so all layers that it needs share one set
            for layer in layers:
                known = found[layer]
                if isinstance(known, set):
                    known.add(user)
                elif user not in known:
                    found[layer] = {*known, user} if known else alone
        return found

    def _needed(self) -> Iterator[tuple[Key, list[str]]]:
        for image in self.images:
            yield ("image", image), self.of("image", image)
        parents = set(self.parents.values())
        tops = {top for image in self.images.values() for top in (image.layer, *image.mapped_layers)}
        for container in self.containers.values():
            tops.add(container.layer)
            own, *others = self.of("container", container.id) or [""]
            if own:
                yield ("container", container.id), [own]
            user = ("image", container.image) if container.image in self.images else ("container", container.id)
            yield user, others
        for layer in self.parents:
            if layer not in parents and layer not in tops:
                yield ("layer", layer), self.of("layer", layer)

    @cached_property
    def used_images(self) -> set[str]:
        """The images that the containers were created from."""
        return {container.image for container in self.containers.values()}
