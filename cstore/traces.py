"""Debug messages about internal events: a sweep, a recovery after a crash, a retry, a fallback.

They go to the logger `cstore`, with level DEBUG, in programs that have imported `logging`. cstore itself imports it
only for `--debug`, because that takes longer than most commands.
"""

from __future__ import annotations

import sys


def trace(text: str, *values: object) -> None:
    """Log a sentence. `logging` inserts `values` for `%s` and `%r`, only if the message is recorded."""
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("cstore").debug(text, *values)
