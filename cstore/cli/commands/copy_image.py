"""The command that copies images between stores, registries, layouts, directories and archives."""

from __future__ import annotations

from contextlib import contextmanager

from cstore.cli.command import command, json_option, switch, text, word
from cstore.cli.moving import access_of, moving, moving_options, trust_options
from cstore.cli.session import Intent, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore import Store
    from cstore.transfer import CopiedImage, CopyRequest, Place, Planned
    from cstore.transfer.contract import Event, Tell


@command(
    "copy-image",
    example="cstore copy-image app oci:out:v1\ncstore copy-image app docker-archive:app.tar:app:1\n"
    "cstore copy-image docker://quay.io/me/app:1 docker://registry.example.org/app:1\n"
    'cstore copy-image --all containers-storage: "containers-storage:[overlay@$PWD/new+$PWD/new-run]"',
)
@word("source", "SOURCE")
@word("destination", "DESTINATION")
@text("--platform", metavar="OS/ARCH", help="Copy the image for this platform (default: this machine's).")
@switch("-a", "--all", help="Copy the index and the images for all platforms; of a store, all images.")
@text(
    "--compression",
    metavar="HOW",
    help="Compress the layers with gzip or zstd, or none.",
    choices=("gzip", "zstd", "none"),
)
@moving_options
@trust_options
@json_option
def copy_image(session: Session, /, source: str, destination: str, quiet: bool, **wanted: Any) -> None:
    """Copy an image between stores, registries, layouts, directories and archives.

    SOURCE and DESTINATION use skopeo's syntax: containers-storage:[DRIVER@GRAPH+RUN]NAME, docker://NAME,
    oci:PATH[:REF], oci-archive:PATH[:REF], docker-archive:PATH[:NAME], dir:PATH, docker-root:PATH[:NAME] (as a source
    only), or NAME for an image of the store. Verifies every byte against its digest, and reads no blob that the
    destination has. The destination gets the whole image, or stays as it was. The image's config, and so its ID,
    never changes. Prints the image's ID, or the digest of an index.

    Between stores, an image keeps its digest, manifest and data items, whatever the drivers. With --all and no NAME,
    copies every image of a store with its names, but not what the other store has, so an interrupted run continues
    where it stopped.
    """
    from cstore.transfer import STORE, copy, parse_place

    request, access = moving(request_of(wanted), wanted), access_of(wanted)
    places = parse_place(source), parse_place(destination)
    store = store_for(session, *places, dry_run=request.dry_run)
    report = Report(session, quiet=quiet)
    if request.all_platforms and places[0].transport == places[1].transport == STORE and not places[0].reference:
        _copy_store(session, *places, request, store, report)
        return
    with report.telling() as tell:
        copied = copy(*places, request, tell, store=store, access=access)
    report.copied(copied, dry_run=request.dry_run)
    report.end()


def _copy_store(
    session: Session, source: Place, destination: Place, request: CopyRequest, store: Store | None, report: Report
) -> None:
    """Copy every image of a store to another store."""
    from cstore.errors import CstoreError
    from cstore.transfer import clone_all, store_at

    here, there = store_at(source, store), store_at(destination, store)
    with report.telling() as tell:
        for done in clone_all(here, there, request, tell):
            if isinstance(done, CstoreError):
                session.complain(done)
            else:
                report.copied(done, dry_run=request.dry_run)
    report.end(single=False)


def request_of(wanted: dict[str, Any]) -> CopyRequest:
    """Convert the options to a request.

    Raises:
        UsageMistake: an option is not valid.
    """
    from cstore.errors import UsageMistake
    from cstore.transfer import COMPRESSIONS, CopyRequest

    how = wanted.get("compression", "")
    if how and how not in COMPRESSIONS:
        raise UsageMistake(
            f"the compression {how!r} is not available here", hint=f"choose one of: {', '.join(COMPRESSIONS)}"
        )
    return CopyRequest(
        platform=wanted.get("platform", ""),
        all_platforms=bool(wanted.get("all")),
        compression=COMPRESSIONS[how] if how else None,
        dry_run=bool(wanted.get("dry_run")),
    )


def store_for(session: Session, source: Place, destination: Place, *, dry_run: bool) -> Store | None:
    """Open the configured store if either place is a store, because its settings also apply to other stores."""
    from cstore.transfer import STORE

    if destination.transport == STORE and not dry_run:
        return session.open(Intent.WRITE)
    return session.open(Intent.CONTENT) if STORE in {source.transport, destination.transport} else None


class Report:
    """The output of a copy: its progress and its result."""

    def __init__(self, session: Session, *, quiet: bool) -> None:
        self._session, self._quiet = session, quiet
        self._plan: Planned | None = None
        self._documents: list[dict[str, Any]] = []

    @contextmanager
    def telling(self) -> Iterator[Tell]:
        """Yield the function that receives the events of a copy."""
        from cstore.cli.output.transfers import told
        from cstore.transfer import Planned

        with told(quiet=self._quiet) as tell:

            def hear(event: Event) -> None:
                if isinstance(event, Planned):
                    self._plan = event
                tell(event)

            yield hear

    def copied(self, image: CopiedImage, *, dry_run: bool = False) -> None:
        """Print a copied image, or with `dry_run` the plan for it."""
        from cstore.cli.output import transfers

        self._session.warn(image.warnings)
        if self._session.json:
            self._documents.append(transfers.copied_document(image, self._plan if dry_run else None))
        elif dry_run and self._plan is not None:
            self._session.lines(transfers.plan_lines(self._plan))
        else:
            self._session.lines([image.id or image.digest])

    def end(self, *, single: bool = True) -> None:
        """Print the JSON document, if JSON is requested: that of the single image, or a list of all copied images."""
        if self._session.json:
            self._session.document(self._documents[0] if single else self._documents)
