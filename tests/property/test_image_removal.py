"""Whatever the layers, mapped layers, images and containers: exactly those layers go that nothing else needs."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.config import Overrides, load_config
from cstore.store import open_store

CREATED = "2026-01-01T00:00:00Z"


class Drawing:
    """A store as records say it: each layer's parent, images by top and mapped layers, containers' own layers."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.parents: dict[str, str] = {}
        for number in range(draw(st.integers(1, 9))):
            self.parents[f"l{number}"] = draw(st.sampled_from(["", *self.parents]))
        layers = st.sampled_from(sorted(self.parents))
        self.images: dict[str, tuple[str, list[str]]] = {}
        for number in range(draw(st.integers(1, 4))):
            top = draw(layers)
            self.images[f"i{number}"] = (top, [self._mapped_layer(top) for _ in range(draw(st.integers(0, 2)))])
        self.own: list[str] = []
        for _ in range(draw(st.integers(0, 2))):
            layer = draw(st.sampled_from(sorted(self.parents)))
            self.own.append(self._child(layer) if draw(st.booleans()) else layer)

    def _mapped_layer(self, layer: str) -> str:
        return self._child(self.parents[layer])

    def _child(self, parent: str) -> str:
        name = f"l{len(self.parents)}"
        self.parents[name] = parent
        return name

    def below(self, *layers: str) -> set[str]:
        """These layers and all that they build on."""
        found: set[str] = set()
        pending = list(layers)
        while pending:
            layer = pending.pop()
            if layer and layer not in found:
                found.add(layer)
                pending.append(self.parents[layer])
        return found

    def expected(self, image: str) -> set[str]:
        """What goes with an image: by what others need, not by walking down as cstore does."""
        top, mapped_layers = self.images[image]
        chain = self.below(top)
        others = [layer for name, (other, more) in self.images.items() if name != image for layer in (other, *more)]
        strangers = self.parents.keys() - chain - set(mapped_layers)
        needed = self.below(*others, *self.own, *strangers)
        going = set(mapped_layers) - needed
        return going | (chain - needed) if going == set(mapped_layers) else going

    def write(self, graph: str) -> None:
        """Write the record files."""
        records: dict[str, list[dict[str, Any]]] = {
            "layer": [{"id": layer, "parent": parent} for layer, parent in self.parents.items()],
            "image": [{"id": image, "layer": top, "mapped-layers": more} for image, (top, more) in self.images.items()],
            "container": [{"id": f"c{n}", "image": "", "layer": layer} for n, layer in enumerate(self.own)],
        }
        for kind, items in records.items():
            os.makedirs(os.path.join(graph, f"vfs-{kind}s"))
            with open(os.path.join(graph, f"vfs-{kind}s", f"{kind}s.json"), "w", encoding="utf-8") as file:
                json.dump([{**item, "created": CREATED} for item in items], file)


@settings(deadline=None)
@given(st.composite(Drawing)())
def test_exactly_what_nothing_else_needs_goes(drawing: Drawing) -> None:
    """Foretold and done; and no layer that is left has lost its parent."""
    with tempfile.TemporaryDirectory() as top:
        drawing.write(f"{top}/graph")
        overrides = Overrides(graph_root=f"{top}/graph", run_root=f"{top}/run", driver="vfs", sync=False)
        store = open_store(load_config(overrides, environ={"HOME": top}))
        for image in sorted(drawing.images):
            going = store.images.delete(image, commit=False)
            assert set(going) == drawing.expected(image)
            assert len(going) == len(set(going))
        image = min(drawing.images)
        expected = drawing.parents.keys() - drawing.expected(image)
        store.images.delete(image)
        assert set(store.layers.ids()) == expected
        assert {layer.parent for layer in store.layers.list()} <= {"", *expected}
