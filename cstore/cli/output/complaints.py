"""What goes to stderr: errors, warnings, notices; one line each, or one JSON object."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cstore.errors import CstoreError


def say(line: str) -> None:
    """Write one line to stderr, whatever bytes and control characters its names carry."""
    from cstore.cli.output.text import visible

    sys.stdout.flush()  # so that both streams read in the order of events where they end in one place
    sys.stderr.buffer.write(f"{visible(line)}\n".encode(errors="surrogateescape"))
    sys.stderr.buffer.flush()


def warn(sentence: str) -> None:
    """Say something that does not stop the command."""
    say(f"cstore: warning: {sentence}")


def complain(error: CstoreError, *, word: str = "", as_json: bool = False) -> None:
    """Say an error. `word` is the argument it is about, where a command takes several."""
    if as_json:
        say_json(error, word)
        return
    hint = f" ({error.hint})" if error.hint else ""
    say(f"{word or 'cstore'}: {error.message}{hint}")


def say_json(error: CstoreError, word: str = "") -> None:
    """Say an error as `{"error": {"kind": …, "message": …, "hint": …, parts…}}`."""
    from cstore.gojson import encode

    told: dict[str, object] = {"kind": error.kind, "message": error.message, "hint": error.hint}
    if word:
        told["word"] = word
    parts = {name: value for name, value in error.parts().items() if name not in told}
    sys.stdout.flush()
    sys.stderr.buffer.write(encode({"error": {**told, **_encodable(parts)}}).rstrip(b"\n") + b"\n")
    sys.stderr.buffer.flush()


def _encodable(parts: dict[str, object]) -> dict[str, object]:
    """Keep what JSON can say; an error's parts are plain values by convention, so this guards against a slip only."""
    plain = (str, int, float, bool, type(None), list, tuple, dict)
    return {name: value if isinstance(value, plain) else str(value) for name, value in parts.items()}


def internal_error(error: BaseException, *, traceback: bool) -> None:
    """Own up to a bug of ours."""
    if traceback:
        from traceback import print_exception

        print_exception(error)
    hint = "please report it with the traceback above" if traceback else "run again with --debug and report it"
    say(f"cstore: internal error: {type(error).__name__}: {error} ({hint})")
