"""The command `inspect`, which prints all data about items as JSON."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, words
from cstore.cli.moving import access_of, trust_options
from cstore.cli.options import kind_option
from cstore.cli.session import Intent, Session
from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.transfer import SeenImage

_ALWAYS = ("docker://", "containers-storage:")
_FILES = ("oci:", "oci-archive:", "docker-archive:", "dir:", "docker-root:")
"""Transports whose prefix could also begin the name of an image; an argument with a slash means the transport."""


@command(
    "inspect",
    example="cstore inspect debian\ncstore inspect --kind layer base\n"
    "cstore inspect debian web | jq -r '.[] | \"\\(.kind) \\(.size)\"'\n"
    "cstore inspect debian | jq '.[].config.history'\ncstore inspect --size web | jq '.[].size'",
)
@words("items", "ITEM")
@switch("--size", help="Measure sizes that are not recorded.")
@kind_option
@text("--platform", metavar="OS/ARCH", help="For an image outside the store, show the one for this platform.")
@trust_options
@json_option
def inspect(session: Session, /, items: tuple[str, ...], kind: str, size: bool, **elsewhere: Any) -> None:
    """Print everything about items as JSON.

    Prints a list with an object for each image, container or layer: names, sizes, digests, the chain of layers (top
    first), users, data items, mounts, directories and flags; for an image also its config. Sizes are in bytes; a size
    that is not recorded is null, unless --size measures it. A terminal gets indented JSON; --json and pipes get one
    line.

    An ITEM may be an image outside the store, in the syntax of copy-image: docker://NAME, oci:PATH[:REF] and so on. Of
    such an image, reads only manifests and config (digests, sizes, platforms and history), but no layers.

    Exit status: 1 if an ITEM is unknown or could be read only in part; `problems` says why.
    """
    from cstore.cli.output import inspection as output
    from cstore.cli.output import structured
    from cstore.insight import inspect as look

    problems: list[str] = []
    documents = []
    for item in items:
        try:
            if item.startswith(_ALWAYS) or (item.startswith(_FILES) and "/" in item):
                documents.append(output.seen_document(_seen(session, item, elsewhere)))
                continue
            store = session.open(Intent.CONTENT if size else Intent.RECORDS)
            found = look(store.context, store.resolve(item, kind), measure=size)
            problems += found.problems
            documents.append(output.document(found))
        except CstoreError as error:
            session.complain(error, item)
    session.failed = session.failed or bool(problems)
    structured.write_document(documents, indented=session.styled)
    if not session.json:
        session.warn(problems)


def _seen(session: Session, item: str, said: dict[str, Any]) -> SeenImage:
    from cstore.transfer import STORE, look, opened_source, parse_place

    place = parse_place(item)
    store = session.open(Intent.CONTENT) if place.transport == STORE else None
    with opened_source(place, store=store, platform=said["platform"], access=access_of(said)) as source:
        return look(source, said["platform"])
