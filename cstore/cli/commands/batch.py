"""Run many commands in one process, without the startup time of each."""

from __future__ import annotations

import os
import sys
from functools import partial

from cstore.cli.command import command, json_option, switch, text
from cstore.cli.session import Intent, Session
from cstore.errors import CstoreError, SystemFailure, UsageMistake
from cstore.gojson import encode
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from cstore import Layer
    from cstore.cli.reading import Line
    from cstore.store import PreparedLayer

_INTERRUPTED = 130
_BLOCK = 1 << 16
_ALONE = {
    "batch": "a batch cannot run another one",
    "unshare": "the programs of a batch are its commands",
}
"""Commands that need exclusive use of the process or its standard input → the reason why a batch rejects them."""
_QUOTING = "'\"\\"
_NONE = object()
_PER_LINE = frozenset({"json"})
"""The session options that a line may have; the others apply to the whole batch."""


@command(
    "batch",
    example="printf 'exists base\\nadd-names --name latest base\\n' | cstore batch --keep-going\n"
    'echo \'["layer", "base", "--json"]\' | cstore batch --json --keep-going\n'
    "printf 'import-layer -f %s\\n' *.tar | cstore batch --jobs 16",
)
@switch("-k", "--keep-going", help="Continue after a command fails.")
@text("--jobs", metavar="N", help="Let up to N layer imports in a row share their syncs (default: 1).")
@json_option
def batch(session: Session, keep_going: bool, jobs: str) -> None:
    """Run commands from standard input, one per line.

    A line is a command with its arguments, quoted as for a shell, or a JSON array of strings. Skips empty lines and
    lines that begin with #. Answers each command before reading the next line, so a program can write a command and
    read its answer. Give options that choose the store to batch, not in the lines. Other programs may change the store
    in between: every command sees its current state.

    The answer is the command's output, then a line "status: N" with its exit status; its errors go to standard error.
    With --json, the answer is one line, a JSON object: "line", the number of the line; "status"; "result", what the
    command prints with --json, or else "output", its text ("output_base64" if that is not UTF-8); "errors", a list of
    objects with "kind" and "message"; and "warnings", a list of lines.

    With --jobs, import-layer commands that follow each other become durable together, which takes a fraction of the
    time for small layers. Answers stay in order, and come only once a command is durable; the batch answers what is
    pending before it waits for input.

    The batch ends at the end of input, or with exit status 1 after the first command that fails. Commands cannot read
    standard input: give them files.
    """
    from cstore.cli.moving import number_of_jobs

    answers = _Answers(session, framed=session.json, keep_going=keep_going, jobs=number_of_jobs(jobs, 1))
    try:
        for number, words in _lines(answers.flush):
            if not answers.run(number, words):
                return
    finally:
        answers.give_up()


def _lines(before_waiting: Callable[[], bool]) -> Iterator[tuple[int, list[str] | UsageMistake]]:
    """Yield each command line of standard input with its number, as words or as a usage error.

    Commands cannot read standard input, because the null device replaces it. `before_waiting` is called when no input
    is available yet, and at the end of input; if it returns False, the lines end.
    """
    from select import POLLIN, poll

    from cstore.cli import files

    source = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
    files.commands_on_input = True
    waiter, read, number, more = poll(), b"", 0, True
    waiter.register(source, POLLIN)
    while more:
        if not waiter.poll(0) and not before_waiting():
            return
        data = os.read(source, _BLOCK)
        more = bool(data)
        *lines, read = (read + data).split(b"\n") if more else [read, b""]
        for line in lines:
            number += 1
            text = line.decode("utf-8", "surrogateescape").strip()
            if text and not text.startswith("#"):
                yield number, _words(text)
    before_waiting()


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
    if text.isascii() and text.isprintable() and not any(sign in text for sign in _QUOTING):
        return text.split()
    from shlex import split

    try:
        return split(text)
    except ValueError as error:
        return UsageMistake(f"the line cannot be split into words: {error}", hint="close the quotation, or write JSON")


class _Waiting(Value):
    """An import that is not durable yet: its line, session, prepared layer, output function, and output so far."""

    number: int
    session: Session
    prepared: PreparedLayer
    show: Callable[[Layer], None]
    told: dict[str, list[Any]]


