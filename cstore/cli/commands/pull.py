"""The command `pull`, which copies images from registries to the store."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, words
from cstore.cli.commands.copy_image import Report, request_of
from cstore.cli.moving import access_of, moving, moving_options, trust_options
from cstore.cli.session import Intent, Session
from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore import Store
    from cstore.transfer import CopyRequest, RegistryAccess


@command(
    "pull",
    example="cstore pull debian:12\ncstore pull --platform linux/arm64 quay.io/fedora/fedora\n"
    "cstore pull --dry-run --json docker.io/library/golang",
)
@words("names", "NAME")
@text("--platform", metavar="OS/ARCH", help="Pull the image for this platform (default: this machine's).")
@switch("--all", help="Pull the images for all platforms.")
@switch("-a", "--all-tags", help="Pull every tag of the repository.")
@moving_options
@trust_options
@json_option
def pull(session: Session, /, names: tuple[str, ...], quiet: bool, **wanted: Any) -> None:
    """Pull images from registries.

    NAME is an image as Podman accepts it: registries.conf completes a short name, docker:// may precede it, and the
    other transports of copy-image work too. Fetches only layers that the store lacks, and verifies and unpacks layers
    while it fetches others. An interrupted pull continues where it stopped: what it fetched is kept for a week, or
    until `cstore gc --partial`. Several processes that pull the same image fetch its layers once. Without a policy
    file, the digests are the only proof of what an image is. Prints the ID of each image.

    Exit status: 1 if an image could not be pulled; the remaining images are still pulled.
    """
    request = moving(request_of(wanted), wanted)
    access = access_of(wanted)
    store = session.open(Intent.CONTENT if request.dry_run else Intent.WRITE)
    report = Report(session, quiet=quiet)
    for name in names:
        try:
            _pull(store, name, request, access, report, all_tags=bool(wanted["all_tags"]))
        except CstoreError as error:
            session.complain(error, name)
    report.end(single=False)


def _pull(
    store: Store, text_: str, request: CopyRequest, access: RegistryAccess, report: Report, *, all_tags: bool
) -> None:
    from cstore.cli.registries import named_images
    from cstore.transfer import REGISTRY, STORE, Place, StoreSink, copy, first_of, parse_place, tags_of

    place = parse_place(text_)
    if place.transport not in {STORE, REGISTRY} or (place.transport == STORE and not place.bare):
        with report.telling() as tell:
            done = copy(place, Place(STORE), request, tell, store=store)
        report.copied(done, dry_run=request.dry_run)
        return
    candidates = named_images(text_, access.settings())
    every = [[one] for one in tags_of(candidates, access)] if all_tags else [candidates]
    for meant in every:
        with first_of(meant, access) as source:
            name = str(source.reference.with_(tag="") if source.reference.digest else source.reference)
            with report.telling() as tell:
                done = StoreSink(store, name).take(source, request, tell)
            report.copied(done, dry_run=request.dry_run)
