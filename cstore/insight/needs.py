"""Dependencies: the layers of images and containers, by the records of one moment."""

from __future__ import annotations

from contextlib import suppress

from cstore.errors import RecordsDamaged
from cstore.records.layers import follow
from cstore.store.lost_records import hidden_containers
from cstore.values import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.records.model import Container, Image, Layer
    from cstore.store.context import Context
    from cstore.store.lookup import Tables

    Key = tuple[str, str]


class Needs:
    """Every item of a store, and the layers that it needs.

    Attributes:
        layers: the layers of the store itself, whole or not, by ID.
        images: its images by ID, those of the graph root beside a separate image store among them.
        containers: its containers by ID, with those that only a transient store shows.
        elsewhere: the layers of additional stores, as far as there is none of the same ID here.
    """

    def __init__(self, context: Context, tables: Tables) -> None:
        self.layers: dict[str, Layer] = {layer.id: layer for layer in tables.layers}
        self.images: dict[str, Image] = {image.id: image for image in tables.images}
        hidden: dict[str, Container] = {}
        with suppress(RecordsDamaged):  # a file that only transient containers use
            hidden = {each.id: each for each in hidden_containers(context.layout)}
        self.containers: dict[str, Container] = {**hidden, **{each.id: each for each in tables.containers}}
        self._suspect = bool(tables.layers.flaws)
        self.elsewhere: dict[str, Layer] = {}
        for extra in tables.additional:
            if extra.images_only:
                self.images = {**{image.id: image for image in extra.images}, **self.images}
            self.elsewhere |= {
                layer.id: layer
                for layer in extra.layers
                if layer.id not in self.layers and layer.id not in self.elsewhere
            }

    def chain(self, *tops: str) -> dict[str, None]:
        """Layers and all their ancestors, each once, as far as they are known; those of additional stores, too."""
        found: dict[str, None] = {}
        for top in tops:
            found.update(dict.fromkeys(follow(self._find, top, found)[0]))
        return found

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """The flaws of the chains of layers, as sentences, each once; not what is only unknown."""
        seen: set[str] = set()
        found: list[str] = []
        tops = [(f" of image {each}", top) for each in self.images for top in self.tops("image", each) if top]
        tops += [
            (f" of container {each}", top) for each in self.containers for top in self.tops("container", each) if top
        ]
        for what, top in [*tops, *(("", layer) for layer in self.layers)]:
            chain, problem = follow(self._find, top, seen)
            seen.update(chain)  # `|=` with keys would copy all that was seen
            if problem and not (self._suspect and problem.endswith("not there")):
                found.append(problem if chain else problem.replace(" is not", f"{what} is not"))
        return tuple(found)

    def problems_of(self, *tops: str) -> tuple[str, ...]:
        """The same for the chains of some layers."""
        return tuple(dict.fromkeys(problem for top in tops if top and (problem := follow(self._find, top)[1])))

    def _find(self, layer: str) -> Layer | None:
        return self.layers.get(layer) or self.elsewhere.get(layer)

    def of(self, kind: str, identifier: str) -> list[str]:
        """The layers of the store itself that an item needs, its own first."""
        return [layer for layer in self.chain(*self.tops(kind, identifier)) if layer in self.layers]

    def tops(self, kind: str, identifier: str) -> tuple[str, ...]:
        """The layers that an item is, or that it names; none of an item that is not known."""
        if kind == "image":
            image = self.images.get(identifier)
            return () if image is None else (image.layer, *image.mapped_layers)
        container = self.containers.get(identifier)
        return (identifier,) if kind == "layer" else () if container is None else (container.layer,)

    @cached_property
    def users(self) -> dict[str, set[Key]]:
        """The users of each layer: images, containers, and unused layers without children.

        A container counts as its image does, on whose layers it is; its own layer is its own.
        """
        found: dict[str, set[Key]] = {layer: set() for layer in self.layers}
        for user, layers in self._needed():
            for layer in layers:
                found[layer].add(user)
        return found

    def _needed(self) -> Iterator[tuple[Key, list[str]]]:
        for image in self.images:
            yield ("image", image), self.of("image", image)
        parents = {layer.parent for layer in self.layers.values()}
        tops = {top for image in self.images.values() for top in (image.layer, *image.mapped_layers)}
        for container in self.containers.values():
            tops.add(container.layer)
            own, *others = self.of("container", container.id) or [""]
            if own:
                yield ("container", container.id), [own]
            user = ("image", container.image) if container.image in self.images else ("container", container.id)
            yield user, others
        for layer in self.layers:
            if layer not in parents and layer not in tops:
                yield ("layer", layer), self.of("layer", layer)

    @cached_property
    def used_images(self) -> set[str]:
        """The images that containers came from."""
        return {container.image for container in self.containers.values()}
