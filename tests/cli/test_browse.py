"""browse: the store on a terminal, driven by keys, in a window of 80 columns and 24 lines."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import directory, flip_byte_of, make_tar, regular, symlink

pytest.importorskip("textual", reason="the extra cstore[browse] is not installed")

from textual.events import Key
from textual.widgets import Input, Static

from cstore import Store, open_store
from cstore.browse.app import Browser
from cstore.browse.files import Files
from cstore.browse.screens import Preview, Table, Window
from cstore.browse.texts import Texts
from cstore.cli.output import holders
from cstore.cli.output.contents import time_of
from cstore.cli.output.styled import age
from cstore.cli.output.text import human_size, short_id, visible
from cstore.insight import plan_removal
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

TEXTS = Texts(human_size, age, time_of, short_id, visible, holders.lines)
BASE = make_tar(
    directory("etc"),
    regular("etc/passwd", b"root:x:0:0\n"),
    regular(b"etc/odd\n\x1b[31m\xff", b"\x1b[31mred [bold]\n"),
    symlink("conf", "etc"),
    regular("bin/tool", bytes(range(256)) * 8),
)


@pytest.fixture
def told(cli: CommandLine, store_roots: StoreRoots, tmp_path: Path) -> Iterator[CommandLine]:
    """A store with an image of two layers, a container, an image without a name, and a layer that nobody needs."""
    (tmp_path / "base.tar").write_bytes(BASE)
    (tmp_path / "own.tar").write_bytes(make_tar(regular("own", b"x" * 9000)))
    cli("import-layer", "-i", "base", "-f", str(tmp_path / "base.tar")).ok()
    cli("import-layer", "-i", "own", "-f", str(tmp_path / "own.tar"), "base").ok()
    cli("create-image", "-i", "abc", "-n", "localhost/app:1.0", "own").ok()
    cli("create-image", "-i", "def", "base").ok()
    cli("create-container", "-i", "box", "-n", "web", "localhost/app:1.0").ok()
    yield cli
    detach_all(str(tmp_path))


async def settled(pilot: Pilot[None]) -> None:
    """Wait for what is done aside."""
    for _ in range(2):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


class Screen:
    """What is to be seen: presses keys and reads."""

    def __init__(self, app: Browser, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other, each when what the last one began is done."""
        for key in keys:
            await self.pilot.press(key)
            await settled(self.pilot)

    @property
    def rows(self) -> list[list[str]]:
        """The cells of the list."""
        table = self.app.screen.query_one(Table)
        return [[str(cell) for cell in table.get_row_at(place)] for place in range(table.row_count)]

    @property
    def names(self) -> list[str]:
        """The first column."""
        return [row[0] for row in self.rows]

    def text(self, place: str) -> str:
        """What is written in a part of the screen."""
        return str(self.app.screen.query_one(place, Static).render())

    async def says(self, words: str) -> bool:
        """Wait for a notification with these words, which comes by a message of its own."""
        for _ in range(100):
            if any(words in note.message for note in self.app._notifications):
                return True
            await self.pilot.pause(0.05)
        return False


def opened(roots: StoreRoots) -> Store:
    """The store as the command opens it."""
    return open_store(graph_root=roots.graph, run_root=roots.run, driver=roots.driver, degraded=True)


def browse(roots: StoreRoots, play: Any) -> None:
    """Let somebody use the program; `play` gets the screen."""

    async def run() -> None:
        app = Browser(opened(roots), TEXTS)
        async with app.run_test(size=(80, 24)) as pilot:
            await settled(pilot)
            await play(Screen(app, pilot))

    asyncio.run(run())


@pytest.mark.usefixtures("told", "needs_root")
def test_lists_of_all_kinds_with_sizes_and_users(store_roots: StoreRoots) -> None:
    """Each list fits in 80 columns; what a row cuts off stands below it in full."""

    async def play(screen: Screen) -> None:
        assert [part[:11] for part in screen.text("#top").split(" · ")][1:2] == ["1 container"]
        assert [row[:2] + row[-1:] for row in screen.rows] == [
            ["localhost/app:1.0", "abc", "1"], ["-", "def", ""],
        ]  # fmt: skip
        assert screen.text("#details").splitlines()[0] == "1 of 2: image abc"
        assert "used by web" in screen.text("#details")
        await screen.press("2")
        assert [row[:3] for row in screen.rows] == [["web", "box", "localhost/app:1.0"]]
        await screen.press("3")
        assert [row[1] for row in screen.rows if len(row[1]) < 12] == ["base", "own"]
        table = screen.app.screen.query_one(Table)
        assert table.virtual_size.width <= 80
        assert table.max_scroll_x == 0

    browse(store_roots, play)