class _Answers:
    """The runner of a batch: it runs commands on one store and prints their answers to standard output.

    With `framed`, answers are JSON, and the output of a command first goes to files in memory.
    """

    def __init__(self, session: Session, *, framed: bool, keep_going: bool, jobs: int) -> None:
        self._session = session
        self._framed = framed
        self._keep_going = keep_going
        self._jobs = jobs
        self._waiting: list[_Waiting] = []
        self._later: list[tuple[Session, PreparedLayer, Callable[[Layer], None]]] = []
        if framed:
            self._output = os.dup(1)
            self._taken = [os.memfd_create(name, os.MFD_CLOEXEC) for name in ("output", "errors")]
            for number, taken in enumerate(self._taken, 1):
                os.dup2(taken, number)

    def run(self, number: int, words: list[str] | UsageMistake) -> bool:
        """Run a line and answer it, or queue its layer; return whether the batch continues.

        Raises:
            BrokenPipeError: the reader of the answers has exited. Completed commands keep their effect.
        """
        from cstore.cli import run
        from cstore.cli.reading import read

        if self._waiting:
            line = None if isinstance(words, UsageMistake) else read(words)
            if not (line is not None and self._is_for_later(line)) and not self.flush():
                return False
        if isinstance(words, UsageMistake):
            self._line_session(None).complain(words)
            status = words.exit_code
        else:
            status = run(words, self._line_session)
        told = self._told()
        if self._later:
            self._waiting.append(_Waiting(number, *self._later.pop(), told))
            return len(self._waiting) < self._jobs or self.flush()
        return self.flush() and self._answer(number, status, told)

    def flush(self) -> bool:
        """Make the queued layers durable and answer their lines; return whether the batch continues."""
        if not self._waiting:
            return True
        from cstore.cli import go_on

        waiting, self._waiting = self._waiting, []
        layers = self._session.open(Intent.WRITE).layers
        try:
            results = layers.publish([each.prepared for each in waiting], keep_going=self._keep_going)
        except CstoreError as error:
            results = [error] * len(waiting)
        for each, result in zip(waiting, results, strict=False):
            status = go_on(each.session, partial(_show, each, result))
            told = self._told()
            for key in ("errors", "warnings"):
                told[key] = [*each.told.get(key, ()), *told.get(key, ())]
            if not self._answer(each.number, status, told):
                return False
        return True

    def give_up(self) -> None:
        """Remove the queued layers that have no answer yet."""
        for each in self._waiting:
            each.prepared.clean()

    def _is_for_later(self, line: Line) -> bool:
        # A parent may be a queued layer, and a layer to reuse must exist already.
        if self._jobs < 2 or line.command.name != "import-layer" or line.values["reuse"]:
            return False
        return not (line.values["parent"] and self._waiting)

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
        session = Session(line.settings, self._session)
        if self._is_for_later(line):
            session.later = lambda prepared, show: self._later.append((session, prepared, show))
        return session

    def _told(self) -> dict[str, Any]:
        """Return the output of the command by kind and empty the files; return {} without frames (already written)."""
        sys.stdout.flush()
        sys.stderr.flush()
        if not self._framed:
            return {}
        written = []
        for taken in self._taken:
            written.append(os.pread(taken, os.fstat(taken).st_size, 0))
            os.ftruncate(taken, 0)
            os.lseek(taken, 0, os.SEEK_SET)
        output, errors = written
        told: dict[str, Any] = {}
        result = _document(output)
        if result is not _NONE:
            told["result"] = result
        elif output:
            try:
                told["output"] = output.decode()
            except UnicodeDecodeError:
                from base64 import b64encode

                told["output_base64"] = b64encode(output).decode()
        lines = errors.decode("utf-8", "replace").splitlines()
        documents = [(line, _document(line.encode())) for line in lines]
        told["errors"] = [document["error"] for _, document in documents if _is_error(document)]
        told["warnings"] = [line for line, document in documents if not _is_error(document)]
        return told

    def _answer(self, number: int, status: int, told: dict[str, Any]) -> bool:
        """Print the status of a line, with frames also its output; return whether the batch continues."""
        self._session.failed = self._session.failed or status != 0
        if self._framed:
            data = memoryview(encode({"line": number, "status": status, **told}).rstrip(b"\n") + b"\n")
            while data:
                try:
                    data = data[os.write(self._output, data) :]
                except BrokenPipeError:
                    raise
                except OSError as error:
                    raise SystemFailure("write", "standard output", error) from error
        else:
            sys.stdout.write(f"status: {status}\n")
            sys.stdout.flush()
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        return self._keep_going or not status


def _show(waiting: _Waiting, result: Layer | CstoreError) -> None:
    if isinstance(result, CstoreError):
        raise result
    waiting.show(result)


def _document(data: bytes) -> Any:
    """Return the JSON object, list or null in `data`; `_NONE` if it contains anything else."""
    if not data.startswith((b"{", b"[", b"null")):
        return _NONE
    from json import loads

    try:
        return loads(data)
    except ValueError:
        return _NONE


def _is_error(document: Any) -> bool:
    return isinstance(document, dict) and document.keys() == {"error"}
