"""What a store holds never steers a terminal: control characters are spelled out there, and a pipe gets the bytes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tty
from typing import TYPE_CHECKING, Protocol

import pytest

from cstore.cli.output.text import visible, visible_json, visible_lines
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

EVIL = "\x1b]0;mine\x07\x9b2J\x7f\u202eend"
"""A title and a cleared screen, by escapes of seven bits and of eight; a deletion; a turned-round line."""
ITEM = f"it{EVIL}"
"""Its file name, in base 64, has no slash."""
HARMLESS = frozenset("\n\t")


class Terminal(Protocol):
    """Runs one command on the test's store, all three standard streams a terminal."""

    def __call__(self, *words: str, typed: str = "") -> str:
        """Return all that the terminal got. `typed` is what a person answers."""


@pytest.fixture
def terminal(store_roots: StoreRoots, private_config: str) -> Terminal:
    """A terminal without colours, so that every control character in what it gets is one too many."""

    def run(*words: str, typed: str = "") -> str:
        ours, its = pty.openpty()
        tty.setraw(its)
        os.write(ours, typed.encode())
        environment = {**os.environ, "CONTAINERS_STORAGE_CONF": private_config, "TERM": "dumb", "COLUMNS": "300"}
        program = [sys.executable, "-m", "cstore", *store_roots.options, *words]
        got = b""
        with subprocess.Popen(program, stdin=its, stdout=its, stderr=its, env=environment):
            os.close(its)
            try:
                while part := os.read(ours, 1 << 16):
                    got += part
            except OSError:  # how the end of the other side is told
                pass
        os.close(ours)
        return got.decode(errors="surrogateescape")

    return run