@pytest.mark.usefixtures("told", "needs_root")
def test_search_sort_and_reload(store_roots: StoreRoots, cli: CommandLine) -> None:
    """A search looks in names, IDs and users while it is typed; what another program makes is there after a reload."""

    async def play(screen: Screen) -> None:
        await screen.press("slash", "w", "e", "b")
        assert screen.names == ["localhost/app:1.0"]
        await screen.press("x")
        assert (screen.names, screen.text("#details")) == ([], "no image with 'webx'")
        await screen.press("escape")
        assert len(screen.names) == 2
        await screen.press("s")
        assert screen.names == ["localhost/app:1.0", "-"]  # the largest first
        cli("add-names", "-n", "zeta:1", "def").ok()
        await screen.press("r")
        assert screen.names[1].endswith("zeta:1")

    browse(store_roots, play)


@pytest.mark.usefixtures("told", "needs_root")
def test_who_holds_an_item(store_roots: StoreRoots) -> None:
    """The same that `why` tells."""

    async def play(screen: Screen) -> None:
        await screen.press("w")
        assert isinstance(screen.app.screen, Window)
        assert "container box (web) was made from it" in screen.text("#text")
        await screen.press("escape")
        assert screen.names[0] == "localhost/app:1.0"
        await screen.press("question_mark")
        assert "delete, after a preview" in screen.text("#text")

    browse(store_roots, play)


@pytest.mark.usefixtures("needs_root")
def test_nothing_is_deleted_that_was_not_shown_and_agreed_to(store_roots: StoreRoots, told: CommandLine) -> None:
    """The preview is that of `rm --dry-run`; what something holds is told, and stays."""

    async def play(screen: Screen) -> None:
        await screen.press("d")
        assert "abc is used by container box" in screen.text("#text")
        await screen.press("y")
        assert isinstance(screen.app.screen, Preview)  # there is nothing to agree to
        await screen.press("escape")
        await screen.press("space", "2", "d")
        preview = screen.text("#text")
        assert [line.split()[:2] for line in preview.splitlines()[:1]] == [["container", "box"]]
        await screen.press("n")
        assert len(screen.rows) == 1
        await screen.press("d", "y")
        assert screen.rows == []
        await screen.press("1", "space", "d")
        store = opened(store_roots)
        freed = plan_removal(store.context, [store.resolve("abc")]).freed
        assert f"({freed} bytes) will be free" in screen.text("#text")
        await screen.press("y")
        assert screen.names == ["-"]

    browse(store_roots, play)
    assert told("images", "-q").ok().lines == ["def"]
    assert told("containers", "-q").ok().lines == []


@pytest.mark.usefixtures("needs_root")
def test_files_of_an_item(store_roots: StoreRoots, told: CommandLine) -> None:
    """Directories are entered and left, links followed, names found; a file is shown without its control characters."""

    async def play(screen: Screen) -> None:
        await screen.press("enter")
        assert isinstance(screen.app.screen, Files)
        assert screen.names == ["bin/", "conf", "etc/", "own"]
        await screen.press("j", "enter")  # along the link
        assert screen.text("#top") == "localhost/app:1.0: /etc (2 files)"
        assert screen.names == [r"odd\n\x1b[31m\xff", "passwd"]
        await screen.press("enter")
        assert screen.text("#text").strip() == "\\x1b[31mred [bold]"
        await screen.press("escape", "j", "enter")
        assert screen.text("#text").strip() == "root:x:0:0"
        await screen.press("escape", "backspace")
        assert screen.app.screen.query_one(Table).cursor_row == 2  # where it came from
        await screen.press("slash", *"tool", "enter")
        assert screen.names == ["bin/tool"]
        await screen.press("enter")
        assert screen.text("#text").startswith("00000000  00 01 02 03")
        await screen.press("escape", "escape", "escape")
        assert screen.names[0] == "localhost/app:1.0"

    browse(store_roots, play)


