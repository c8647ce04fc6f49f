"""Output for layers by ChainID, images and their parents, and Docker data roots.

Each kind has plain lines, a JSON document and a table for terminals. Only the tables import rich.
"""

from __future__ import annotations

from cstore.cli.output.structured import VERSION, Listed
from cstore.cli.output.text import human_size, short_id, visible
from cstore.gojson import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from cstore import Image
    from cstore.docker import ChainOutline, Freed, ImageStore, ReadOnlyLayer, Step, WritableLayer
    from cstore.docker.root import DockerContainer, DockerImage, DockerLayer
    from cstore.transfer import Imported

    Rows = Iterable[Sequence[str]]


# ── layers by ChainID ──


def chain_lines(layers: Iterable[ReadOnlyLayer | ChainOutline], *, size: bool = False) -> Iterator[str]:
    """Yield the ChainID of each layer, and below it its DiffID and layer ID; with `size`, its sizes in bytes too."""
    for layer in layers:
        yield layer.chain_id
        yield f"\tdiff: {layer.diff_id}"
        yield f"\tlayer: {layer.layer}"
        if size and not isinstance(layer, tuple):
            yield f"\tdiff-size: {layer.diff_size()}"
            yield f"\tsize: {layer.size()}"


def chain_documents(layers: Sequence[ReadOnlyLayer | ChainOutline], *, size: bool = False) -> object:
    """Return the documents of registered layers.

    Without `size`, each document is built when it is written. With it, all are built first, because reading a size can
    fail.
    """
    if size or not layers:
        return [chain_document(layer, size=size) for layer in layers]
    return Listed(encode(chain_document(layer), without_floats=True) for layer in layers)


def chain_document(layer: ReadOnlyLayer | ChainOutline, *, size: bool = False) -> dict[str, Any]:
    """Return the document of a registered layer; with `size`, including its sizes and the driver's directories."""
    below = layer.parent
    sizes = {}
    if size and not isinstance(layer, tuple):
        sizes = {"diff_size": layer.diff_size(), "size": layer.size(), "directories": layer.metadata()}
    return {
        "version": VERSION,
        "chain_id": layer.chain_id,
        "diff_id": layer.diff_id,
        "parent": "" if below is None else below.chain_id,
        "layer": layer.layer,
        "depth": layer.depth,
        **sizes,
    }


def chain_table(layers: Sequence[ReadOnlyLayer | ChainOutline], *, size: bool = False) -> None:
    """Print layers by ChainID as a table."""

    def sizes_of(layer: ReadOnlyLayer | ChainOutline) -> list[str]:
        given = () if isinstance(layer, tuple) or not size else (layer.diff_size(), layer.size())
        return [human_size(each) for each in given]

    rows = (
        (_short(layer.chain_id), _short(layer.diff_id), short_id(layer.layer), str(layer.depth), *sizes_of(layer))
        for layer in layers
    )
    sizes = ("Diff size", "Size") if size else ()
    _table(("ChainID", "DiffID", "Layer", "Depth", *sizes), rows, right={"Depth", *sizes})


def freed_document(freed: Freed) -> dict[str, Any]:
    """Return the document of a deleted layer."""
    return {
        "version": VERSION,
        "chain_id": freed.chain_id,
        "diff_id": freed.diff_id,
        "layer": freed.layer,
        "size": freed.size,
        "diff_size": freed.diff_size,
    }


# ── writable layers ──


def writable_lines(layers: Iterable[WritableLayer]) -> Iterator[str]:
    """Yield one line per writable layer: name, ID, ChainID of the parent."""
    for layer in layers:
        yield f"{visible(layer.name)}\t{layer.layer}\t{layer.parent.chain_id if layer.parent else ''}"


def writable_document(layer: WritableLayer) -> dict[str, Any]:
    """Return the document of a writable layer."""
    parent = layer.parent.chain_id if layer.parent else ""
    return {"version": VERSION, "name": layer.name, "layer": layer.layer, "parent": parent}


def writable_table(layers: Iterable[WritableLayer]) -> None:
    """Print writable layers as a table."""
    rows = (
        (layer.name, short_id(layer.layer), _short(layer.parent.chain_id) if layer.parent else "") for layer in layers
    )
    _table(("Name", "Layer", "Parent"), rows)


# ── images ──


def released_lines(image: Image, freed: Iterable[Freed]) -> Iterator[str]:
    """Yield the names, the ID and the layers of a deleted image, as Docker prints them."""
    yield from (f"Untagged: {name}" for name in image.names)
    yield f"Deleted: sha256:{image.id}"
    yield from (f"Deleted: {one.chain_id}" for one in freed)


def released_document(image: Image, freed: Iterable[Freed]) -> dict[str, Any]:
    """Return the document of a deleted image and its deleted layers."""
    layers = [freed_document(one) for one in freed]
    return {**image_document(image.id, image.names), "layers": layers}


def image_document(image: str, names: Iterable[str]) -> dict[str, Any]:
    """Return a document with the ID of an image, given with or without `sha256:`, and its names."""
    return {"version": VERSION, "id": image.removeprefix("sha256:"), "names": list(names)}


def lineage_document(images: ImageStore, image: str) -> dict[str, Any]:
    """Return the recorded parent, children, update time and origin of an image."""
    from cstore.errors import ParentImageUnknown

    try:
        parent = images.parent(image)
    except ParentImageUnknown:
        parent = ""
    return {
        "version": VERSION,
        "id": image,
        "parent": parent.removeprefix("sha256:"),
        "children": [child.removeprefix("sha256:") for child in images.children(image)],
        "last_updated": images.last_updated(image),
        "built_locally": images.built_locally(image),
    }


