"""Read the contents of a data root's layers from their directories, without a mount (docker 17)."""

from __future__ import annotations

from cstore.errors import LayerNotVerified

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.archive.streams import Sink
    from cstore.docker.root.layerdb import DockerLayer, DockerMount
    from cstore.docker.root.place import Place


def write_layer(place: Place, line: Sequence[DockerLayer], sink: Sink) -> None:
    """Write the archive that a layer was registered from, byte for byte.

    Args:
        place: the data root.
        line: the chain of the layer, bottom first.
        sink: takes the archive; if this function raises, the sink has received something else.

    Raises:
        ContentDamaged, TarSplitDamaged: a file or the tar-split has changed.
        LayerNotVerified: the archive has another digest.
        Unsupported: the driver's trees cannot be read.
    """
    from cstore.archive.names import scoped_name
    from cstore.archive.rebuild import rebuild
    from cstore.archive.streams import HashingSink

    layer = line[-1]
    hashed = HashingSink(sink)
    # A file unpacked through a link of a lower layer is in the link's target, in a layer further down.
    needed = reversed(line) if place.is_union else [layer]
    rebuild(layer.tar_split, [place.tree(one.cache_id) for one in needed], hashed, layer.chain_id, clean=scoped_name)
    if hashed.digest != layer.diff_id:
        raise LayerNotVerified(layer.chain_id, layer.diff_id)


def layer_length(layer: DockerLayer) -> int:
    """Return the size of the archive that a layer was registered from, in bytes.

    Raises:
        TarSplitDamaged: the tar-split cannot be read.
    """
    from cstore.archive.tarsplit import Segment, read_lines

    lines = read_lines(layer.tar_split)
    return sum(len(line.payload) if isinstance(line, Segment) else line.size for line in lines)


def write_container(place: Place, mount: DockerMount, line: Sequence[DockerLayer], sink: Sink) -> None:
    """Write the changes of a container as a tar.

    Raises:
        Unsupported: the driver's trees cannot be read.
    """
    upper, below = place.tree(mount.mount_id), _below(place, mount, line)
    if place.is_union:
        from cstore.drivers.overlay.diff import changes_in

        changes = changes_in(upper, below)
        if changes is None:
            from cstore.errors import Unsupported

            raise Unsupported(
                f"container {mount.mount_id} was written with redirect_dir or metacopy: its directory alone does not "
                "tell what it changed",
                hint="export it with Docker",
            )
        changes.write(sink, place.id_map)
        return
    from cstore.archive.changes import compare_trees
    from cstore.archive.pack import pack_changes

    base = below[0] if below else None
    pack_changes(upper, base, compare_trees(upper, base), sink, place.id_map)


def container_size(place: Place, mount: DockerMount, line: Sequence[DockerLayer]) -> int:
    """Return the bytes of files that a container added or modified, as Docker counts them."""
    upper = place.tree(mount.mount_id)
    if place.is_union:
        from cstore.fs.tree import usage

        return usage(upper).bytes
    from cstore.archive.changes import changes_size, compare_trees

    below = _below(place, mount, line)
    return changes_size(upper, compare_trees(upper, below[0] if below else None))


def _below(place: Place, mount: DockerMount, line: Sequence[DockerLayer]) -> list[str]:
    """Return the trees below a writable layer, nearest first."""
    names = [*([mount.init_id] if mount.init_id else []), *(layer.cache_id for layer in reversed(line))]
    return [place.tree(name) for name in names]
