"""Commands that create an image from a layer, and that list and show images."""

from __future__ import annotations

from cstore import errors
from cstore.cli.command import command, json_option, switch, text, texts, word, words
from cstore.cli.listing import in_columns, listing_options, picked, query_of
from cstore.cli.session import Intent, Session, View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from cstore import Image, Store


@command("create-image", example="cstore create-image --name debian base\ncstore create-image --name empty")
@word("layer", "LAYER", required=False)
@text("-i", "--id", help="ID of the new image (default: random).")
@texts("-n", "--name", metavar="NAME", help="Name of the new image; may be repeated.")
@text("-d", "--digest", help="Digest of the image.")
@text("-m", "--metadata", help="Metadata.")
@text("-f", "--metadata-file", metavar="FILE", help="Read the metadata from FILE; overrides --metadata.")
@json_option
def create_image(session: Session, /, layer: str, metadata: str, metadata_file: str, **wanted: Any) -> None:
    """Create an image from a layer.

    The image consists of LAYER and all layers below it, or is empty. It has no manifest yet: `podman images` fails in a
    store that contains an image without one. Prints the image's ID, then a line for each name.
    """
    from cstore import NewImage
    from cstore.cli.files import read_whole
    from cstore.cli.output import plain

    if metadata_file:
        metadata = read_whole(metadata_file).decode(errors="replace")
    request = NewImage(id=wanted["id"], names=wanted["name"], layer=layer, metadata=metadata, digest=wanted["digest"])
    image = session.open(Intent.WRITE).images.create(request)
    warning = f"image {image.id} has no manifest, so podman images fails on this store"
    session.warn([f"{warning} (cstore import creates a complete image from a tar)"])
    session.show(View(image.document, lambda: plain.created(image.id, image.names)))


@command(
    "images",
    example="cstore images\ncstore images --json | jq -r '.[].names[]?'\ncstore images --filter dangling=true --quiet\n"
    "cstore images --sort -unique --columns names,size,unique,used-by",
)
@switch("-q", "--quiet", help="Print IDs only.")
@listing_options
@json_option
def images(session: Session, quiet: bool, **wanted: Any) -> None:
    """List images.

    Lists each image with its names, digests and data items; on a terminal, with sizes, age and containers. UNIQUE
    counts the bytes that nothing else uses. Sizes come from the records.

    --sort and --columns take names, id, layers, size, unique, created, used-by, digest, layer and state. With
    --columns, a pipe gets lines with tabs between the columns, `-` for a size that is not known, and --json an object
    for each image. --filter takes Podman's keys: reference=PATTERN, dangling=true|false, before=IMAGE, since=IMAGE,
    id=PREFIX, label=KEY[=VALUE], readonly=true|false, containers=true|false. Values of one key are alternatives, except
    that an image must have all labels; every key must match.

    Exit status: 2 if there is no such column or filter.
    """
    from cstore.cli.output import structured

    query = query_of("image", wanted, "--quiet" if quiet else "")
    store = session.open(Intent.RECORDS)
    found = picked(session, store, query, store.images.list())
    listed = View(
        lambda: structured.Listed(found),
        lambda: _lines(store, found, quiet=quiet),
    )
    session.show(
        in_columns(session, listed, store, "image", lambda: found, query, whole=wanted["no_trunc"], quiet=quiet)
    )


@command("images-by-digest", example='cstore images-by-digest "$(cstore get-image-data-digest debian manifest)"')
@word("digest", "DIGEST")
@switch("-q", "--quiet", help="Print IDs only.")
@json_option
def images_by_digest(session: Session, digest: str, quiet: bool) -> None:
    """List the images that have a digest.

    DIGEST is the digest of an image or of one of its manifests. Without a match, nothing is printed.
    """
    store = session.open(Intent.RECORDS)
    found = store.images.by_digest(digest)
    listed = View(lambda: [image.document() for image in found], lambda: _lines(store, found, quiet=quiet))
    session.show(in_columns(session, listed, store, "image", lambda: found, None, quiet=quiet))


def _lines(store: Store, found: Sequence[Image], *, quiet: bool) -> Iterable[str]:
    from cstore.cli.output import plain, views

    return (image.id for image in found) if quiet else plain.images(views.image_facts(store, found))


@command("image", example="cstore image debian")
@words("images", "IMAGE")
@json_option
def image(session: Session, images: tuple[str, ...]) -> None:
    """Show image records.

    The size counts each layer once, plus the data items. A layer without a recorded size is measured.
    """
    from cstore.cli.output import plain, views

    store = session.open(Intent.RECORDS if session.json else Intent.CONTENT)
    found = []
    for name in images:
        try:
            found.append(store.images.get(name))
        except errors.CstoreError as error:
            session.complain(error, name)

    def shown() -> list[tuple[views.ImageFacts, int | str]]:
        return [(facts, _size(store, facts.image)) for facts in views.all_image_facts(store, found)]

    def table() -> None:
        from cstore.cli.output import styled

        styled.image_details(shown())

    session.show(
        View(
            lambda: [record.document() for record in found],
            lambda: (line for facts, size in shown() for line in plain.image(facts, size)),
            table,
        )
    )


def _size(store: Store, image: Image) -> int | str:
    """Return the size in bytes, or the error that prevents measuring it."""
    try:
        return store.images.size(image.id)
    except errors.CstoreError as error:
        return error.go_text
