"""Many commands in one process: the same commands, without the start-up of each."""

from __future__ import annotations

import os
import sys

from cstore.cli.command import command, json_option, switch
from cstore.cli.session import Session
from cstore.errors import SystemFailure, UsageMistake
from cstore.gojson import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.cli.reading import Line

_INTERRUPTED = 130
_ALONE = {
    "batch": "a batch cannot run another one",
    "unshare": "the programs of a batch are its commands",
}
"""Commands that have the process, or its standard input, to themselves: why they are refused."""
_NONE = object()
_PER_LINE = frozenset({"json"})
"""What a line may say to the session; the rest is said to the batch, once."""


@command(
    "batch",
    example="printf 'exists base\\nadd-names --name latest base\\n' | cstore batch --keep-going\n"
    'echo \'["layer", "base", "--json"]\' | cstore batch --json --keep-going',
)
@switch("-k", "--keep-going", help="Continue after a command fails.")
@json_option
def batch(session: Session, keep_going: bool) -> None:
    """Run commands from standard input, one per line.

    A line is a command with its arguments, quoted as for a shell, or a JSON array of strings. Skips empty lines and
    lines that begin with #. Answers each command before reading the next line, so a program can write a command and
    read its answer. Give options that choose the store to batch, not in the lines. Other programs may change the store
    in between: every command sees its current state.

    The answer is the command's output, then a line "status: N" with its exit status; its errors go to standard error.
    With --json, the answer is one line, a JSON object: "line", the number of the line; "status"; "result", what the
    command prints with --json, or else "output", its text ("output_base64" if that is not UTF-8); "errors", a list of
    objects with "kind" and "message"; and "warnings", a list of lines.

    The batch ends at the end of input, or with exit status 1 after the first command that fails. Commands cannot read
    standard input: give them files.
    """
    answered = _Answers(session, framed=session.json)
    for number, words in _lines():
        status = answered.run(number, words)
        session.failed = session.failed or status != 0
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        if status and not keep_going:
            break


def _lines() -> Iterator[tuple[int, list[str] | UsageMistake]]:
    """Every line of standard input with its number, as words or as what is wrong with it. Commands do not see it."""
    from cstore.cli import files

    source = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
    files.commands_on_input = True
    with open(source, "rb") as stream:
        for number, line in enumerate(stream, 1):
            text = line.decode("utf-8", "surrogateescape").strip()
            if text and not text.startswith("#"):
                yield number, _words(text)


def _words(text: str) -> list[str] | UsageMistake:
    if text.startswith("["):
        from json import loads

        try:
            words = loads(text)
        except ValueError as error:
            return UsageMistake(f"the line is not a JSON array: {error}")
        if not words or not all(isinstance(word, str) for word in words):
            return UsageMistake("the line is not a JSON array of strings", hint='write it as ["exists", "base"]')
        return [*words]
    from shlex import split

    try:
        return split(text)
    except ValueError as error:
        return UsageMistake(f"the line cannot be split into words: {error}", hint="close the quotation, or write JSON")


class _Answers:
    """Runs commands of a batch on one store and answers them on standard output.

    `framed`: as JSON. What a command writes to the standard streams then goes to files in memory first.
    """

    def __init__(self, session: Session, *, framed: bool) -> None:
        self._session = session
        self._framed = framed
        if framed:
            self._output = os.dup(1)
            self._taken = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("output", "errors")]
            for number, taken in enumerate(self._taken, 1):
                os.dup2(taken, number)

    def run(self, number: int, words: list[str] | UsageMistake) -> int:
        """Run a line and answer it; gives its exit status.

        Raises:
            BrokenPipeError: nobody reads the answers any more. What was done is done.
        """
        from cstore.cli import run

        if isinstance(words, UsageMistake):
            self._line_session(None).complain(words)
            status = words.exit_code
        else:
            status = run(words, self._line_session)
        sys.stdout.flush()
        sys.stderr.flush()
        if self._framed:
            self._answer({"line": number, "status": status, **self._told()})
        else:
            sys.stdout.write(f"status: {status}\n")
            sys.stdout.flush()
        return status

    def _line_session(self, line: Line | None) -> Session:
        if line is None:
            return Session(outer=self._session)
        name = line.command.name
        if name in _ALONE:
            raise UsageMistake(f"{name} is not a command for a batch: {_ALONE[name]}", hint="run it outside the batch")
        foreign = [option for option in line.settings if option not in _PER_LINE]
        if foreign:
            option = foreign[0].replace("_", "-")
            raise UsageMistake(f"--{option} applies to the whole batch", hint=f"give it to cstore batch: --{option}")
        return Session(line.settings, self._session)

    def _told(self) -> dict[str, object]:
        """What the command wrote, taken apart; empties the files."""
        output, errors = (_emptied(taken) for taken in self._taken)
        told: dict[str, object] = {}
        result = _document(output)
        if result is not _NONE:
            told["result"] = result
        elif output:
            told.update(_text("output", output))
        lines = errors.decode("utf-8", "replace").splitlines()
        documents = [(line, _document(line.encode())) for line in lines]
        told["errors"] = [document["error"] for _, document in documents if _is_error(document)]
        told["warnings"] = [line for line, document in documents if not _is_error(document)]
        return told

    def _answer(self, document: dict[str, object]) -> None:
        data = memoryview(encode(document).rstrip(b"\n") + b"\n")
        while data:
            try:
                data = data[os.write(self._output, data) :]
            except BrokenPipeError:
                raise
            except OSError as error:
                raise SystemFailure("write", "standard output", error) from error


def _emptied(taken: int) -> bytes:
    data = os.pread(taken, os.fstat(taken).st_size, 0)
    os.ftruncate(taken, 0)
    os.lseek(taken, 0, os.SEEK_SET)
    return data


def _document(data: bytes) -> Any:
    """The one JSON object, list or null that a text is; `_NONE` if it is none."""
    if not data.startswith((b"{", b"[", b"null")):
        return _NONE
    from json import loads

    try:
        return loads(data)
    except ValueError:
        return _NONE


def _is_error(document: Any) -> bool:
    return isinstance(document, dict) and document.keys() == {"error"}


def _text(key: str, data: bytes) -> dict[str, object]:
    try:
        return {key: data.decode()}
    except UnicodeDecodeError:
        from base64 import b64encode

        return {f"{key}_base64": b64encode(data).decode()}
