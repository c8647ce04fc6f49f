"""A directory as a layer's contents."""

from __future__ import annotations

from cstore.cli.command import command, word
from cstore.cli.session import Intent, Session


@command("applydiff-using-staging-dir", example="cstore applydiff-using-staging-dir app ./rootfs")
@word("layer", "LAYER")
@word("directory", "DIRECTORY")
def applydiff_using_staging_dir(session: Session, layer: str, directory: str) -> None:
    """Let a layer hold what a directory holds.

    What LAYER changed before is replaced as a whole; if there is no such layer, one of that ID is made, without a
    parent. This needs the overlay driver, and enable_partial_images = "true" among the pull_options in storage.conf.
    """
    session.open(Intent.WRITE).layers.put_directory(layer, directory)
