"""The command `push`, which copies an image from the store to a registry."""

from __future__ import annotations

from cstore.cli.command import command, json_option, text, word
from cstore.cli.commands.copy_image import Report, request_of
from cstore.cli.moving import access_of, moving, moving_options, trust_options
from cstore.cli.session import Intent, Session
from cstore.errors import UsageMistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@command(
    "push",
    example="cstore push quay.io/me/app:1\ncstore push app:1 docker://registry.example.org/app:1\n"
    "cstore push --compression zstd --digestfile digest app:1 registry.example.org/app:1",
)
@word("image", "IMAGE")
@word("destination", "DESTINATION", required=False)
@text(
    "--compression",
    metavar="HOW",
    help="Compress the layers with gzip (the default) or zstd, or none.",
    choices=("gzip", "zstd", "none"),
)
@text("--digestfile", metavar="FILE", help="Write the digest of the pushed manifest to FILE.")
@moving_options
@trust_options
@json_option
def push(session: Session, /, image: str, destination: str, quiet: bool, **wanted: Any) -> None:
    """Push an image to a registry.

    IMAGE is a name or an ID in the store; DESTINATION, by default the image's own name, is a name with or without
    docker://, or another place that copy-image accepts. Sends only blobs that the registry lacks. If the registry has
    the compressed layers that the image came with, the image keeps its digest; other layers are compressed, and a
    layer always compresses to the same bytes. Prints the digest of the manifest.
    """
    from cstore.store import result_at
    from cstore.transfer import REGISTRY, STORE, Place, opened_source, parse_place, sink_of

    request, access = moving(request_of(wanted), wanted), access_of(wanted)
    store = session.open(Intent.CONTENT)
    report = Report(session, quiet=quiet)
    with opened_source(Place(STORE, reference=image, bare=True), store=store) as source, report.telling() as tell:
        goal = destination or source.name
        if not goal:
            raise UsageMistake(f"{image} has no name that gives a destination", hint="name the destination")
        place = parse_place(goal)
        if place.transport == STORE and place.bare:  # without a transport, it is a name in a registry
            place = Place(REGISTRY, reference=goal)
        copied = sink_of(place, store=store, access=access).take(source, request, tell)
    if wanted["digestfile"] and not request.dry_run:
        with result_at(wanted["digestfile"], sync=session.config.sync) as file, open(file, "w", closefd=False) as text_:
            text_.write(copied.digest)
    report.copied(copied.with_(id=""), dry_run=request.dry_run)
    report.end()
