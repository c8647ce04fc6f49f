"""All that is known of items."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, words
from cstore.cli.options import kind_option
from cstore.cli.session import Intent, Session
from cstore.errors import CstoreError


@command(
    "inspect",
    example="cstore inspect debian\ncstore inspect --kind layer base\n"
    "cstore inspect debian web | jq -r '.[] | \"\\(.kind) \\(.size)\"'\n"
    "cstore inspect debian | jq '.[].config.history'\ncstore inspect --size web | jq '.[].size'",
)
@words("items", "ITEM")
@switch("--size", help="Read the disk for sizes of items that the records do not tell.")
@kind_option
@json_option
def inspect(session: Session, items: tuple[str, ...], kind: str, size: bool) -> None:
    """Print all that is known of items, as JSON.

    Prints one list with an object for each image, container or layer: names, sizes, digests, the chain of layers (the
    top one first), users, data items, mounts, directories and flags; of an image also what its config says. Sizes are
    bytes; those that the records do not tell are null, unless --size has an item measured. On a terminal, the list is
    indented; with --json or in a pipe, it is one line.

    Exit status: 1 if an ITEM is not known, or not all of it could be found out; `problems` says what.
    """
    from cstore.cli.output import inspection as output
    from cstore.cli.output import structured
    from cstore.insight import inspect as look

    store = session.open(Intent.CONTENT if size else Intent.RECORDS)
    found = []
    for item in items:
        try:
            found.append(look(store.context, store.resolve(item, kind), measure=size))
        except CstoreError as error:
            session.complain(error, item)
    session.failed = session.failed or any(each.problems for each in found)
    structured.write_document([output.document(each) for each in found], indented=session.styled)
    if not session.json:
        session.warn(problem for each in found for problem in each.problems)
