"""What goes on out of sight is told to who listens, and costs nothing if nobody does."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from cstore.layout import Layout
from cstore.traces import trace

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Runner, StoreRoots


def test_a_program_that_logs_hears_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """At the level of debugging, under the library's name."""
    with caplog.at_level(logging.DEBUG, logger="cstore"):
        trace("swept %s", "/it")

    assert caplog.record_tuples == [("cstore", logging.DEBUG, "swept /it")]


def test_logging_is_not_imported_for_it() -> None:
    """Nobody can listen then."""
    probe = "import sys; from cstore.traces import trace; trace('x'); print('logging' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", probe], capture_output=True, check=True, text=True)

    assert done.stdout == "False\n"


def test_debugging_tells_what_a_dead_process_left(run: Runner, store_roots: StoreRoots) -> None:
    """The next writer sweeps it, and says so with --debug only."""
    run("create-layer", "--name", "base").ok()
    for options in ((), ("--debug",)):
        journal = Layout(store_roots.graph, store_roots.run, "vfs").container_journal
        os.makedirs(os.path.dirname(journal), exist_ok=True)
        with open(journal, "wb") as file:
            file.write(b'{"container":"%s","layer":"%s"}' % (b"c" * 64, b"d" * 64))
        told = run(*options, "create-layer").ok().stderr

        assert ("removed what a dead process left of container " + "c" * 64 in told) == bool(options)
