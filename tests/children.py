"""Commands as forks of a process that has imported cstore: nearly all that a small command costs is its start.

Such a command is a process of its own all the same, with its own streams, environment and exit code. `tests.zygote`
runs the commands of the suite so, `tests.faults.forks` those of the laboratory.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import NoReturn


def import_before_forking(names: Iterable[str]) -> None:
    """Import modules once, and not in every child. The garbage collector ignores their objects: children share them."""
    for name in names:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def become_command(
    words: Sequence[str], streams: Sequence[int], environment: Mapping[str, str], begin: Callable[[], object]
) -> NoReturn:
    """Be the command, in a process that has just been forked.

    Args:
        words: its command line, without the program's name.
        streams: descriptors of its standard input, output and error; all others are closed.
        environment: all of it.
        begin: called last, with the command's own streams and environment.
    """
    try:
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        os.closerange(3, max(*streams, 64) + 1)
        os.environ.clear()
        os.environ.update(environment)
        for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
            before = getattr(sys, f"__{name}__")
            buffering = 1 if name == "stderr" else -1
            stream = open(number, mode, buffering, encoding=before.encoding, errors=before.errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        sys.argv = ["cstore", *words]
        begin()
        from cstore.cli import main

        main()
    except BaseException:  # noqa: BLE001  - as the interpreter does it
        import traceback

        traceback.print_exc()
    finally:
        os._exit(1)
