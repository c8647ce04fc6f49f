"""Commands for images as in Docker's image store: search by ID prefix, parents and children, and build history."""

from __future__ import annotations

from cstore.cli.command import command, json_option, word, words
from cstore.cli.commands.configs import image_id
from cstore.cli.session import Intent, Session, View
from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


@command("search", example="cstore search 2c037b\ncstore search sha256:2c037b")
@words("terms", "ID")
@json_option
def search(session: Session, terms: tuple[str, ...]) -> None:
    """Find an image by an ID prefix.

    One digit is enough if it is unique; `sha256:` may precede it. If several images match, the error lists them. Prints
    the full ID, then a line for each name.
    """
    from cstore.docker import ImageStore

    images = ImageStore(session.open(Intent.RECORDS))
    found = []
    for term in terms:
        try:
            found.append(images.search(term))
        except CstoreError as error:
            session.complain(error, term)
    _show(session, found)


@command("children", example="cstore children debian")
@word("image", "IMAGE")
@json_option
def children(session: Session, image: str) -> None:
    """List the images built from an image.

    These are the images that record IMAGE as their parent.
    """
    from cstore.docker import ImageStore

    store = session.open(Intent.RECORDS)
    _show(session, ImageStore(store).children(image_id(store, image)))


@command("heads", example="cstore heads")
@json_option
def heads(session: Session) -> None:
    """List the images without children."""
    from cstore.docker import ImageStore

    _show(session, ImageStore(session.open(Intent.RECORDS)).heads())


@command("history", example="cstore history app")
@word("image", "IMAGE")
@json_option
def history(session: Session, image: str) -> None:
    """Show the build steps of an image.

    The newest step comes first. Prints the ID of the image that the step created (if it exists here), the size of its
    layer in bytes, its time and its command, separated by tabs.
    """
    from cstore.cli.output import docker as output
    from cstore.docker import ImageStore

    store = session.open(Intent.CONTENT)
    steps = ImageStore(store).history(image_id(store, image))
    session.show(
        View(
            lambda: [output.step_document(step) for step in steps],
            lambda: output.step_lines(steps),
            lambda: output.step_table(steps),
        )
    )


def _show(session: Session, images: Sequence[str]) -> None:
    from cstore.cli.output import docker as output

    store = session.open(Intent.RECORDS)
    named = [(image, store.images.get(image.removeprefix("sha256:")).names) for image in images]
    session.show(
        View(
            lambda: [output.image_document(image, names) for image, names in named],
            lambda: output.image_lines(named),
            lambda: output.image_table(named),
        )
    )
