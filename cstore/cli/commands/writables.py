"""Commands that create, list, commit and delete named writable layers, such as Docker creates for each container."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, texts, word, words
from cstore.cli.commands.configs import image_id
from cstore.cli.session import Intent, Session, View
from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@command("create-writable", example="cstore create-writable scratch\ncstore create-writable --init work base")
@word("name", "NAME")
@word("parent", "PARENT", required=False)
@text("-l", "--label", help="SELinux label for its mounts.")
@text("--size", metavar="SIZE", help="Limit the layer's size, such as 10G, if the driver supports it.")
@switch("--init", help="Add the files that Docker adds below containers, such as /etc/hosts.")
@json_option
def create_writable(session: Session, /, name: str, parent: str, **wanted: Any) -> None:
    """Create a named writable layer.

    Creates the layer on top of PARENT, which is a ChainID, or the ID or name of a layer with one; without PARENT, the
    layer is empty. mount, unmount, changes, diff, diffsize and applydiff accept NAME. The files that --init adds are
    visible in the mount but are not changes of the layer. Prints the layer's ID.
    """
    from cstore.cli.output import docker as output
    from cstore.docker import LayerStore, make_engine_files

    layers = LayerStore(session.open(Intent.WRITE))
    made = layers.writable.create(
        name,
        layers.chain_of(parent) if parent else "",
        label=wanted["label"],
        init=make_engine_files if wanted["init"] else None,
        storage_options={"size": wanted["size"]} if wanted["size"] else {},
    )
    session.show(View(lambda: output.writable_document(made), lambda: [made.layer]))


@command("writables", example="cstore writables")
@json_option
def writables(session: Session) -> None:
    """List writable layers.

    Prints a layer's name, its ID, and the ChainID of its parent, separated by tabs. Containers' layers are not
    included.
    """
    from cstore.cli.output import docker as output
    from cstore.docker import LayerStore

    layers = LayerStore(session.open(Intent.RECORDS)).writable
    found = [layers.get(name) for name in layers.names()]
    session.show(
        View(
            lambda: [output.writable_document(one) for one in found],
            lambda: output.writable_lines(found),
            lambda: output.writable_table(found),
        )
    )


@command("commit", example="cstore commit --name app:2 work app")
@word("writable", "WRITABLE")
@word("image", "IMAGE")
@texts("-n", "--name", metavar="NAME", help="Name of the new image; may be repeated.")
@text("--author", help="Author of the image.")
@text("--comment", help="Comment for the image's history.")
@json_option
def commit(session: Session, /, writable: str, image: str, name: tuple[str, ...], author: str, comment: str) -> None:
    """Create an image from a writable layer.

    The new image is IMAGE plus one layer with the changes of WRITABLE, which must be based on the layers of IMAGE and
    is not changed. Prints the image's ID. A short NAME is completed as Docker completes it: app becomes
    docker.io/library/app:latest.
    """
    from cstore.cli.output import docker as output
    from cstore.docker import ImageStore, LayerStore, full_tag

    for one in name:
        full_tag(one)
    store = session.open(Intent.WRITE)
    layers = LayerStore(store)
    images = ImageStore(store, layers)
    source, parent = layers.writable.get(writable), image_id(store, image)
    made = images.commit(source, parent, author=author, comment=comment, names=name)
    names = [str(full_tag(one)) for one in name]
    session.show(View(lambda: output.image_document(made, names), lambda: [made]))


@command("delete-writable", example="cstore delete-writable scratch")
@words("names", "NAME")
@switch("-y", "--yes", help="Do not ask for confirmation on a terminal.")
@json_option
def delete_writable(session: Session, names: tuple[str, ...], yes: bool) -> None:
    """Delete writable layers and layers that become unused.

    Unmounts a mounted layer. Deletes the layers below as release does, down to the first that is in use. Prints their
    ChainIDs, uppermost first.
    """
    from cstore.cli.output import docker as output
    from cstore.cli.output.asking import may_delete
    from cstore.docker import LayerStore

    layers = LayerStore(session.open(Intent.WRITE)).writable
    if not may_delete("writable layer", names, yes=yes):
        return
    freed = []
    for name in names:
        try:
            freed += layers.release(layers.get(name))
        except CstoreError as error:
            session.complain(error, name)
    session.show(View(lambda: [output.freed_document(one) for one in freed], lambda: (one.chain_id for one in freed)))
