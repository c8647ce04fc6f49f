"""The command `report`, which writes an HTML page about the whole store."""

from __future__ import annotations

import sys

from cstore.cli.command import command, switch, text
from cstore.cli.session import Intent, Session
from cstore.errors import InvalidOption


@command("report", example="cstore report -o store.html\ncstore report --quick --check -o store.html")
@text("-o", "--output", metavar="FILE", help="Write to FILE instead of standard output.")
@switch("-q", "--quick", help="Read only the records, no directories.")
@switch("--check", help="Run a quick check of the store and show its findings.")
def report(session: Session, output: str, quick: bool, check: bool) -> None:
    """Write a page about the store, for a browser.

    The page is one self-contained HTML file; it needs no network. It has a treemap of the graph root; the images with
    their sizes, ages and containers; the layers and the number of images that share them; the layers of each image with
    the bytes that layers above overwrite or delete; and a chart of age and size. FILE appears only when it is complete.

    Reads every directory of the store, once for its size and once for each image. With --quick, takes sizes from the
    records, and leaves out files that no record owns and wasted bytes.

    Exit status: 1 if something could not be read, or the records are damaged; the page says what. Findings of --check
    do not change the exit status.
    """
    from cstore import __version__
    from cstore.cli.files import result_file
    from cstore.cli.output.page.document import page
    from cstore.cli.output.streams import encoded
    from cstore.report import gather

    if not output and sys.stdout.isatty():
        raise InvalidOption("refusing to write a page to a terminal", hint="cstore report -o FILE.html")
    store = session.open(Intent.RECORDS if quick and not check else Intent.CONTENT)
    found = gather(store, quick=quick, check=check)
    with result_file(output, sync=session.config.sync, binary=False) as sink:
        sink.write(encoded(page(found, __version__)))
    session.warn(dict.fromkeys((*found.notes, *found.unread)))
    session.failed = session.failed or bool(found.unread)
    for flaw in found.flaws:
        session.complain(flaw)
