"""Whatever a store holds and whatever shall go: what is foretold goes, nothing else, and frees the foretold bytes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.config import Overrides, load_config
from cstore.insight import plan_removal, remove, usage
from cstore.store import Item, open_store
from cstore.store.places import ItemKind
from tests.property.test_image_removal import Drawing

if TYPE_CHECKING:
    from cstore.store import Store


class Filled(Drawing):
    """The same with contents: each layer has files, some of them with names in other layers, too."""

    def __init__(self, draw: st.DrawFn) -> None:
        super().__init__(draw)
        layers = st.sampled_from(sorted(self.parents))
        self.links = draw(st.lists(st.tuples(layers, layers), max_size=5))
        items = [("layer", each) for each in self.parents] + [("image", each) for each in self.images]
        items += [("container", f"c{number}") for number in range(len(self.own))]
        self.wanted = draw(st.lists(st.sampled_from(items), min_size=1, max_size=6))
        self.force = draw(st.booleans())

    def write(self, graph: str) -> None:
        """Write records and trees."""
        super().write(graph)
        for number, layer in enumerate(self.parents):
            tree = os.path.join(graph, "vfs/dir", layer)
            os.makedirs(tree)
            with open(os.path.join(tree, "own"), "wb") as file:
                file.write(b"x" * 5000 * (number + 1))
        for number, (one, other) in enumerate(self.links):
            path = os.path.join(graph, "vfs/dir", one, f"linked-{number}")
            with open(path, "wb") as file:
                file.write(b"y" * 9000)
            os.link(path, os.path.join(graph, "vfs/dir", other, f"link-{number}"))
        for image in self.images:
            os.makedirs(os.path.join(graph, "vfs-images", image))
            with open(os.path.join(graph, "vfs-images", image, "data"), "wb") as file:
                file.write(b"z" * 3000)


def du(path: str) -> int:
    """The bytes that du counts in a directory."""
    done = subprocess.run(["du", "-sx", "--block-size=1", path], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def contents(graph: str) -> int:
    """The bytes of all that is not a record: trees and data items."""
    folders = [os.path.join(graph, "vfs-images", name) for name in os.listdir(os.path.join(graph, "vfs-images"))]
    return sum(map(du, [os.path.join(graph, "vfs/dir"), *filter(os.path.isdir, folders)]))


def items_of(store: Store) -> set[tuple[str, str]]:
    """Everything in a store."""
    layers = {("layer", each) for each in store.layers.ids()}
    images = {("image", each.id) for each in store.images.list()}
    return layers | images | {("container", each.id) for each in store.containers.list()}


@settings(deadline=None, max_examples=60)
@given(st.composite(Filled)())
def test_what_is_foretold_goes_and_frees_what_was_said(drawing: Filled) -> None:
    """The lines of df add up to du's figure before and after, too."""
    with tempfile.TemporaryDirectory() as top:
        graph = f"{top}/graph"
        drawing.write(graph)
        overrides = Overrides(graph_root=graph, run_root=f"{top}/run", driver="vfs", sync=False)
        store = open_store(load_config(overrides, environ={"HOME": top}))
        found = usage(store.context)
        assert (found.total, found.du) == (du(graph), du(graph))
        assert all(line.unique >= 0 and line.shared >= 0 for line in found.lines if line.size >= 0)
        before, bytes_before = items_of(store), contents(graph)

        wanted = [Item(ItemKind(kind), name) for kind, name in drawing.wanted]
        plan = plan_removal(store.context, wanted, force=drawing.force)
        assert items_of(store) == before
        assert contents(graph) == bytes_before
        done = remove(store.context, plan)

        assert done.failed == ()
        assert before - items_of(store) == {(each.kind, each.id) for each in plan.going}
        assert bytes_before - contents(graph) == plan.freed == done.freed
        asked = {(item.kind, item.id) for item in wanted}
        assert asked - {(each.kind, each.id) for each in plan.refused} <= {(each.kind, each.id) for each in plan.going}
        assert usage(store.context).total == du(graph)