@pytest.mark.usefixtures("told", "needs_root")
def test_damage_is_named(store_roots: StoreRoots) -> None:
    """A file that is not what was imported is shown with a word about it; damaged records are told."""
    flip_byte_of(os.path.join(store_roots.tree("base"), "etc/passwd"))

    async def play(screen: Screen) -> None:
        await screen.press("slash", *"def", "enter", "enter", "slash", *"passwd", "enter", "enter")
        assert "has changed since it was imported" in screen.text("#text")

    browse(store_roots, play)
    with open(os.path.join(store_roots.graph, f"{store_roots.driver}-images", "images.json"), "w") as file:
        file.write("nonsense")

    async def damaged(screen: Screen) -> None:
        assert screen.rows == []
        assert await screen.says("images.json")
        await screen.press("3")
        assert len(screen.rows) == 3

    browse(store_roots, damaged)


@pytest.mark.usefixtures("told", "needs_root")
def test_keys_that_come_at_once_are_taken_in_order(store_roots: StoreRoots) -> None:
    """As over a slow line: what follows / is the text to search, in the lists and among files."""

    async def typed(screen: Screen, text: str) -> None:
        for character in text:
            screen.app.post_message(Key({"/": "slash", "\r": "enter"}.get(character, character), character))
        await settled(screen.pilot)

    async def play(screen: Screen) -> None:
        await typed(screen, "/web\r")
        assert screen.names == ["localhost/app:1.0"]
        await screen.press("enter")
        await typed(screen, "/tool\r")
        assert screen.names == ["bin/tool"]

    browse(store_roots, play)


@pytest.mark.usefixtures("told", "needs_root")
def test_a_broken_chain_is_named(store_roots: StoreRoots) -> None:
    """At the top of the lists, by who holds an item, and before it is deleted."""
    with open(store_roots.records, encoding="utf-8") as file:
        records = json.load(file)
    records[0]["parent"] = "lost"
    with open(store_roots.records, "w", encoding="utf-8") as file:
        json.dump(records, file)
    damage = "layer lost, the parent of layer base, is missing"

    async def play(screen: Screen) -> None:
        assert screen.text("#top").startswith("damaged: see cstore check · ")
        await screen.press("w")
        assert damage in screen.text("#text")
        await screen.press("escape", "d")
        assert damage in screen.text("#text")

    browse(store_roots, play)


def test_an_empty_store(store_roots: StoreRoots) -> None:
    """It says so, and keys that need a row do nothing."""

    async def play(screen: Screen) -> None:
        assert screen.text("#details") == "no images"
        await screen.press("enter", "w", "d", "space", "s", "escape", "3", "1")
        assert screen.app.screen.query_one(Input).value == ""

    browse(store_roots, play)


def test_it_needs_a_terminal_and_textual(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is an error of one sentence, with what helps."""
    told = cli("browse")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    absent = cli("browse")

    assert (told.code, told.out, "cstore browse needs a terminal" in told.err) == (1, "", True)
    assert absent.err == (
        "cstore: cstore browse needs Textual, which is not installed (install it with: pip install 'cstore[browse]')\n"
    )
    assert absent.code == 1


@pytest.mark.usefixtures("told")
def test_on_a_real_terminal(store_roots: StoreRoots, private_config: str, needs_root: None) -> None:
    """The list appears, and q ends the program with success and leaves the terminal as it was."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    running = subprocess.Popen(
        [sys.executable, "-m", "cstore", *store_roots.options, "browse"],
        stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True, start_new_session=True,
        env={**os.environ, "CONTAINERS_STORAGE_CONF": private_config, "TERM": "xterm-256color"},
    )  # fmt: skip
    shown = b""
    while b"localhost/app:1.0" not in shown:
        shown += os.read(ours, 65536)
    os.write(ours, b"q")
    while select.select([ours], [], [], 0.1)[0] or running.poll() is None:
        if select.select([ours], [], [], 0)[0]:
            shown += os.read(ours, 65536)  # or it would wait for who reads
    assert running.wait() == 0
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
