"""`cstore batch`: many commands in one process, answered one by one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cstore.cli.root import entries
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Runner, StoreRoots

    Batch = Callable[..., list[dict[str, Any]]]


class Coprocess:
    """A batch that is written to and read from a line at a time."""

    def __init__(self, roots: StoreRoots, config: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cstore", *roots.options, "batch", "--json", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "CONTAINERS_STORAGE_CONF": config},
        )

    def ask(self, *words: str) -> dict[str, Any]:
        """Write one command, and read its answer before anything else is written."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def end(self) -> int:
        """Close its input."""
        self.process.communicate()
        return self.process.returncode


@pytest.fixture
def batch(store_roots: StoreRoots, private_config: str) -> Iterator[Coprocess]:
    """A batch that goes on after a failure."""
    started = Coprocess(store_roots, private_config, "--keep-going")
    yield started
    started.process.kill()
    started.process.communicate()


@pytest.fixture
def batch_of_imports(run: Runner, tmp_path: Path) -> Batch:
    """Runs lines with --jobs 8, and gives the answers; in the lines are the names of a layer and of a broken one."""
    paths = {"archive": str(tmp_path / "layer.tar"), "broken": str(tmp_path / "broken.tar")}
    (tmp_path / "layer.tar").write_bytes(make_tar(regular("f", b"text")))
    (tmp_path / "broken.tar").write_bytes(b"no archive" * 100)

    def answers(*lines: str, keep_going: bool = True) -> list[dict[str, Any]]:
        options = ["--keep-going"] if keep_going else []
        text = "".join(f"{line.format(**paths)}\n" for line in lines)
        told = run("batch", "--json", "--jobs", "8", *options, stdin=text.encode())
        return [json.loads(line) for line in told.stdout.splitlines()]

    return answers


def test_each_command_is_answered_before_the_next_is_read(batch: Coprocess) -> None:
    """With its own status, its result, or its error."""
    made = batch.ask("create-layer", "--id", "l1", "--name", "a b")
    assert made.pop("result")["names"] == ["a b"]
    assert made == {"line": 1, "status": 0, "errors": [], "warnings": []}
    assert batch.ask("exists", "a b", "nope")["result"] == {"a b": True, "nope": False}
    refused = batch.ask("get-names", "nope")
    assert (refused["status"], refused["errors"][0]["kind"]) == (1, "LayerUnknown")
    assert batch.ask("laers")["errors"][0]["message"].startswith("There is no command 'laers'. Did you mean layers")
    assert batch.ask("diff", "l1")["output"] == "\0" * 1024
    assert batch.end() == 1


def test_every_command_sees_the_store_as_it_is_then(batch: Coprocess, run: Runner) -> None:
    """What another process does between two commands shows at once, in both directions."""
    assert batch.ask("exists", "it")["status"] == 1
    run("create-layer", "--name", "it").ok()
    assert batch.ask("exists", "it")["status"] == 0
    batch.ask("delete-layer", "it")
    assert run("exists", "it").code == 1


def test_the_answers_are_those_of_the_single_commands(batch: Coprocess, run: Runner, tmp_path: Path) -> None:
    """The same documents on the same store."""
    (tmp_path / "layer.tar").write_bytes(make_tar(regular("f", b"text")))
    batch.ask("import-layer", "--name", "base", "--file", str(tmp_path / "layer.tar"))
    batch.ask("create-image", "--name", "app", "base")
    batch.ask("create-container", "--name", "box", "app")

    for words in (
        ["layers"],
        ["images"],
        ["containers"],
        ["layer", "base"],
        ["changes", "base"],
        ["check"],
        ["status"],
    ):
        single = run(*words, "--json").ok().stdout
        assert batch.ask(*words)["result"] == json.loads(single), words


def test_imports_in_a_row_become_durable_together(batch_of_imports: Batch, run: Runner) -> None:
    """Answered in order, each with its own status; a layer above one that waits, and any other command, see it."""
    answers = batch_of_imports(
        "import-layer --id a -f {archive}",
        "import-layer --id b --name taken -f {archive}",
        "import-layer --id c --name taken -f {archive}",
        "import-layer --id d -f /nowhere",
        "import-layer --id e -f {broken}",
        "import-layer --id f -f {archive} b",
        "import-layer --id g --reuse -f {archive}",
        "exists a b f",
        "import-layer --id h --id-only -f {archive}",
    )

    assert [answer["status"] for answer in answers] == [0, 0, 1, 1, 1, 0, 0, 0, 0]
    assert [answer["line"] for answer in answers] == list(range(1, 10))
    assert [answer["errors"][0]["kind"] for answer in answers[2:5]] == [
        "NameTaken", "SystemFailure", "ArchiveMalformed"
    ]  # fmt: skip
    assert answers[1]["result"]["names"] == ["taken"]
    assert run("layers", "--quiet").ok().stdout.split() == ["a", "b", "f", "h"]
    assert run("check").ok()
    assert run("gc", "--dry-run").ok().stdout == ""


