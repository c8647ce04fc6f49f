"""A look around in the store, with keys."""

from __future__ import annotations

import sys

from cstore.cli.command import command
from cstore.cli.session import Intent, Session
from cstore.errors import InvalidOption, Unsupported


@command("browse", example="cstore browse")
def browse(session: Session, /) -> None:
    """Look around in the store, with keys.

    Lists of images, containers and layers show names, sizes, ages and how many use an item. Enter opens the files of an
    item, w shows who holds it, / searches, ? tells all keys. Only d changes anything: it deletes what its preview
    shows, once that is agreed to, as `cstore rm` does. A terminal of 80 columns and 24 lines is enough.

    This needs Textual: pip install 'cstore[browse]'.
    """
    from importlib.util import find_spec

    from cstore.browse import Texts, run
    from cstore.cli.output import holders
    from cstore.cli.output.contents import time_of
    from cstore.cli.output.styled import age
    from cstore.cli.output.text import human_size, short_id, visible

    if find_spec("textual") is None:
        raise Unsupported(
            "cstore browse needs Textual, which is not installed", hint="install it with: pip install 'cstore[browse]'"
        )
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise InvalidOption("cstore browse needs a terminal", hint="cstore images, containers, layers and ls need none")
    store = session.open(Intent.CONTENT)
    run(store, Texts(human_size, age, time_of, short_id, visible, holders.lines))
