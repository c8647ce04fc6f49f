"""A directory as a layer's contents."""

from __future__ import annotations

from cstore.cli.command import command, word
from cstore.cli.session import Intent, Session


@command("applydiff-using-staging-dir", example="cstore applydiff-using-staging-dir app ./rootfs")
@word("layer", "LAYER")
@word("directory", "DIRECTORY")
def applydiff_using_staging_dir(session: Session, layer: str, directory: str) -> None:
    """Replace a layer's contents with a directory's.

    If there is no LAYER, a layer of that ID is created without a parent. Needs the overlay driver, and
    enable_partial_images = "true" among the pull_options in storage.conf.
    """
    session.open(Intent.WRITE).layers.put_directory(layer, directory)
