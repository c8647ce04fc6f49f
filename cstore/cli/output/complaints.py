"""Errors and warnings on stderr: one line or one JSON object each."""

from __future__ import annotations

from cstore.cli.output.streams import say
from cstore.cli.output.text import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.errors import CstoreError


def warn(sentence: str) -> None:
    """Say something that does not stop the command."""
    say(visible(f"cstore: warning: {sentence}"))


def complain(error: CstoreError, *, word: str = "", hint: str = "", as_json: bool = False) -> None:
    """Say an error. `word` is the argument it is about, where a command takes several; `hint` a better way out."""
    if as_json:
        say(as_document(error, word, hint), json=True)
        return
    hint = hint or error.hint
    way_out = f" ({hint})" if hint else ""
    say(visible(f"{word or 'cstore'}: {error.message}{way_out}"))


def as_document(error: CstoreError, word: str = "", hint: str = "") -> str:
    """Write an error as `{"error":{"kind":…,"message":…,"hint":…, its parts}}`."""
    from cstore.gojson import encode

    told: dict[str, object] = {"kind": error.kind, "message": error.message, "hint": hint or error.hint}
    if word:
        told["word"] = word
    plain = (str, int, float, bool, list, tuple, dict, type(None))
    for name, value in error.parts().items():
        told.setdefault(name, value if isinstance(value, plain) else str(value))
    return encode({"error": told}).decode().rstrip("\n")


def internal_error(error: BaseException, *, traceback: bool) -> None:
    """Own up to a bug of ours."""
    if traceback:
        from traceback import format_exception

        say("".join(format_exception(error)).rstrip("\n"))
    remedy = "report it with the lines above" if traceback else "run again with --debug and report it"
    say(visible(f"cstore: internal error: {type(error).__name__}: {error} ({remedy})"))
