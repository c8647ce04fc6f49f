"""Writable layers by name, as Docker gives one to each container: made, listed, committed, deleted."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, texts, word, words
from cstore.cli.commands.configs import image_id
from cstore.cli.session import Intent, Session
from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@command("create-writable", example="cstore create-writable scratch\ncstore create-writable --init work base")
@word("name", "NAME")
@word("parent", "PARENT", required=False)
@text("-l", "--label", help="SELinux label for its mounts.")
@text("--size", metavar="SIZE", help="Let it hold no more than this, such as 10G; few drivers can.")
@switch("--init", help="Put beneath it what Docker puts beneath containers, such as /etc/hosts, for mounts.")
@json_option
def create_writable(session: Session, /, name: str, parent: str, **wanted: Any) -> None:
    """Create a writable layer by name.

    It lies on top of PARENT, which is a ChainID, or the ID or name of a layer that has one; or on nothing. mount,
    unmount, changes, diff, diffsize and applydiff take NAME. What --init puts beneath it shows when it is mounted, and
    in none of its changes. The ID of the layer is printed.
    """
    from cstore.cli.output import docker as output
    from cstore.docker import LayerStore, engine_files

    layers = LayerStore(session.open(Intent.WRITE))
    made = layers.writable.create(
        name,
        layers.chain_of(parent) if parent else "",
        label=wanted["label"],
        init=engine_files.make if wanted["init"] else None,
        storage_options={"size": wanted["size"]} if wanted["size"] else {},
    )
    if session.json:
        session.document(output.writable_document(made))
    else:
        session.lines([made.layer])


@command("writables", example="cstore writables")
@json_option
def writables(session: Session) -> None:
    """List writable layers.

    A line has a layer's name, its ID, and the ChainID of what it lies on, separated by tabs. Layers of containers that
    Podman and its like made are not among them.
    """
    from cstore.cli.output import docker as output
    from cstore.docker import LayerStore

    layers = LayerStore(session.open(Intent.RECORDS)).writable
    found = [layers.get(name) for name in layers.names()]
    if session.json:
        session.document([output.writable_document(one) for one in found])
    elif session.styled:
        output.writable_table(found)
    else:
        session.lines(output.writable_lines(found))


@command("commit", example="cstore commit --name app:2 work app")
@word("writable", "WRITABLE")
@word("image", "IMAGE")
@texts("-n", "--name", metavar="NAME", help="Give the new image this name; may be repeated.")
@text("--author", help="Who made it.")
@text("--comment", help="What was done.")
@json_option
def commit(session: Session, /, writable: str, image: str, name: tuple[str, ...], author: str, comment: str) -> None:
    """Make an image of a writable layer.

    The new image is IMAGE with one layer more: what was changed in WRITABLE, which lies on the layers of IMAGE and
    stays as it is. Its ID is printed. A short NAME is completed as Docker does: app is docker.io/library/app:latest.
    """
    from cstore.docker import ImageStore, LayerStore
    from cstore.docker.tagging import full_tag

    for one in name:
        full_tag(one)
    store = session.open(Intent.WRITE)
    layers = LayerStore(store)
    images = ImageStore(store, layers)
    source, parent = layers.writable.get(writable), image_id(store, image)
    made = images.commit(source, parent, author=author, comment=comment)
    names = [images.tag(made, one) for one in name]
    if session.json:
        session.document({"id": made, "names": names})
    else:
        session.lines([made])


@command("delete-writable", example="cstore delete-writable scratch")
@words("names", "NAME")
@switch("-y", "--yes", help="Do not ask before, as is done on a terminal.")
@json_option
def delete_writable(session: Session, names: tuple[str, ...], yes: bool) -> None:
    """Delete writable layers, and what is free then.

    Mounts are no obstacle. The layers beneath go too, as release deletes them, down to the first that is held. The
    ChainIDs of those are printed, uppermost first.
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
    if session.json:
        session.document([output.freed_document(one) for one in freed])
    else:
        session.lines(one.chain_id for one in freed)
