"""Commands for images by the digest of their config, as in Docker's image store: register, release and show notes."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, texts, word, words
from cstore.cli.session import Intent, Session, View
from cstore.errors import CstoreError, ImageUnknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore import Image, Store
    from cstore.docker import Freed


def image_id(store: Store, word: str) -> str:
    """Return the ID of an image given by name, ID or ID prefix, with or without `sha256:`.

    Raises:
        ImageUnknown: there is no such image.
        AmbiguousImageID: several images have the ID prefix.
    """
    from cstore.docker import ImageStore

    try:
        return store.images.get(word).id
    except ImageUnknown:
        return ImageStore(store).search(word).removeprefix("sha256:")


@command(
    "register-image",
    example="cstore register-image --name app:2 -f image.json\ncstore register-image --parent debian -f image.json",
)
@text("-f", "--file", metavar="FILE", help="Read the config from FILE, not from standard input.")
@texts("-n", "--name", metavar="NAME", help="Name of the image; may be repeated.")
@text("--parent", metavar="IMAGE", help="Record IMAGE as its parent.")
@switch("--built-locally", help="Record that it was built here.")
@json_option
def register_image(session: Session, /, file: str, name: tuple[str, ...], parent: str, built_locally: bool) -> None:
    """Create an image from a config JSON; its digest becomes the ID.

    The layers that the config lists must exist, as register creates them; its history may not list more. Prints the
    image's ID, the digest of the config. If the image exists, changes only what the options name. A short NAME is
    completed as Docker completes it: app becomes docker.io/library/app:latest.
    """
    from cstore.cli.files import read_whole
    from cstore.cli.output import docker as output
    from cstore.docker import ImageStore, full_tag

    raw = read_whole(file)
    store = session.open(Intent.WRITE)
    above = image_id(store, parent) if parent else ""
    for one in name:
        full_tag(one)
    images = ImageStore(store)
    made = images.register(raw, names=name, parent=above, built_locally=built_locally)
    names = [str(full_tag(one)) for one in name]
    session.show(View(lambda: output.image_document(made, names), lambda: [made]))


@command("release-image", example="cstore release-image app")
@words("named", "IMAGE")
@switch("-y", "--yes", help="Do not ask for confirmation on a terminal.")
@json_option
def release_image(session: Session, named: tuple[str, ...], yes: bool) -> None:
    """Delete images and layers that become unused.

    Prints a line for each deleted name, image and ChainID, as Docker does. Deletes an image that has children, but not
    one that a container uses.
    """
    from cstore.cli.output.asking import may_delete
    from cstore.docker import ImageStore

    store = session.open(Intent.WRITE)
    images = ImageStore(store)
    if not may_delete("image", named, yes=yes):
        return
    done: list[object] = []
    for word_ in named:
        try:
            record = store.images.get(image_id(store, word_))
            freed = images.delete(record.id)
        except CstoreError as error:
            session.complain(error, word_)
            continue
        session.show(_released(record, freed), into=done)
    session.whole(done)


def _released(record: Image, freed: Sequence[Freed]) -> View:
    """Return a view of a released image and the layers deleted with it."""
    from cstore.cli.output import docker as output

    return View(lambda: output.released_document(record, freed), lambda: output.released_lines(record, freed))


@command("lineage", example="cstore lineage app\ncstore lineage --set-parent debian app")
@word("image", "IMAGE")
@text("--set-parent", metavar="IMAGE", help="Record IMAGE as its parent first.")
@switch("--set-updated", help="Record the current time as its time of tagging first.")
@switch("--set-built", help="Record that it was built here first.")
@json_option
def lineage(session: Session, image: str, set_parent: str, set_updated: bool, set_built: bool) -> None:
    """Show an image's parent, children and build notes.

    Docker notes which image it was built from, which images were built from it, when it was last tagged, and whether it
    was built here. Loaded images have no notes.
    """
    from cstore.cli.output import docker as output
    from cstore.docker import ImageStore

    store = session.open(Intent.WRITE if set_parent or set_updated or set_built else Intent.RECORDS)
    images, identifier = ImageStore(store), image_id(store, image)
    if set_parent:
        images.set_parent(identifier, image_id(store, set_parent))
    if set_updated:
        images.set_last_updated(identifier)
    if set_built:
        images.set_built_locally(identifier)
    told = output.lineage_document(images, identifier)
    session.show(View(lambda: told, lambda: output.lineage_lines(told)))
