"""An image out of a root file system's tar."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, texts, word
from cstore.cli.session import Intent, Session

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
@texts("-c", "--change", metavar="INSTRUCTION", help="Change the config as a Containerfile does; may be repeated.")
@text("--image-config", metavar="FILE", help="Begin with the config of an image in FILE, a JSON file.")
@text("-m", "--message", metavar="TEXT", help="Say TEXT of this step in the image's history.")
@text("--platform", metavar="OS/ARCH", help="Say what the image runs on, if it is not this machine.")
@text("--expect", metavar="DIGEST", help="Refuse an archive of another digest, compressed or uncompressed.")
@switch("-q", "--quiet", help="Show no progress.")
@json_option
def import_(session: Session, /, rootfs: str, name: str, *, quiet: bool, **wanted: Any) -> None:
    """Make an image of a root file system's tar archive.

    ROOTFS is a tar archive, plain or compressed with gzip, zstd, bzip2 or xz; with -, standard input is read. The image
    is called NAME, completed as Podman does: app is localhost/app:latest. INSTRUCTION is CMD, ENTRYPOINT, ENV, EXPOSE,
    LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR, and what follows it in a Containerfile. The new ID is printed.
    Podman lists and runs the image at once. If anything goes wrong, nothing of it remains.
    """
    from cstore.cli.files import archive_source, read_whole, size_of
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
    if session.json:
        session.document({"id": image.id, "names": list(image.names), "layer": image.layer})
    else:
        session.lines([image.id])
