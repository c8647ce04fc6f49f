"""Plain lines for scripts, as the Go tool prints them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cstore import Change, Container, Layer
    from cstore.cli.output.trees import Branch, LayerRow
    from cstore.cli.output.views import ContainerFacts, Holders, ImageFacts
    from cstore.store import Leftover

CHANGE_VERBS = ("Modify", "Add", "Delete")


def created(item: str, names: Iterable[str]) -> Iterator[str]:
    """Yield the ID of a new item, then its names."""
    yield item
    for name in names:
        yield f"\t{name}"


def layers(heads: Iterable[tuple[str, Iterable[str]]], holders: Holders) -> Iterator[str]:
    """Yield the ID and names of each layer, and the images and containers to which it belongs."""
    for identifier, names in heads:
        yield identifier
        for name in names:
            yield f"\tname: {name}"
        for kind, by_layer in (("image", holders.images), ("container", holders.containers)):
            for holder in by_layer.get(identifier, ()):
                yield f"\t{kind}: {holder.id}"
                for name in holder.names:
                    yield f"\t\tname: {name}"


def tree(branches: Iterable[Branch]) -> Iterator[str]:
    """Yield the lines of a tree of layers, each layer followed by its notes."""
    for branch in branches:
        if not branch.columns:
            yield branch.name
            continue
        *above, follows = branch.columns
        indent = "".join("│ " if runs else "  " for runs in above)
        yield f"{indent}{'├' if follows else '└'}─{branch.name}"
        for note in notes(branch.row):
            yield f"{indent}{'│' if follows else ' '} {note}"


def notes(row: LayerRow | None) -> Iterator[str]:
    """Yield the notes on a layer in a tree: its names, mount point, images and containers."""
    if row is None:
        return
    for name in row.layer.names:
        yield f"name: {name}"
    if row.mount:
        yield f"mount: {row.mount}"
    for kind, holders in (("image", row.images), ("container", row.containers)):
        for holder in holders:
            yield f"{kind}: {holder.id}"
            for name in holder.names:
                yield f"{kind} name: {name}"


def layer(record: Layer, *, read_only: bool) -> Iterator[str]:
    """Yield the record of a layer."""
    yield f"ID: {record.id}"
    for kind, ranges in (("UID", record.uid_map), ("GID", record.gid_map)):
        for part in ranges:
            yield f"{kind} mapping: (container={part.container_id}, host={part.host_id}, size={part.size})"
    if record.parent:
        yield f"Parent: {record.parent}"
    for name in record.names:
        yield f"Name: {name}"
    if read_only:
        yield "Read Only: true"


def images(found: Iterable[ImageFacts]) -> Iterator[str]:
    """Yield the ID of each image, and below it its names, digests and data items."""
    for one in found:
        yield one.image.id
        for label, values in (("name", one.image.names), ("digest", one.digests), ("data", one.image.data_names)):
            for value in values:
                yield f"\t{label}: {value}"


def image(one: ImageFacts, size: int | str) -> Iterator[str]:
    """Yield the record of an image. `size` is its size in bytes, or the reason why the size is unknown."""
    yield f"ID: {one.image.id}"
    for name in one.image.names:
        yield f"Name: {name}"
    for layer in (one.image.layer, *one.image.mapped_layers):
        yield f"Top Layer: {layer}"
    for digest in one.digests:
        yield f"Digest: {digest}"
    for item in one.image.data_names:
        yield f"Data: {item}"
    yield f"Size: {size}" if isinstance(size, int) else f"Size unknown: {size}"
    if one.read_only:
        yield "Read Only: true"


def containers(records: Iterable[Container]) -> Iterator[str]:
    """Yield the ID of each container, and below it its names and data items."""
    for record in records:
        yield record.id
        for label, values in (("name", record.names), ("data", record.data_names)):
            for value in values:
                yield f"\t{label}: {value}"


def container(one: ContainerFacts, size: int | str) -> Iterator[str]:
    """Yield the record of a container. `size` is its size in bytes, or the reason why the size is unknown."""
    record = one.container
    yield f"ID: {record.id}"
    for name in record.names:
        yield f"Name: {name}"
    yield f"Image: {record.image}"
    for name in one.image_names:
        yield f"Image name: {name}"
    yield f"Size: {size}" if isinstance(size, int) else f"Size unknown: {size}"
    yield f"Layer: {record.layer}"
    for item in record.data_names:
        yield f"Data: {item}"


def changes(found: Iterable[Change]) -> Iterator[str]:
    """Yield the changes in a layer, one line each: a verb and a quoted path."""
    from cstore.cli.output.text import go_quoted

    for change in found:
        yield f"{CHANGE_VERBS[change.kind]} {go_quoted(change.path)}"


def unquoted_changes(found: Iterable[Change]) -> Iterator[str]:
    """Yield the changes in a layer with unquoted paths, for lines that end with a NUL."""
    for change in found:
        yield f"{CHANGE_VERBS[change.kind]} {os.fsdecode(change.path)}"


def owners(item: str, uids: Sequence[int], gids: Sequence[int]) -> Iterator[str]:
    """Yield the owners that the ID maps of a layer do not cover."""
    yield f"ID: {item}"
    for title, numbers in (("UIDs", uids), ("GIDs", gids)):
        if numbers:
            yield f"{title}: {listed(map(str, numbers))}"


def container_owners(item: str, uids: Sequence[int], gids: Sequence[int]) -> Iterator[str]:
    """Yield the owners that the ID maps of a container's layer do not cover; empty lists are printed too."""
    yield f"ID: {item}"
    yield f"UIDs: {listed(map(str, uids))}"
    yield f"GIDs: {listed(map(str, gids))}"


def listed(values: Iterable[str]) -> str:
    """Return a list as Go prints it: `[a b]`."""
    return f"[{' '.join(values)}]"


def leftovers(found: Iterable[Leftover]) -> Iterator[str]:
    """Yield the result of garbage collection, one line each: kind, bytes and path, separated by tabs."""
    for leftover in found:
        yield f"{leftover.kind}\t{leftover.bytes}\t{leftover.path}"
