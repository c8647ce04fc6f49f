"""Commands for the data of an image besides its layers: its data items, and its directories for other programs."""

from __future__ import annotations

from cstore.cli.command import command, json_option, text, word
from cstore.cli.commands.bigdata import show_items, write_out
from cstore.cli.session import Intent, Session


@command("list-image-data", example="cstore list-image-data debian")
@word("image", "IMAGE")
@json_option
def list_image_data(session: Session, image: str) -> None:
    """List the data items of an image."""
    show_items(session, session.open(Intent.RECORDS).images.data_names(image))


@command("get-image-data", example="cstore get-image-data -f manifest.json debian manifest")
@word("image", "IMAGE")
@word("item", "NAME")
@text("-f", "--file", metavar="FILE", help="Write to FILE instead of standard output.")
def get_image_data(session: Session, image: str, item: str, file: str) -> None:
    """Write a data item of an image.

    FILE is written only if the item exists.
    """
    write_out(session, session.open(Intent.RECORDS).images.open_data(image, item), file)


@command("get-image-data-size", example="cstore get-image-data-size debian manifest")
@word("image", "IMAGE")
@word("item", "NAME")
def get_image_data_size(session: Session, image: str, item: str) -> None:
    """Print the size of a data item of an image.

    The size is in bytes.
    """
    session.lines([str(session.open(Intent.RECORDS).images.data_size(image, item))])


@command("get-image-data-digest", example="cstore get-image-data-digest debian manifest")
@word("image", "IMAGE")
@word("item", "NAME")
def get_image_data_digest(session: Session, image: str, item: str) -> None:
    """Print the digest of a data item of an image."""
    session.lines([session.open(Intent.RECORDS).images.data_digest(image, item)])


@command("set-image-data", example="cstore set-image-data -f manifest.json debian manifest")
@word("image", "IMAGE")
@word("item", "NAME")
@text("-f", "--file", metavar="FILE", help="Read from FILE instead of standard input.")
def set_image_data(session: Session, image: str, item: str, file: str) -> None:
    """Store a data item with an image.

    Replaces an item of the same name. Items whose names begin with "manifest" are manifests: their digests find the
    image.
    """
    from cstore.cli.files import standard_input

    session.open(Intent.WRITE).images.set_data(image, item, file or standard_input())


@command("delete-image-data", example="cstore delete-image-data debian note")
@word("image", "IMAGE")
@word("item", "NAME")
def delete_image_data(session: Session, image: str, item: str) -> None:
    """Delete a data item of an image.

    Refuses to delete the image's own manifests and configs: delete the image instead.
    """
    session.open(Intent.WRITE).images.delete_data(image, item)


@command("get-image-dir", example="cstore get-image-dir debian")
@word("image", "IMAGE")
def get_image_dir(session: Session, image: str) -> None:
    """Print an image's own directory.

    The program that uses the image may keep files there. The first call creates the directory; deleting the image
    removes it.
    """
    session.lines([session.open(Intent.WRITE).images.directory(image)])


@command("get-image-run-dir", example="cstore get-image-run-dir debian")
@word("image", "IMAGE")
def get_image_run_dir(session: Session, image: str) -> None:
    """Print an image's own run-time directory.

    The first call creates the directory; deleting the image, or a reboot, removes it.
    """
    session.lines([session.open(Intent.WRITE).images.run_directory(image)])
