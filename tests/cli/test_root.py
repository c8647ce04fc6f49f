"""The program itself: help, usage errors, global options, the exit code."""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import TYPE_CHECKING

import click
import pytest

from cstore import __version__
from cstore.cli.clicked import root
from cstore.cli.reading import read
from cstore.cli.root import BORROWED, BORROWED_OPTIONS, SECTIONS, Entry, entries, targets

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

NAMES = [name for entry in entries() for name in (entry.name, *entry.aliases)]


def test_names_and_aliases_are_unique() -> None:
    """No two commands answer to one name."""
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help(bare_cli: CommandLine, name: str) -> None:
    """Help exits 0, goes to standard output, and ends with an example that names the program."""
    told = bare_cli(name, "--help").ok()

    assert told.err == ""
    assert told.out.startswith(f"Usage: cstore {name} ")
    assert told.out.splitlines()[-1].strip()
    assert "\nExample:\n  " in told.out


@pytest.mark.parametrize("entry", list(entries()), ids=lambda entry: str(entry.name))
def test_the_table_agrees_with_the_command(entry: Entry) -> None:
    """The one line of the table is the first line of the command's help."""
    found = root.get_command(click.Context(root), entry.name)

    assert found is not None
    assert found.name == entry.name
    assert (found.help or "").splitlines()[0] == entry.help


@pytest.mark.parametrize("spelling", ["--help", "-h", "-help"])
def test_help_of_the_program(bare_cli: CommandLine, spelling: str) -> None:
    """All spellings of help list every command and exit 0."""
    told = bare_cli(spelling).ok()

    assert all(f"  {entry.name} " in told.out for entry in entries())
    assert all(f"{title}:" in told.out for title, _ in SECTIONS)


