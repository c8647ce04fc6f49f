"""Changes, diff and size for drivers whose layers are whole trees, by comparing two trees."""

from __future__ import annotations

from cstore.archive.changes import Change, changes_size, compare_trees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.streams import Sink
    from cstore.drivers.contract import Driver
    from cstore.idmap import IDMap


def tree_changes(driver: Driver, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> list[Change]:
    """Compare the trees of two layers; without `base`, all files are new."""
    with driver.tree_of(layer) as new:
        if base is None:
            return compare_trees(new, None, layer_map, base_map)
        with driver.tree_of(base) as old:
            return compare_trees(new, old, layer_map, base_map)


def write_tree_diff(
    driver: Driver,
    layer: str,
    base: str | None,
    sink: Sink,
    layer_map: IDMap,
    base_map: IDMap,
    gone_at: float | None = None,
) -> None:
    """Write the changes of `layer` compared with `base` as an uncompressed tar."""
    from cstore.archive.pack import pack_changes, pack_tree

    if base is None:
        with driver.tree_of(layer) as new:
            pack_tree(new, sink, layer_map)
        return
    changes = tree_changes(driver, layer, base, layer_map, base_map)
    with driver.tree_of(layer) as new, driver.tree_of(base) as old:
        pack_changes(new, old, changes, sink, layer_map, now=gone_at)


def tree_diff_size(driver: Driver, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> int:
    """Return the bytes in added and modified files, counting hard links once."""
    changes = tree_changes(driver, layer, base, layer_map, base_map)
    with driver.tree_of(layer) as new:
        return changes_size(new, changes)
