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
@switch("--size", help="Measure sizes that are not recorded.")
@kind_option
@json_option
def inspect(session: Session, items: tuple[str, ...], kind: str, size: bool) -> None:
    """Print everything about items as JSON.

    Prints a list with an object for each image, container or layer: names, sizes, digests, the chain of layers (top
    first), users, data items, mounts, directories and flags; for an image also its config. Sizes are in bytes; a size
    that is not recorded is null, unless --size measures it. A terminal gets indented JSON; --json and pipes get one
    line.

    Exit status: 1 if an ITEM is unknown or could be read only in part; `problems` says why.
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
