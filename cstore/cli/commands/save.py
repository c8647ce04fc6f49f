"""The command `save`, which writes images of the store to an archive or a layout."""

from __future__ import annotations

import os

from cstore.cli.command import command, switch, text, words
from cstore.cli.session import Intent, Session

_FORMATS = ("docker-archive", "oci-archive", "oci-dir")
_COMPRESSIONS = ("gzip", "zstd", "none")


@command(
    "save",
    example="cstore save -o app.tar app:1.2\ncstore save --format oci-dir --compress zstd -o oci app debian\n"
    "cstore save app | podman load",
)
@words("images", "IMAGE")
@text("-o", "--output", metavar="PATH", help="Write to PATH instead of standard output.")
@text("--format", metavar="FORMAT", help="docker-archive (the default), oci-archive or oci-dir.", choices=_FORMATS)
@text(
    "--compress",
    metavar="HOW",
    help="gzip, zstd or none: for the layers of OCI formats, or the docker-archive.",
    choices=_COMPRESSIONS,
)
@switch("-q", "--quiet", help="Show no progress.")
def save(session: Session, images: tuple[str, ...], output: str, format: str, compress: str, quiet: bool) -> None:  # noqa: A002  - the option's name
    """Write images to an archive.

    Writes each layer byte for byte as it was imported, and the same archive on every run. An image given by name keeps
    that name; one given by ID is saved without a name. OCI formats compress layers with gzip unless --compress chooses
    otherwise; a docker-archive is not compressed. The output appears only when it is complete.
    """
    from cstore.cli.files import result_file
    from cstore.cli.output.progress import progress_bar
    from cstore.errors import UsageMistake
    from cstore.transfer import (
        COMPRESSIONS,
        DOCKER_ARCHIVE,
        OCI_DIRECTORY,
        SaveRequest,
        check_save,
        save_directory,
        size_of_save,
    )
    from cstore.transfer import save as save_images

    scratch = os.path.dirname(os.path.abspath(output)) if output and not output.startswith("/dev/") else ""
    request = SaveRequest(images, format or DOCKER_ARCHIVE, COMPRESSIONS[compress] if compress else None, scratch)
    if request.format == OCI_DIRECTORY and not output:
        raise UsageMistake("an OCI layout is a directory", hint="name it with --output, or choose oci-archive")
    store = session.open(Intent.CONTENT)
    total = size_of_save(check_save(store, request))
    if request.format == OCI_DIRECTORY:
        with progress_bar("saving", total, quiet=quiet) as progress:
            save_directory(store, request, output, progress)
        return
    with (
        result_file(output, sync=session.config.sync) as sink,
        progress_bar("saving", total, quiet=quiet or not output) as progress,
    ):
        save_images(store, request, sink, progress)