def test_no_words_are_a_usage_error(bare_cli: CommandLine) -> None:
    """Nothing to do shows the help and fails."""
    told = bare_cli()

    assert told.code == 2
    assert "Usage: cstore" in told.err + told.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["laers"], "Did you mean layers"),
        (["xyzzy"], "There is no command 'xyzzy'."),
        (["help"], "There is no command 'help'."),
        (["layers", "--bogus"], "--bogus"),
        (["layers", "--jsn"], "--json"),
        (["layer"], "LAYER"),
        (["layers", "extra"], "extra"),
        (["changes", "a", "b", "c"], "c"),
        (["--graph"], "--graph"),
        (["--lock-timeout", "soon", "layers"], "soon"),
        (["--lock-timeout=-1", "layers"], "-1"),
        (["layers", "--json=maybe"], "maybe"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_exit_2(bare_cli: CommandLine, words: list[str], said: str) -> None:
    """A mistake on the command line says what is wrong, on standard error alone, and exits 2."""
    told = bare_cli(*words)

    assert (told.code, told.out) == (2, "")
    assert said in told.err
    assert "Usage: cstore" in told.err


def test_usage_errors_do_not_touch_the_store(cli: CommandLine, store_roots: StoreRoots) -> None:
    """A mistyped writing command makes no directory."""
    cli("create-layer", "--bogus")

    assert not os.path.exists(store_roots.graph)


def test_version_option(bare_cli: CommandLine) -> None:
    """`--version` prints and stops."""
    assert bare_cli("--version").ok().out == f"cstore {__version__}\n"


@pytest.mark.parametrize(
    "shape",
    [
        "-g {g} -R {r} -s vfs config",
        "config -g {g} -R {r} -s vfs",
        "-g {g} config --run={r} -s=vfs",
        "--graph /elsewhere -R {r} config --graph {g} --storage-driver vfs",
    ],
)
def test_global_options_count_in_both_positions(bare_cli: CommandLine, tmp_path: object, shape: str) -> None:
    """Options before the command and after it are one set; a later one wins."""
    graph, run = f"{tmp_path}/g", f"{tmp_path}/r"

    found = bare_cli(*shape.format(g=graph, r=run).split()).ok().json

    assert (found["root"], found["runroot"], found["driver"]) == (graph, run, "vfs")


def test_driver_options_add_up(bare_cli: CommandLine) -> None:
    """`--storage-opt` before and after the command are kept, in order."""
    told = bare_cli(
        "--storage-opt", "vfs.ignore_chown_errors=true", "config", "--storage-opt", "vfs.ignore_chown_errors=false"
    ).ok()

    assert told.json["driver-options"] == ["vfs.ignore_chown_errors=true", "vfs.ignore_chown_errors=false"]


def test_a_switch_before_can_be_taken_back_after(bare_cli: CommandLine) -> None:
    """The last value of a switch wins, wherever it stands."""
    on = bare_cli("--transient-store", "config").ok().json
    off = bare_cli("--transient-store", "config", "--transient-store=false").ok().json

    assert on["transient_store"] is True
    assert "transient_store" not in off


def test_unknown_driver_is_an_error_with_a_way_out(bare_cli: CommandLine, tmp_path: object) -> None:
    """A store that cannot be opened is one sentence, not a traceback."""
    told = bare_cli("-g", f"{tmp_path}/g", "-R", f"{tmp_path}/r", "-s", "bogus", "layers")

    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("cstore: storage driver bogus: ")
    assert told.err.count("\n") == 1
    assert "vfs" in told.err


def test_errors_are_json_when_results_are(cli: CommandLine) -> None:
    """With `--json`, an error is an object on standard error with its kind and parts."""
    told = cli("get-names", "--json", "nope")

    assert (told.code, told.out) == (1, "")
    assert told.error["kind"] == "LayerUnknown"
    assert told.error["item"] == "nope"
    assert told.error["message"]
    assert told.error["hint"]


def test_reading_makes_no_store(cli: CommandLine, store_roots: StoreRoots) -> None:
    """Looking at a store that is not there finds nothing and leaves nothing."""
    assert cli("layers").ok().out == ""
    assert cli("exists", "x").code == 1
    assert cli("gc", "--dry-run").ok().out == ""
    assert not os.path.exists(store_roots.graph)
    assert not os.path.exists(store_roots.run)


def test_a_reader_that_goes_away_is_no_noise(run: Runner, store_roots: StoreRoots, tmp_path: object) -> None:
    """When the pipe is closed on us, nothing is said about it."""
    import subprocess
    import sys

    command = [sys.executable, "-m", "cstore", *store_roots.options, "--help"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)

    assert done.stderr == b""
    assert done.returncode != 0


def test_a_full_disk_is_told(store_roots: StoreRoots) -> None:
    """A result that cannot be written is a failure with a sentence."""
    import subprocess
    import sys

    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "cstore", *store_roots.options, "config"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)

    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_bug_is_owned_up_to(bare_cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is called an internal error; the traceback is for those who ask."""
    status = import_module("cstore.cli.commands.status")

    def fail(*_args: object) -> None:
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr(status, "_facts", fail)
    quiet, loud = bare_cli("version"), bare_cli("-D", "version")

    assert quiet.code == loud.code == 1
    assert quiet.err.startswith("cstore: internal error: ZeroDivisionError: a\\nb (")
    assert quiet.err.count("\n") == 1
    assert "Traceback" in loud.err


def test_an_interrupt_is_told_and_exits_130(bare_cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with the shell's code and a word about what was left."""
    status = import_module("cstore.cli.commands.status")

    def interrupt(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "_facts", interrupt)
    told = bare_cli("version")

    assert told.code == 130
    assert "interrupted" in told.err
    assert "nothing is left half-done" in told.err


@pytest.mark.parametrize("words", [["changes"], ["layer"], ["mount"], ["set-metadata"]])
def test_a_word_that_is_missing_is_a_usage_error(cli: CommandLine, words: list[str]) -> None:
    """It is asked for by its name, before the store is opened."""
    told = cli(*words)

    assert (told.code, told.out) == (2, "")
    assert "Missing argument" in told.err


def test_options_may_stand_behind_words(cli: CommandLine) -> None:
    """As in the programs that people come from; what is no option there is named as one."""
    cli("create-layer", "--name", "base").ok()

    assert cli("layer", "base", "--json").ok().json[0]["names"] == ["base"]
    assert cli("exists", "base", "-q").ok().out == ""
    assert cli("exists", "base", "--", "--quiet").code == 1
    wrong = cli("exists", "base", "--bogus")
    assert (wrong.code, wrong.out) == (2, "")
    assert "--bogus" in wrong.err


def test_what_follows_a_program_is_the_programs(bare_cli: CommandLine) -> None:
    """Options behind the first word of `unshare` are not read."""
    line = read(["unshare", "-D", "env", "--help", "-D"])

    assert line is not None
    assert line.values == {"command": ("env", "--help", "-D")}
    assert bare_cli("version", "word").code == 2


@pytest.mark.parametrize("name", BORROWED)
def test_commands_of_other_programs_are_answered_with_ones_there_are(bare_cli: CommandLine, name: str) -> None:
    """Each answer names a command, and every command of cstore that it names exists."""
    told = bare_cli(name)

    assert told.code == 2
    assert BORROWED[name] in told.err
    assert name not in targets()
    named = re.findall(r"cstore ([a-z-]+)", BORROWED[name])
    assert named or re.search(r"(podman|buildah) [a-z]+ [A-Z]+", BORROWED[name])
    assert set(named) <= set(targets())


@pytest.mark.parametrize("option", BORROWED_OPTIONS)
def test_options_of_other_programs_are_answered(bare_cli: CommandLine, option: str) -> None:
    """With what to use instead, where a command has none of that name."""
    told = bare_cli("images", option, "json")

    assert (told.code, BORROWED_OPTIONS[option] in told.err) == (2, True)


def test_help_leads_with_what_most_people_need(bare_cli: CommandLine) -> None:
    """Some ten commands, then all by group; the global options come once, at the end, and not with each command."""
    told = bare_cli("--help").ok().out
    titles = re.findall(r"^([A-Z][^\n]*):$", told, re.MULTILINE)

    assert titles == ["Common commands", *(title for title, _ in SECTIONS), "Global options"]
    assert "--lock-timeout" in told
    assert "--lock-timeout" not in bare_cli("layers", "--help").ok().out
