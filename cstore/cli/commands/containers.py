"""Commands that create and show containers."""

from __future__ import annotations

from cstore import errors
from cstore.cli.command import command, json_option, switch, text, texts, word, words
from cstore.cli.listing import in_columns, listing_options, picked, query_of
from cstore.cli.options import id_map_options, requested_map
from cstore.cli.session import Intent, Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore import Container, Store


@command(
    "create-container",
    example="cstore create-container --name web debian\n"
    "cstore create-container --name mapped --uidmap 0:100000:65536 --gidmap 0:100000:65536 debian",
)
@word("image", "IMAGE")
@text("-i", "--id", help="ID of the new container (default: random).")
@texts("-n", "--name", metavar="NAME", help="Name of the new container; may be repeated.")
@text("-m", "--metadata", help="Metadata.")
@text("-f", "--metadata-file", metavar="FILE", help="Read the metadata from FILE; overrides --metadata.")
@text("--layer-id", metavar="ID", help="ID of the container's own layer (default: random).")
@texts("--layer-opt", metavar="KEY=VALUE", help="Option of the driver for the layer, such as size=10G with btrfs.")
@texts("--mount-opt", metavar="OPTION", help="Option for each mount of the layer, such as nodev.")
@texts("--label-opt", metavar="OPTION", help="Change the SELinux labels: disable, or e.g. type:T, level:L, filetype:T.")
@switch("--volatile", help="Mount the layer without syncing: a power cut may lose the container's writes.")
@id_map_options
@json_option
def create_container(session: Session, /, image: str, metadata_file: str, **wanted: Any) -> None:
    """Create a container from an image.

    The container gets its own writable layer on top of the image's layers. An IMAGE of "" makes a container without an
    image. Prints the container's ID, then a line for each name.
    """
    from cstore import NewContainer
    from cstore.cli.files import read_whole
    from cstore.cli.output import plain

    request = NewContainer(
        image=image,
        id=wanted["id"],
        names=wanted["name"],
        metadata=read_whole(metadata_file).decode(errors="replace") if metadata_file else wanted["metadata"],
        id_map=requested_map(wanted),
        host_uids=wanted["hostuidmap"],
        host_gids=wanted["hostgidmap"],
        volatile=wanted["volatile"],
        layer=wanted["layer_id"],
        storage_options=_pairs("--layer-opt", wanted["layer_opt"]),
        mount_options=wanted["mount_opt"],
        label_options=wanted["label_opt"],
    )
    container = session.open(Intent.WRITE).containers.create(request)
    session.show(View(container.document, lambda: plain.created(container.id, container.names)))


def _pairs(option: str, given: tuple[str, ...]) -> dict[str, str]:
    """Return the values of options of the form KEY=VALUE by key.

    Raises:
        UsageMistake: a value has another form.
    """
    for each in given:
        if not each.partition("=")[0] or "=" not in each:
            raise errors.UsageMistake(f"{option} takes KEY=VALUE, not {each!r}", hint=f"write {option} size=10G")
    return dict(each.split("=", 1) for each in given)


@command(
    "containers",
    example="cstore containers\ncstore containers --json | jq -r '.[].id'\n"
    "cstore containers --filter ancestor=debian --columns names,image,created",
)
@switch("-q", "--quiet", help="Print IDs only.")
@listing_options
@json_option
def containers(session: Session, quiet: bool, **wanted: Any) -> None:
    """List containers.

    Lists each container with its names and data items; on a terminal, with its image, age and state.

    --sort and --columns take names, id, image, created, state, size and layer. With --columns, a pipe gets lines with
    tabs between the columns, `-` for a size that is not known, and --json an object for each container. --filter takes
    Podman's keys: name=REGEX, id=PREFIX, ancestor=IMAGE (the container's image, or one that it is built on),
    before=CONTAINER, since=CONTAINER. Values of one key are alternatives; every key must match.

    Exit status: 2 if there is no such column or filter.
    """
    from cstore.cli.output import plain

    query = query_of("container", wanted, "--quiet" if quiet else "")
    store = session.open(Intent.RECORDS)
    found = picked(session, store, query, store.containers.list())
    listed = View(
        lambda: [container.document() for container in found],
        lambda: (container.id for container in found) if quiet else plain.containers(found),
    )
    whole = wanted["no_trunc"]
    session.show(in_columns(session, listed, store, "container", lambda: found, query, whole=whole, quiet=quiet))


@command("container", example="cstore container web")
@words("containers", "CONTAINER")
@json_option
def container(session: Session, containers: tuple[str, ...]) -> None:
    """Show container records.

    The size counts what belongs to the container alone: the changes in its layer, its data items, and the files in its
    two directories.
    """
    from cstore.cli.output import plain, views

    store = session.open(Intent.RECORDS if session.json else Intent.CONTENT)
    found = []
    for name in containers:
        try:
            found.append(store.containers.get(name))
        except errors.CstoreError as error:
            session.complain(error, name)

    def shown() -> list[tuple[views.ContainerFacts, int | str]]:
        return [(facts, _size(store, facts.container)) for facts in views.container_facts(store, found)]

    def table() -> None:
        from cstore.cli.output import styled

        styled.container_details(shown())

    session.show(
        View(
            lambda: [record.document() for record in found],
            lambda: (line for facts, size in shown() for line in plain.container(facts, size)),
            table,
        )
    )


def _size(store: Store, container: Container) -> int | str:
    """Return the size in bytes, or the error message if the size cannot be determined."""
    try:
        return store.containers.size(container.id)
    except errors.CstoreError as error:
        return error.go_text


@command("container-parent-owners", example="cstore container-parent-owners web")
@words("containers", "CONTAINER")
@json_option
def container_parent_owners(session: Session, containers: tuple[str, ...]) -> None:
    """List owners of parent directories that a container's ID map lacks.

    These users and groups own a directory above the mount point, and the ID map of the container's layer does not
    contain them. A container with an ID map must be mounted.
    """
    from cstore.cli.commands.layers import owners
    from cstore.cli.output import plain

    store = session.open(Intent.RECORDS)
    for name in containers:
        try:
            found = store.containers.get(name)
            uids, gids = store.containers.parent_owners(found.id)
        except errors.CstoreError as error:
            session.complain(error, name)
            continue
        session.show(owners(found.id, uids, gids, plain.container_owners))
