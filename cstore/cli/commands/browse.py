"""The command that browses the store in a terminal interface."""

from __future__ import annotations

import sys

from cstore.cli.command import command
from cstore.cli.session import Intent, Session
from cstore.errors import InvalidOption, Unsupported


@command("browse", example="cstore browse")
def browse(session: Session, /) -> None:
    """Browse the store in a terminal interface.

    Lists images, containers and layers with names, sizes, ages and the number of users. Enter opens the files of an
    item, w shows what holds it, / searches, ? lists all keys. Only d changes anything: after confirmation, it deletes
    what its preview shows, as `cstore rm` does. A terminal of 80 columns and 24 lines is enough.

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
