"""The command `sync`, which copies many images from one place to another."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, word
from cstore.cli.commands.copy_image import request_of, store_for
from cstore.cli.moving import access_of, moving, moving_options, trust_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.cli.session import Session


@command(
    "sync",
    example="cstore sync docker://quay.io/me/ docker://registry.example.org/mirror\n"
    "cstore sync --scoped --containers containers-storage: docker://registry.example.org/backup\n"
    "cstore sync --scoped --containers docker://registry.example.org/backup/ containers-storage:",
)
@word("source", "SOURCE")
@word("destination", "DESTINATION")
@text("--list", metavar="FILE", help="Sync the images named in FILE, one per line; SOURCE's if without a registry.")
@text("--platform", metavar="OS/ARCH", help="Sync the images for this platform, instead of all platforms.")
@switch("--scoped", help="At a registry, put the registry of an image's name in front of its path.")
@switch("--containers", help="Also sync the containers of a store: records, data items and writable layers.")
@switch("--delete", help="Delete tags and names at DESTINATION that SOURCE does not have any more.")
@moving_options
@trust_options
@json_option
def sync(session: Session, /, source: str, destination: str, quiet: bool, **wanted: Any) -> None:
    """Mirror many images to another place.

    SOURCE is docker://HOST for all repositories of a registry, docker://HOST/PATH/ for those below a path,
    docker://HOST/PATH[:TAG] for the tags of one, containers-storage: for all images of the store, oci:PATH or
    dir:PATH; * matches any text in PATH, TAG and the name of an image. DESTINATION is docker://HOST[/PREFIX],
    containers-storage:, oci:PATH or dir:PATH. Between registries, nothing passes through the store. Skips what is
    equal, reports what fails, and continues. Copies images for all platforms, but only those for this machine into a
    store. With --scoped, a store that goes to a registry and back has the same images and names.

    --containers copies each container as an artifact of its own, localhost/cstore/containers:ID, and makes it again
    on the way back; it never replaces a container that has changed since. What a container has written may hold
    secrets: keep it in a registry that you trust.

    --delete deletes nothing if SOURCE has no image or cannot be listed, and keeps a tag whose image another tag
    needs.

    Prints a line for each image: copied, equal, failed, deleted or kept, and where.

    Exit status: 1 if an image could not be copied or deleted.
    """
    from cstore.cli.output import progress
    from cstore.cli.output.transfers import told
    from cstore.transfer import SyncRequest, parse_place
    from cstore.transfer import sync as sync_images

    request = SyncRequest(
        scoped=bool(wanted["scoped"]),
        delete=bool(wanted["delete"]),
        containers=bool(wanted["containers"]),
        copy=moving(request_of(wanted), wanted),
        listed=_lines(wanted["list"]),
    )
    access, here, there = access_of(wanted), parse_place(source), parse_place(destination)
    store = store_for(session, here, there, dry_run=request.copy.dry_run)
    documents = []
    # By default, show no progress bars: they would interfere with the line for each image on standard output.
    with told(quiet=quiet or progress.style == "auto") as tell:
        for one in sync_images(here, there, request, tell, store=store, access=access):
            session.failed = session.failed or one.error is not None
            error = str(one.error) if one.error is not None else None
            documents.append(
                {
                    "source": one.source or None,
                    "destination": one.destination,
                    "outcome": one.outcome,
                    "digest": one.digest or None,
                    "bytes": one.size,
                    "error": error,
                }
            )
            if not session.json:
                session.lines([f"{one.outcome}\t{one.destination}{'' if error is None else f': {error}'}"])
    if session.json:
        from cstore.cli.output.structured import VERSION

        session.document({"version": VERSION, "images": documents})


def _lines(path: str) -> tuple[str, ...]:
    """Return the names in a list file, without comments, which begin with #."""
    if not path:
        return ()
    from cstore.cli.files import read_whole
    from cstore.errors import UsageMistake

    said = read_whole("" if path == "-" else path).decode(errors="surrogateescape").splitlines()
    names = tuple(filter(None, (line.partition("#")[0].strip() for line in said)))
    if not names:
        raise UsageMistake(f"{path} names no image", hint="write one name a line")
    return names
