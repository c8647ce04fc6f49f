"""A made-up driver: whole trees in directories, with a name and an option that no other driver has.

It is all that a driver needs: this package, and one line in the registry.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.config.driver_options import options_for
from cstore.config.keys import Kind
from cstore.drivers.registry import DriverFacts
from cstore.drivers.whole_trees import TreeHome, WholeTrees, make_root
from cstore.errors import DriverError
from cstore.fs.tree import copy_tree, remove_tree

if TYPE_CHECKING:
    from cstore.drivers.contract import Driver
    from cstore.drivers.registry import DriverPlace
    from cstore.drivers.whole_trees import Owners

FACTS = DriverFacts(keys={"folder": Kind.TEXT}, options=frozenset({"folder"}), mounts_show_trees=True)


class _Maker:
    def make(self, tree: str, layer_root: tuple[int, int]) -> None:
        os.mkdir(tree, 0o700)
        make_root(tree, layer_root)

    def copy(self, source: str, tree: str, layer: str, owner: Owners) -> bool:
        del layer
        os.mkdir(tree, 0o700)
        copy_tree(source, tree, owner=owner)
        return True

    def destroy(self, path: str) -> None:
        remove_tree(path, detach_mounts=True)


class _KindOfItem(WholeTrees):
    name = "plain"

    def __init__(self, place: DriverPlace) -> None:
        folder = "books"
        for name, value, key in options_for(self.name, place.options):
            if name != "folder":
                raise DriverError(self.name, f"it has no option {key!r}")
            folder = value
        super().__init__(TreeHome(place.home, folder, _Maker()), run_home=place.run_home, sync=place.sync)


def open_driver(place: DriverPlace) -> Driver:
    return _KindOfItem(place)