@pytest.fixture
def hostile(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """A store of whose every name, text and item the author means harm."""
    archive = tmp_path / "layer.tar"
    archive.write_bytes(make_tar(regular(f"a{EVIL}".encode(), f"{EVIL}\n".encode())))
    (tmp_path / "item").write_bytes(EVIL.encode() + b"\x9b31m\xff")
    item = str(tmp_path / "item")
    cli("import-layer", "-i", "l1", "-n", EVIL, "-l", EVIL, "-f", str(archive)).ok()
    cli("create-layer", "-i", "l2", "-n", "child", "l1").ok()
    cli("create-layer", "-i", "l3").ok()
    cli("create-image", "-i", "i1", "-n", f"img{EVIL}", "-m", EVIL, "l1").ok()
    cli("create-container", "-i", "c1", "-n", f"con{EVIL}", "-m", EVIL, "i1").ok()
    cli("set-layer-data", "-f", item, "l1", ITEM).ok()
    cli("set-image-data", "-f", item, "i1", ITEM).ok()
    cli("set-container-data", "-f", item, "c1", ITEM).ok()
    return cli


LISTINGS = [
    *(["layers"], ["layers", "--tree"], ["layer", "l1"], ["images"], ["image", "i1"], ["containers"]),
    *(["container", "c1"], ["get-names", "l1"], ["metadata", "i1", "c1"], ["list-layer-data", "l1"]),
    *(["list-image-data", "i1"], ["list-container-data", "c1"], ["get-layer-data", "l1", ITEM]),
    *(["get-image-data", "i1", ITEM], ["get-container-data", "c1", ITEM], ["changes", "l1"]),
    *(["exists", EVIL, f"no{EVIL}"], ["delete-layer", EVIL], ["delete-image", f"no{EVIL}"], ["mounted", EVIL]),
    *(["check"], ["repair", "--dry-run"], ["gc", "--dry-run"], ["set-names", "-n", EVIL, "l2"]),
    *(["ls", "l1"], ["ls", "-l", "-R", "i1"], ["ls", f"no{EVIL}"], ["cat", f"l1:/a{EVIL}"], ["stat", f"l1:/a{EVIL}"]),
    *(["find", "l1"], ["find", "--all"], ["compare", "--content", "l3", "l1"], ["blame", f"l1:/a{EVIL}"]),
    *(["blame", "--all", f"/a{EVIL}"], ["blame", "--waste"], ["find", "--json", "l1"]),
    ["compare", "--json", "l3", "l1"],
    *(["mount", f"no{EVIL}"], [f"{EVIL}"], ["layers", f"--{EVIL}"], ["layer", "-D", EVIL]),
    *(["inspect", "l1", "i1", "c1"], ["images", "--no-trunc"], ["images", "--columns", "names,used-by,state"]),
    *(["images", "--columns", EVIL], ["images", "--filter", f"{EVIL}=1"], ["images", "--filter", f"before={EVIL}"]),
]


@pytest.mark.parametrize("json_too", [False, True], ids=["plain", "json"])
def test_no_command_lets_a_control_character_through(
    hostile: CommandLine, terminal: Terminal, *, json_too: bool
) -> None:
    """Listings, contents, complaints, and what click says of a line that it does not understand."""
    del hostile
    for words in LISTINGS:
        got = terminal(*words, "--json") if json_too else terminal(*words)
        guilty = sorted({char for char in got if not char.isprintable() and char not in HARMLESS})
        assert not [char for char in guilty if not "\udca0" <= char <= "\udcff"], (words, got)


def test_a_name_is_shown_spelled_out(hostile: CommandLine, terminal: Terminal) -> None:
    """So that it can be told from another one; JSON stays JSON."""
    pipe = hostile("get-names", "l1").ok().out
    shown = terminal("get-names", "l1")

    assert pipe == EVIL + "\n"
    assert shown == visible(EVIL) + "\n"
    assert json.loads(terminal("get-names", "--json", "l1")) == [EVIL]


def test_a_person_gets_an_indented_document(hostile: CommandLine, terminal: Terminal) -> None:
    """`inspect` prints the same JSON on a terminal as in a pipe, where it is one line; so it is with --json."""
    piped = hostile("inspect", "i1", "l1").ok()
    shown = terminal("inspect", "i1", "l1")

    assert json.loads(shown) == piped.json
    assert shown.startswith('[\n  {\n    "version": 1,\n')
    assert json.loads(terminal("inspect", "--json", "i1", "l1")) == piped.json
    assert terminal("inspect", "--json", "i1").count("\n") == 1


def test_contents_keep_their_lines(hostile: CommandLine, terminal: Terminal, tmp_path: Path) -> None:
    """Tabs and newlines lay out a text; other control characters, and bytes that are such, are spelled out."""
    (tmp_path / "item").write_bytes(b"one\n\ttwo\x1b[m\x9b\r\n" + "é".encode() * 70_000)
    hostile("set-image-data", "-f", str(tmp_path / "item"), "i1", "text").ok()

    assert terminal("get-image-data", "i1", "text") == "one\n\ttwo\\x1b[m\\x9b\\r\n" + "é" * 70_000


def test_raw_gives_a_terminal_what_a_pipe_gets(hostile: CommandLine, terminal: Terminal) -> None:
    """For who wants that, before the command or after it."""
    for words in (["get-names", "l1"], ["layers"], ["metadata", "-q", "i1"]):
        assert terminal("--raw", *words) == hostile(*words).ok().out
        assert terminal(words[0], "--raw", *words[1:]) == hostile(*words).ok().out


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é", "plain é"),
        ("a\tb\nc\x1b", "a\tb\nc\\x1b"),
        ("\udc9b\udcff", "\\x9b\udcff"),  # a byte that eight-bit terminals obey, and one that nobody does
        ("\udcc2\udc9b", "\udcc2\\x9b"),  # would be U+009B when encoded
        ("\u2028", "\\u2028"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    assert visible_lines(text) == shown


def test_json_for_a_terminal_says_the_same() -> None:
    document = json.dumps({"name": "\x7f\x9b\u202e\U000e0001é"}, ensure_ascii=False)
    assert json.loads(visible_json(document)) == json.loads(document)
    assert visible_json(document).isprintable()


def test_deletions_say_on_a_terminal_what_went(cli: CommandLine, terminal: Terminal) -> None:
    """A pipe hears nothing, as from the Go tool, and nothing is ever asked."""
    for number in (1, 2):
        cli("create-layer", "-i", f"l{number}", "-n", f"layer{number}").ok()
        cli("create-image", "-i", f"i{number}", "-n", f"image{number}", f"l{number}").ok()
        cli("create-container", "-i", f"c{number}", "-n", f"box{number}", f"i{number}").ok()

    assert terminal("delete-container", "box1") == "deleted container c1 (box1)\n"
    assert terminal("delete-image", "image1") == "image1: l1\ndeleted image i1 (image1)\n"
    assert terminal("delete-layer", "l1") == "l1: identifier is not a layer: 'l1' (see cstore layers)\n"
    assert terminal("delete", "box2") == "deleted container c2\n"
    assert terminal("wipe") == "deleted 0 containers, 1 image and 1 layer\n"
    assert cli("wipe").ok().out == ""


def test_rm_asks_a_person_and_shows_what_goes(cli: CommandLine, terminal: Terminal) -> None:
    """Anything but a yes is a no; with --yes nothing is asked."""
    for number in (1, 2):
        cli("create-layer", "-i", f"l{number}").ok()
        cli("create-image", "-i", f"i{number}", "-n", f"image{number}{EVIL}", f"l{number}").ok()

    refused = terminal("rm", "i1", typed="n\n")
    assert "would free" in refused
    assert refused.rstrip().endswith("Delete these? [y/N]")
    assert len(json.loads(cli("images", "-j").ok().out)) == 2
    agreed = terminal("rm", "i1", typed="y\n")
    assert "freed" in agreed.partition("[y/N]")[2]
    assert {char for text in (refused, agreed) for char in text if not char.isprintable()} <= HARMLESS
    assert "[y/N]" not in terminal("prune", "--unused", "--yes")
    assert cli("images").ok().out == ""


def test_names_that_are_taken_away_are_told(cli: CommandLine) -> None:
    """set-names without a name takes all."""
    cli("create-layer", "-i", "l1", "-n", "one", "-n", "two").ok()

    told = cli("set-names", "l1").ok()

    assert told.err == "cstore: warning: l1 has no name now, as no --name was given; it had one, two\n"
    assert cli("set-names", "l1").ok().err == ""
    assert cli("set-names", "-n", "three", "l1").ok().err == ""


def test_only_a_person_is_asked_before_things_are_moved_aside(
    cli: CommandLine, store_roots: StoreRoots, terminal: Terminal
) -> None:
    """With a list of them; anything but a yes is a no."""
    cli("create-layer", "-i", "l1").ok()
    backup = store_roots.tree("backup")
    os.mkdir(backup)

    told = terminal("gc", "--foreign", typed="\n")
    assert (backup in told, told.endswith("Move these into quarantine? [y/N] ")) == (True, True)
    assert os.path.isdir(backup)
    assert backup in terminal("gc", "--foreign", typed="y\n")
    assert not os.path.exists(backup)
    os.mkdir(backup)
    assert backup in cli("gc", "--foreign", "--verbose").ok().out
    assert not os.path.exists(backup)


def test_only_a_person_is_asked_before_a_command_of_ours_deletes(cli: CommandLine, terminal: Terminal) -> None:
    """Anything but a yes is a no, and --yes is one."""
    for name in ("one", "two", "three"):
        cli("create-writable", name).ok()

    told = terminal("delete-writable", "one", typed="no\n")
    assert told == "Delete writable layer one, and everything that becomes unused? [y/N] "
    assert "one" in cli("writables").ok().out
    terminal("delete-writable", "one", typed="y\n")
    assert "[y/N]" not in terminal("delete-writable", "--yes", "two")
    cli("delete-writable", "three").ok()
    assert cli("writables").ok().out == ""