def test_behind_a_failure_nothing_is_imported(batch_of_imports: Batch, run: Runner) -> None:
    """Though it was read already: without --keep-going, the batch ends there."""
    lines = [f"import-layer --id {name} -f {{archive}}" for name in ("a", "b", "b", "c")]

    answers = batch_of_imports(*lines, keep_going=False)

    assert [answer["status"] for answer in answers] == [0, 0, 1]
    assert run("layers", "--quiet").ok().stdout.split() == ["a", "b"]
    assert run("gc", "--dry-run").ok().stdout == ""


@pytest.mark.parametrize("number", ["0", "65", "many", "-1"])
def test_a_number_of_jobs_makes_sense(run: Runner, number: str) -> None:
    """Or is refused before anything is read."""
    refused = run("batch", f"--jobs={number}", stdin=b"layers\n")

    assert refused.code == 2
    assert "--jobs must be a number from 1 to 64" in refused.stderr


def test_who_waits_for_an_answer_gets_it(store_roots: StoreRoots, private_config: str, tmp_path: Path) -> None:
    """An import does not wait for others as long as nobody writes any."""
    (tmp_path / "layer.tar").write_bytes(make_tar(regular("f", b"text")))
    started = Coprocess(store_roots, private_config, "--jobs", "8")

    assert started.ask("import-layer", "--id", "a", "-f", str(tmp_path / "layer.tar"))["result"]["id"] == "a"
    assert started.ask("exists", "a")["status"] == 0
    assert started.end() == 0


def test_plain_answers_end_with_the_status(run: Runner) -> None:
    """Words as in a shell; comments and empty lines pass; the first failure ends the batch."""
    lines = "create-layer --id l1 --name 'a b'\n\n# nothing\nexists \"a b\"\nexists nope\nexists l1\n"

    told = run("batch", stdin=lines.encode())
    assert (told.code, told.stdout) == (1, "l1\n\ta b\nstatus: 0\na b: true\nstatus: 0\nnope: false\nstatus: 1\n")
    assert run("batch", "--keep-going", stdin=lines.encode()[34:]).stdout.endswith("l1: true\nstatus: 0\n")
    assert run("batch", stdin=b"exists l1").ok().stdout == "l1: true\nstatus: 0\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("exists 'x", "cannot be split into words"),
        ('["exists"', "not a JSON array"),
        ('["exists", 1]', "not a JSON array of strings"),
        ("[]", "not a JSON array of strings"),
        ("--graph /elsewhere layers", "--graph applies to the whole batch"),
        ("layers --no-sync", "--no-sync applies to the whole batch"),
        ("unshare id", "run it outside the batch"),
        ("batch", "run it outside the batch"),
        ("import-layer", "standard input carries the commands"),
        ("set-layer-data l1 key", "standard input carries the commands"),
        ("load", "standard input carries the commands"),
        ("exists", "Missing argument"),
    ],
)
def test_what_a_batch_cannot_do_is_said(run: Runner, line: str, reason: str) -> None:
    """With status 2, and the commands behind it are read as commands."""
    run("create-layer", "--id", "l1").ok()

    told = run("batch", "--keep-going", "--json", stdin=f"{line}\nexists l1\n".encode()).stdout.splitlines()
    answers = [json.loads(each) for each in told]
    assert [answer["status"] for answer in answers] == [2, 0]
    assert reason in json.dumps(answers[0]["errors"])


def test_output_that_is_no_text_comes_as_base64(batch: Coprocess, tmp_path: Path) -> None:
    """And loses nothing."""
    (tmp_path / "data").write_bytes(bytes(range(256)))
    batch.ask("create-layer", "--id", "l1")
    batch.ask("set-layer-data", "l1", "key", "--file", str(tmp_path / "data"))

    from base64 import b64decode

    assert b64decode(batch.ask("get-layer-data", "l1", "key")["output_base64"]) == bytes(range(256))


def test_a_reader_that_goes_away_ends_the_batch(store_roots: StoreRoots, private_config: str) -> None:
    """Quietly; what was answered before is done."""
    started = Coprocess(store_roots, private_config)
    assert started.ask("create-layer", "--id", "l1")["status"] == 0
    assert started.process.stdin is not None
    assert started.process.stdout is not None
    assert started.process.stderr is not None
    started.process.stdout.close()
    started.process.stdin.write(b"exists l1\n" * 3)
    started.process.stdin.close()

    assert started.process.wait() == 1
    assert started.process.stderr.read() == b""
    started.process.stderr.close()


def test_help_of_every_command_can_be_asked_for(batch: Coprocess) -> None:
    """Also of those that a batch does not run."""
    for entry in entries():
        answer = batch.ask(entry.name, "--help")
        assert answer["status"] == 0
        assert "Example:" in answer["output"]


def test_no_descriptor_is_left_open(batch: Coprocess) -> None:
    """However many commands there are."""
    batch.ask("create-layer", "--id", "l1")
    batch.ask("exists", "l1")
    before = len(os.listdir(f"/proc/{batch.process.pid}/fd"))
    for _ in range(20):
        batch.ask("exists", "l1", "nope")
        batch.ask("add-names", "--name", "n", "l1")
        batch.ask("get-names", "nope")
    assert len(os.listdir(f"/proc/{batch.process.pid}/fd")) <= before
