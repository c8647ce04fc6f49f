"""The command `import`, which creates an image from the archive of a root file system."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, texts, word
from cstore.cli.session import Intent, Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@command(
    "import",
    example="cstore import --change 'CMD [\"/bin/sh\"]' rootfs.tar.zst app\n"
    "tar -C root -c . | cstore import --message nightly - app:nightly",
)
@word("rootfs", "ROOTFS")
@word("name", "NAME", required=False)
@texts(
    "-c", "--change", metavar="INSTRUCTION", help="Apply a Containerfile instruction to the config; may be repeated."
)
@text("--image-config", metavar="FILE", help="Start from the image config in FILE (JSON).")
@text("-m", "--message", metavar="TEXT", help="Comment for the image's history.")
@text("--platform", metavar="OS/ARCH", help="Platform of the image (default: this machine's).")
@text("--expect", metavar="DIGEST", help="Fail unless the archive, compressed or uncompressed, has DIGEST.")
@switch("-q", "--quiet", help="Show no progress.")
@json_option
def import_(session: Session, /, rootfs: str, name: str, *, quiet: bool, **wanted: Any) -> None:
    """Create an image from a root file system archive.

    ROOTFS is a tar archive, plain or compressed with gzip, zstd, bzip2 or xz; - reads standard input. NAME is completed
    as Podman completes it: app becomes localhost/app:latest. INSTRUCTION is CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK,
    LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR with its value, as in a Containerfile. Prints the image's ID.
    Podman can list and run the image at once. If the import fails, nothing remains.
    """
    from cstore.cli.files import archive_source, read_whole, size_of
    from cstore.cli.output.docker import image_document
    from cstore.cli.output.progress import progress_bar
    from cstore.transfer import ImportRequest, import_image

    request = ImportRequest(
        name=name,
        changes=wanted["change"],
        config=read_whole(wanted["image_config"]) if wanted["image_config"] else b"",
        message=wanted["message"] or ImportRequest().message,
        platform=wanted["platform"],
        expect=wanted["expect"],
    )
    with archive_source("" if rootfs == "-" else rootfs) as source:
        store = session.open(Intent.WRITE)
        with progress_bar("importing", size_of(source), quiet=quiet) as progress:
            image = import_image(store, source, request, progress)
    session.show(View(lambda: {**image_document(image.id, image.names), "layer": image.layer}, lambda: [image.id]))
