"""Commands that list a Docker data root, and import or export its images and layers. They never change the root."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, word, words
from cstore.cli.session import Intent, Session, View
from cstore.errors import AmbiguousImageID, CstoreError, ImageUnknown, UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from cstore.cli.files import FileSink
    from cstore.docker import DockerRoot
    from cstore.docker.root import DockerContainer, DockerImage
    from cstore.transfer import Imported

    F = TypeVar("F", bound=Callable[..., Any])


def _of_a_root(function: F) -> F:
    """Declare the common arguments of these commands: the root, and the driver in case there are several."""
    choice = text("--docker-driver", metavar="NAME", help="Docker's storage driver, if ROOT has images of several.")
    return word("root", "ROOT")(choice(function))


@command("docker-images", example="cstore docker-images /var/lib/docker")
@_of_a_root
@json_option
def docker_images(session: Session, root: str, docker_driver: str) -> None:
    """List the images in a Docker data root.

    Prints each image's ID, then a line for each name. ROOT is the daemon's data root, usually /var/lib/docker. Works
    without the daemon, and writes nothing to ROOT.
    """
    from cstore.cli.output import docker as output

    source = _opened(session, root, docker_driver)
    images = list(source.images.values())
    _complain(session, source)
    session.show(
        View(
            lambda: [output.docker_image_document(image) for image in images],
            lambda: output.image_lines((image.config.digest, image.names) for image in images),
            lambda: output.docker_image_table(images),
        )
    )


@command("docker-layers", example="cstore docker-layers /var/lib/docker")
@_of_a_root
@json_option
def docker_layers(session: Session, root: str, docker_driver: str) -> None:
    """List the layers in a Docker data root.

    Prints a layer's ChainID, DiffID and size in bytes, separated by tabs. Warns of directories that belong to no layer.
    """
    from cstore.cli.output import docker as output

    source = _opened(session, root, docker_driver)
    layers = list(source.layers.values())
    _complain(session, source)
    session.warn(f"{path} belongs to no layer" for path in source.orphans)
    session.show(
        View(
            lambda: [output.docker_layer_document(layer) for layer in layers],
            lambda: (f"{layer.chain_id}\t{layer.diff_id}\t{layer.size}" for layer in layers),
            lambda: output.docker_layer_table(layers),
        )
    )


@command("docker-containers", example="cstore docker-containers /var/lib/docker")
@_of_a_root
@json_option
def docker_containers(session: Session, root: str, docker_driver: str) -> None:
    """List the containers in a Docker data root.

    Prints a container's ID, name, last recorded state, image ID, and the bytes that it added or modified, separated by
    tabs.
    """
    from cstore.cli.output import docker as output

    source = _opened(session, root, docker_driver)
    rows = [(container, _size(session, source, container)) for container in source.containers]
    _complain(session, source)
    session.show(
        View(
            lambda: [output.docker_container_document(*row) for row in rows],
            lambda: output.docker_container_lines(rows),
            lambda: output.docker_container_table(rows),
        )
    )


def _size(session: Session, source: DockerRoot, container: DockerContainer) -> int:
    try:
        return source.container_size(container)
    except CstoreError as error:  # its layers are damaged, but list the other containers
        session.complain(error, container.name)
        return 0


@command(
    "docker-export",
    example="cstore docker-export -f alpine.tar /var/lib/docker alpine:3.19\n"
    "cstore docker-export -f changes.tar /var/lib/docker my-container",
)
@_of_a_root
@word("item", "ITEM")
@text("-f", "--file", metavar="FILE", help="Write to FILE instead of standard output.")
@switch("-q", "--quiet", help="Show no progress.")
def docker_export(session: Session, root: str, docker_driver: str, item: str, file: str, quiet: bool) -> None:
    """Write an image, layer or container of a Docker data root as a tar archive.

    ROOT is a Docker data root. Looks for ITEM among layers (by ChainID), images and containers, in this order. Writes a
    layer as its original tar archive, byte for byte; an image as a docker-archive, as docker save does, with every
    layer verified; a container as a tar archive of its changes.
    """
    from cstore.cli.files import result_file
    from cstore.cli.output.progress import progress_bar

    source = _opened(session, root, docker_driver)
    write = _writer(source, item)
    with (
        result_file(file, sync=session.config.sync) as sink,
        progress_bar("exporting", None, quiet=quiet or not file) as sink.progress,
    ):
        write(sink)


def _writer(source: DockerRoot, item: str) -> Callable[[FileSink], None]:
    """Find the layer, image or container, and return the function that writes it."""
    from functools import partial

    for chain in (item, f"sha256:{item}"):
        if chain in source.layers:
            return partial(source.write_layer, chain)
    try:
        image = source.image(item)
    except AmbiguousImageID:
        raise
    except ImageUnknown:
        return partial(source.write_container, source.container(item))
    from cstore.transfer import export_docker_image

    return partial(export_docker_image, source, image)


@command(
    "docker-import",
    example="cstore docker-import /var/lib/docker alpine:3.19\ncstore docker-import --all /var/lib/docker",
)
@_of_a_root
@words("images", "IMAGE", required=False)
@switch("-a", "--all", help="Import all images.")
@switch("--notes", help="Import Docker's notes too: parent, time of tagging, built here or not.")
@switch("--podman-names", help="Complete short names with localhost/, as Podman does, not with docker.io/library/.")
@switch("-q", "--quiet", help="Show no progress.")
@json_option
def docker_import(session: Session, /, root: str, docker_driver: str, images: tuple[str, ...], **wanted: bool) -> None:
    """Import images from a Docker data root.

    ROOT is the daemon's data root. Works without the daemon, and writes nothing to ROOT. An image given by name gets
    only that name; one given by ID or ID prefix gets all of its names. Verifies every layer against its digest; the
    result is what Podman would pull from the daemon. If an image cannot be imported, nothing of it remains, and the
    others are imported all the same. Prints a line for each name, or the ID of an image without a name.
    """
    from cstore.cli.output.progress import progress_bar
    from cstore.transfer import import_docker_image

    source = _opened(session, root, docker_driver)
    chosen = _chosen(session, source, images, everything=wanted["all"])
    store = session.open(Intent.WRITE)
    done: list[Imported] = []
    told: list[object] = []
    for image, names in chosen:
        try:
            with progress_bar("importing", None, quiet=wanted["quiet"]) as progress:
                imported = import_docker_image(
                    source, image, store, names=names, podman_names=wanted["podman_names"], progress=progress
                )
        except CstoreError as error:
            session.complain(error, image.names[0] if image.names else image.id)
            continue
        done.append(imported)
        session.show(_shown(imported), into=told)
    if wanted["notes"]:
        from cstore.docker.root import import_notes

        for one in done:  # after all images exist: a parent may follow its child
            import_notes(source.images[one.id], store)
    if wanted["all"]:
        _complain(session, source)
    session.whole(told)


def _shown(image: Imported) -> View:
    """Return a view of an imported image."""
    from cstore.cli.output import docker as output

    return View(lambda: output.imported_document(image), lambda: output.imported_lines(image))


def _chosen(
    session: Session, source: DockerRoot, words_: tuple[str, ...], *, everything: bool
) -> Sequence[tuple[DockerImage, Sequence[str]]]:
    """Return the chosen images, each with the names to import: those on the command line, or else all of its names."""
    from cstore.docker.root import names_meant

    if everything == bool(words_):
        raise UsageMistake("name the images to import, or give --all", hint=f"see cstore docker-images {source.path}")
    if everything:
        return [(image, image.names) for image in source.images.values()]
    found: dict[str, list[str]] = {}
    for word_ in words_:
        try:
            image = source.image(word_)
        except CstoreError as error:
            session.complain(error, word_)
            continue
        found.setdefault(image.id, []).extend(names_meant(image, word_) or image.names)
    return [(source.images[image_id], tuple(dict.fromkeys(names))) for image_id, names in found.items()]


def _opened(session: Session, root: str, driver: str) -> DockerRoot:
    from cstore.docker import DockerRoot

    source = DockerRoot(root, driver)
    session.warn(source.warnings)
    return source


def _complain(session: Session, source: DockerRoot) -> None:
    for flaw in source.flaws:
        session.complain(flaw)
