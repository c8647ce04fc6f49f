"""The common options of the commands that list images, containers and layers.

A list without options uses only the declarations, which keeps it fast.
"""

from __future__ import annotations

from cstore.cli.command import switch, text, texts
from cstore.cli.session import View

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any, TypeVar

    from cstore import Store
    from cstore.cli.session import Session
    from cstore.insight import Query

    F = TypeVar("F", bound=Callable[..., Any])
    R = TypeVar("R")


def listing_options(function: F) -> F:
    """Declare the options that filter, sort and format a list."""
    for option in (
        switch("--no-trunc", help="Show IDs and digests in full in a table."),
        text("--columns", metavar="A,B,C", help="Show these columns: a table, or lines with tabs in a pipe."),
        texts("--filter", metavar="KEY=VALUE", help="List only items that match; may be repeated."),
        text("--sort", metavar="KEY[,KEY]", help="Sort by columns; -KEY puts large values first."),
    ):
        function = option(function)
    return function


def query_of(kind: str, wanted: Mapping[str, Any], contrary: str = "") -> Query | None:
    """Return the query of the options; None if there are none. `contrary` is a given option that excludes --columns.

    Raises:
        UsageMistake: the options are not valid.
    """
    if not (wanted["sort"] or wanted["filter"] or wanted["columns"]):
        return None
    from cstore.errors import UsageMistake
    from cstore.insight import parse_query

    query = parse_query(kind, sort=wanted["sort"], filters=wanted["filter"], columns=wanted["columns"])
    if contrary and query.columns:
        raise UsageMistake(f"{contrary} and --columns exclude each other", hint="give only one of them")
    return query


def picked(session: Session, store: Store, query: Query | None, records: Sequence[R]) -> Sequence[R]:
    """Return the records that match the query, sorted; warn about damage that may affect the selection."""
    if query is None:
        return records
    from cstore.insight import Listing

    listing = Listing(store.context, query.kind)
    found = listing.pick(records, query)
    session.warn_of_damage(listing.problems)
    return found


def in_columns(
    session: Session,
    view: View,
    store: Store,
    kind: str,
    records: Callable[[], Sequence[Any]],
    query: Query | None,
    *,
    whole: bool = False,
    quiet: bool = False,
) -> View:
    """Return a view of the columns in the query; without columns, `view` with a table for terminals unless `quiet`.

    The view prints warnings about damaged chains of layers after the rows if a column depends on the chains.
    """
    columns = query.columns if query is not None else ()

    def table() -> None:
        from cstore.cli.output import listing as output
        from cstore.insight import Listing

        listing = Listing(store.context, kind)
        output.show(listing, records(), columns, whole=whole)
        session.warn_of_damage(listing.problems)

    if not columns:
        return view if quiet else view.with_(table=table)
    from cstore.cli.output import listing as output
    from cstore.insight import Listing

    listing = Listing(store.context, kind)

    def documents() -> list[dict[str, Any]]:
        found = output.documents(listing, records(), columns)
        session.warn_of_damage(listing.problems)
        return found

    def lines() -> Iterator[str]:
        yield from output.lines(listing, records(), columns)
        session.warn_of_damage(listing.problems)

    return View(documents, lines, table)
