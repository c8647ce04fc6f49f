"""The command `load`, which loads images from an archive or a layout into the store."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, texts, word
from cstore.cli.output.structured import VERSION
from cstore.cli.session import Intent, Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from cstore.transfer import LoadedImage


@command(
    "load",
    example="cstore load -i image.tar\npodman save app | cstore load\ncstore load --platform linux/arm64 layout/",
)
@word("path", "PATH", required=False)
@text("-i", "--input", metavar="PATH", help="Read the archive from PATH; the same as the argument PATH.")
@texts("-n", "--name", metavar="NAME", help="Load only the image with this name; may be repeated.")
@text("-t", "--tag", metavar="NAME", help="Name for the image, instead of its own; for one image.")
@text("--platform", metavar="OS/ARCH", help="Load the image for this platform (default: this machine's).")
@switch("-a", "--all", help="Load the images for all platforms.")
@text(
    "--format", metavar="FORMAT", help="How to read an archive that is both: docker or oci.", choices=("docker", "oci")
)
@switch("--podman-names", help="Complete short names with localhost/, as Podman does, not with docker.io/library/.")
@switch("-q", "--quiet", help="Show no progress.")
@json_option
def load(session: Session, /, path: str, quiet: bool, **wanted: Any) -> None:
    """Load images from an archive.

    PATH is a docker-archive (of any version), an OCI archive, plain or compressed, or the directory of an OCI layout;
    it may also be the only archive or layout in a directory of the archive, or of PATH. Without PATH, or with -, reads
    standard input. Loads all images under the names in the archive, and verifies every part against its digest and
    size. If anything is wrong, the store stays as it was. Prints a line for each name, or the ID of an image without a
    name.

    Reads an uncompressed file in place. From a pipe or a compressed file, unpacks layers directly if the archive
    describes them first, as cstore's OCI archives do; otherwise spools them on the store's disk.
    """
    from cstore.cli.files import archive_source, size_of
    from cstore.cli.output.progress import progress_bar
    from cstore.transfer import LoadRequest, is_plain
    from cstore.transfer import load as load_images

    option = wanted["input"]
    if path and option:
        from cstore.errors import UsageMistake

        raise UsageMistake("there are two archives to load", hint=f"load them one after the other: {option}, {path}")
    source_path = "" if (path or option) == "-" else path or option
    request = LoadRequest(
        format=wanted["format"],
        names=wanted["name"],
        platform=wanted["platform"],
        all_platforms=wanted["all"],
        podman_names=wanted["podman_names"],
        tag=wanted["tag"],
    )
    with archive_source(source_path, directory=True) as source:
        store = session.open(Intent.WRITE)
        shown = source_path or "standard input"
        # The total is unknown for a stream, because it is unknown how much of it must be read a second time.
        total = size_of(source) if is_plain(source, shown) else None
        with progress_bar("loading", total, quiet=quiet) as progress:
            result = load_images(store, source, request, progress, shown=shown)
    session.warn(result.warnings)
    if result.waited and not quiet:
        waited = f"{result.waited} bytes of layers had to wait in a file in {session.config.graph_root}"
        how = "one of cstore save --format oci-archive names them first; a file that is not compressed is read in place"
        session.warn([f"{waited}: the archive names its layers after them ({how})"])
    session.show(View(lambda: _document(result.images), lambda: _lines(result.images)))


def _lines(images: Iterable[LoadedImage]) -> Iterator[str]:
    """Yield the lines that Docker and Podman print: one for each name, or one for an image without names."""
    for image in images:
        if not image.names:
            yield f"Loaded image ID: sha256:{image.id}"
        for name in image.names:
            yield f"Loaded image: {name}"


def _document(images: Iterable[LoadedImage]) -> list[dict[str, Any]]:
    """Return the JSON document: an object for each image, with its ID, digest, names and layers."""
    return [
        {
            "version": VERSION,
            "id": image.id,
            "digest": image.digest,
            "names": list(image.names),
            "layers": list(image.layers),
            "new_layers": list(image.new_layers),
        }
        for image in images
    ]