def lineage_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ID of an image, and below it each value of its lineage document that is recorded."""
    yield f"sha256:{told['id']}"
    if told["parent"]:
        yield f"\tparent: sha256:{told['parent']}"
    yield from (f"\tchild: sha256:{child}" for child in told["children"])
    if told["last_updated"]:
        yield f"\tlast-updated: {told['last_updated']}"
    if told["built_locally"]:
        yield "\tbuilt-locally: true"


def image_lines(images: Iterable[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Yield the ID of each image, and below it its names."""
    for image, names in images:
        yield image
        for name in names:
            yield f"\tname: {name}"


def image_table(images: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Print images as a table."""
    _table(("ID", "Names"), ((_short(image), ", ".join(names)) for image, names in images))


def step_lines(steps: Iterable[Step]) -> Iterator[str]:
    """Yield one line per history step: image, size in bytes, time, command."""
    for step in steps:
        yield f"{step.image or '<missing>'}\t{step.size}\t{step.created}\t{visible(step.created_by or step.comment)}"


def step_document(step: Step) -> dict[str, Any]:
    """Return the document of a step of an image's history."""
    return {
        "version": VERSION,
        "id": step.image.removeprefix("sha256:"),
        "created": step.created,
        "created_by": step.created_by,
        "comment": step.comment,
        "size": step.size,
        "names": list(step.names),
    }


def step_table(steps: Sequence[Step]) -> None:
    """Print an image's history as a table."""
    rows = (
        (_short(step.image) or "<missing>", human_size(step.size), step.created[:19], step.created_by or step.comment)
        for step in steps
    )
    _table(("Image", "Size", "Created", "Made by"), rows, right={"Size"})


# ── a Docker data root ──


def docker_image_document(image: DockerImage) -> dict[str, Any]:
    """Return the document of an image of a data root, including Docker's own metadata."""
    return {
        "version": VERSION,
        "id": image.id,
        "names": list(image.names),
        "digests": list(image.digests),
        "parent": image.parent,
        "created": image.config.created,
        "last_updated": image.last_updated,
        "built_locally": image.built_locally,
        "size": image.size,
        "layers": list(image.config.rootfs.diff_ids),
    }


def docker_image_table(images: Sequence[DockerImage]) -> None:
    """Print the images of a data root as a table."""
    rows = (
        (
            short_id(image.id),
            ", ".join(image.names),
            human_size(image.size),
            str(len(image.config.rootfs.diff_ids)),
            image.config.created[:19],
            short_id(image.parent),
        )
        for image in images
    )
    _table(("ID", "Names", "Size", "Layers", "Created", "Parent"), rows, right={"Size", "Layers"})


def docker_layer_document(layer: DockerLayer) -> dict[str, Any]:
    """Return the document of a layer of a data root."""
    return {
        "version": VERSION,
        "chain_id": layer.chain_id,
        "diff_id": layer.diff_id,
        "parent": layer.parent,
        "cache_id": layer.cache_id,
        "size": layer.size,
    }


def docker_layer_table(layers: Sequence[DockerLayer]) -> None:
    """Print the layers of a data root as a table."""
    rows = (
        (_short(layer.chain_id), _short(layer.diff_id), _short(layer.parent), human_size(layer.size))
        for layer in layers
    )
    _table(("ChainID", "DiffID", "Parent", "Size"), rows, right={"Size"})


def docker_container_lines(rows: Iterable[tuple[DockerContainer, int]]) -> Iterator[str]:
    """Yield one line per container: ID, name, state, image, size in bytes."""
    for one, size in rows:
        yield f"{one.id}\t{visible(one.name)}\t{one.state}\t{one.image}\t{size}"


def docker_container_document(one: DockerContainer, size: int) -> dict[str, Any]:
    """Return the document of a container of a data root."""
    return {
        "version": VERSION,
        "id": one.id,
        "name": one.name,
        "image": one.image,
        "created": one.created,
        "state": one.state,
        "mount_id": one.mount.mount_id if one.mount else "",
        "size": size,
    }


def docker_container_table(rows: Sequence[tuple[DockerContainer, int]]) -> None:
    """Print the containers of a data root as a table."""
    shown = (
        (short_id(one.id), one.name, short_id(one.image), one.state, human_size(size), one.created[:19])
        for one, size in rows
    )
    _table(("ID", "Name", "Image", "State", "Size", "Created"), shown, right={"Size"})


def imported_lines(imported: Imported) -> Iterator[str]:
    """Yield one line per name of an imported image, or one with its ID if it has none, as `load` prints them."""
    if not imported.names:
        yield f"Loaded image ID: sha256:{imported.id}"
    for name in imported.names:
        yield f"Loaded image: {name}"


def imported_document(imported: Imported) -> dict[str, Any]:
    """Return the document of an imported image."""
    return {**image_document(imported.id, imported.names), "new_layers": list(imported.new_layers)}


def _short(digest: str) -> str:
    return short_id(digest.removeprefix("sha256:"))


def _table(titles: Sequence[str], rows: Rows, right: Iterable[str] = ()) -> None:
    from cstore.cli.output.styled import show_rows

    show_rows(titles, rows, right, first="cyan")
