"""Commands for metadata: one text for each layer, image or container."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, word, words
from cstore.cli.session import Intent, Session, View
from cstore.errors import CstoreError, InvalidOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@command("metadata", example="cstore metadata --quiet base")
@words("items", "ITEM")
@switch("-q", "--quiet", help="Leave out names and IDs.")
@json_option
def metadata(session: Session, items: tuple[str, ...], quiet: bool) -> None:
    """Print the metadata of items."""
    store = session.open(Intent.RECORDS)
    found: dict[str, str] = {}
    for item in items:
        try:
            found[item] = store.metadata(item).removesuffix("\n")
        except CstoreError as error:
            session.complain(error, item)

    def lines() -> Iterator[str]:
        for item in items:
            yield found.get(item, "") if quiet else f"{item}: {found.get(item, '')}"

    def document() -> object:
        from cstore.gojson import mapping

        return mapping(found)

    session.show(View(document, lines))


@command("set-metadata", example="cstore set-metadata --metadata 'built nightly' base")
@word("item", "ITEM")
@text("-m", "--metadata", metavar="TEXT", help="New metadata.")
@text("-f", "--metadata-file", metavar="FILE", help="Read it from FILE; overrides --metadata.")
def set_metadata(session: Session, item: str, metadata: str, metadata_file: str) -> None:
    """Replace the metadata of an item.

    An empty FILE clears it.
    """
    from cstore.cli.files import read_whole

    if not (metadata or metadata_file):
        raise InvalidOption(
            "there is no new metadata", hint="give --metadata or --metadata-file", go_text="no new metadata provided"
        )
    if metadata_file:
        metadata = read_whole(metadata_file).decode(errors="replace")
    session.open(Intent.WRITE).set_metadata(item, metadata)
