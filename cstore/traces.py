"""Traces of hidden work: sweeps, recovery from dead processes, retries, fallbacks.

It goes to the logger `cstore`, at the level of debugging, in programs that have imported `logging`. cstore itself
imports it for `--debug` only: that takes longer than most commands.
"""

from __future__ import annotations

import sys


def trace(text: str, *values: object) -> None:
    """Log a sentence. `values` go into it as `logging` does that, with `%s` and `%r`, only if somebody listens."""
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger("cstore").debug(text, *values)
