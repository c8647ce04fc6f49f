"""Errors and warnings on standard error: one line or one JSON object each."""

from __future__ import annotations

from cstore.cli.output.streams import say
from cstore.cli.output.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.errors import CstoreError


def warn(sentence: str) -> None:
    """Print a warning."""
    say(visible(f"cstore: warning: {sentence}"))


def complain(error: CstoreError, *, word: str = "", hint: str = "", as_json: bool = False) -> None:
    """Print an error.

    Args:
        error: the error.
        word: the argument that caused it, for commands that take several.
        hint: a hint to print instead of the error's own.
        as_json: whether to print a JSON object instead of a line.
    """
    if as_json:
        say(as_document(error, word, hint), json=True)
        return
    hint = hint or error.hint
    way_out = f" ({hint})" if hint else ""
    say(visible(f"{word or 'cstore'}: {error.message}{way_out}"))


def as_document(error: CstoreError, word: str = "", hint: str = "") -> str:
    """Return an error as JSON text: `{"error":{"kind":…,"message":…,"hint":…, its parts}}`."""
    from cstore.gojson import encode

    told: dict[str, object] = {"kind": error.kind, "message": error.message, "hint": hint or error.hint}
    if word:
        told["word"] = word
    plain = (str, int, float, bool, list, tuple, dict, type(None))
    for name, value in error.parts().items():
        told.setdefault(name, value if isinstance(value, plain) else str(value))
    return encode({"error": told}).decode().rstrip("\n")


def internal_error(error: BaseException, *, traceback: bool) -> None:
    """Print an exception that is a bug in cstore; with `traceback`, its traceback too."""
    if traceback:
        from traceback import format_exception

        say("".join(format_exception(error)).rstrip("\n"))
    remedy = "report it with the lines above" if traceback else "run again with --debug and report it"
    say(visible(f"cstore: internal error: {type(error).__name__}: {error} ({remedy})"))
