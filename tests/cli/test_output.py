"""How results look: to people, to pipes, to programs."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len

from cstore.cli.output import plain
from cstore.cli.output.text import go_quoted, human_age, human_size, short_id, visible
from cstore.cli.output.trees import BASE, LayerRow, branches
from tests.builders import typical_tar

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

ESCAPE = "\x1b["


# ── words ──


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1500, "1.5 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (211_000_000, "211.0 MB"),
        (10**15, "1.0 PB"),
        (10**19, "10000.0 PB"),
    ],
)
def test_sizes_for_people(size: int, expected: str) -> None:
    """Powers of a thousand, one digit after the point."""
    assert human_size(size) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "now"),
        (0.5, "now"),
        (1, "1 second ago"),
        (59.9, "59 seconds ago"),
        (60, "1 minute ago"),
        (7200, "2 hours ago"),
        (86_400 * 8, "1 week ago"),
        (86_400 * 800, "2 years ago"),
    ],
)
def test_ages_for_people(seconds: float, expected: str) -> None:
    """The largest unit that fits."""
    assert human_age(seconds) == expected


def test_only_generated_ids_are_shortened() -> None:
    """An ID that somebody chose is shown whole, else it could not be typed back."""
    assert short_id("ab" * 32) == "abababababab"
    assert short_id("my-own-layer-with-a-long-name") == "my-own-layer-with-a-long-name"


def test_control_characters_are_spelled_out() -> None:
    """A name must not steer the terminal; what is printable stays."""
    assert visible("é ü\x1b[31m\n\u202e") == "é ü\\x1b[31m\\n\\u202e"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"/plain name", '"/plain name"'),
        (b'/"\\', r'"/\"\\"'),
        (b"\a\b\f\n\r\t\v", r'"\a\b\f\n\r\t\v"'),
        (b"\x00\x01\x1f\x7f", r'"\x00\x01\x1f\x7f"'),
        ("/é日🎉".encode(), '"/é日🎉"'),
        ("\u00a0\u2028\u200b\ufeff".encode(), r'"\u00a0\u2028\u200b\ufeff"'),
        ("\U000e0001".encode(), r'"\U000e0001"'),
        (b"\xff\xc3", r'"\xff\xc3"'),
        (b"\xed\xa0\x80", r'"\xed\xa0\x80"'),
    ],
)
def test_paths_are_quoted_as_go_does(name: bytes, expected: str) -> None:
    """Printable characters as they are, the rest escaped, bytes that are no UTF-8 one by one."""
    assert go_quoted(name) == expected


# ── trees ──


def family(*pairs: tuple[str, str]) -> list[LayerRow]:
    """Rows for layers with these parents; nothing else of a layer matters to a tree."""
    layers: list[Any] = [SimpleNamespace(id=name, parent=parent, names=()) for name, parent in pairs]
    return [LayerRow(layer, "", (), ()) for layer in layers]


def drawn(*pairs: tuple[str, str]) -> list[str]:
    """The tree of these layers, as plain lines."""
    return list(plain.tree(branches(family(*pairs))))


def test_siblings_are_joined_by_a_line() -> None:
    """The line runs down past the children of the first."""
    assert drawn(("a", ""), ("b", "a"), ("c", ""), ("d", "b")) == ["(base)", "├─a", "│ └─b", "│   └─d", "└─c"]


def test_a_missing_parent_is_a_root() -> None:
    """Its ID appears bare, and the root with the fewest children comes first."""
    assert drawn(("a", ""), ("b", ""), ("c", "gone")) == ["gone", "└─c", "(base)", "├─a", "└─b"]


def test_layers_in_a_ring_are_shown_nevertheless() -> None:
    """Damage never hides a layer."""
    shown = drawn(("a", "b"), ("b", "a"), ("ok", ""))

    assert shown[:2] == ["(base)", "└─ok"]
    assert {line.strip("└─ ") for line in shown[2:]} == {"a", "b"}


def test_a_chain_of_thousands_is_no_problem() -> None:
    """Depth costs no recursion."""
    chain = [("0", ""), *((str(number), str(number - 1)) for number in range(1, 3000))]

    found = branches(family(*chain))

    assert [branch.name for branch in found] == [BASE, *(str(number) for number in range(3000))]


# ── people ──


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch, cli: CommandLine) -> CommandLine:
    """A runner whose results are for people although they are captured."""
    cli("create-layer", "-i", "ab" * 32, "-n", "base\x1b[2J").ok()
    cli("create-layer", "-i", "l2", "-n", "two", "ab").ok()
    cli("mount", "l2").ok()
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    return cli


def test_a_table_of_layers(forced: CommandLine) -> None:
    """Short IDs, names, parents, ages; nothing that a layer is called reaches the terminal as it is."""
    told = forced("layers").ok()
    text = re.sub(r"\x1b\[[0-9;]*m", "", told.out)

    assert ESCAPE in told.out
    assert text.splitlines()[0].split() == ["NAMES", "ID", "PARENT", "SIZE", "CREATED", "USED", "BY"]
    assert re.search(r"^base\\x1b\[2J +abababababab", text, re.MULTILINE)
    assert re.search(r"^two +l2 +abababababab +\S.* mounted *$", text, re.MULTILINE)


def test_no_table_wraps_a_name(forced: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns a long name loses its middle and keeps its tag; details are whole, to be copied."""
    monkeypatch.setenv("COLUMNS", "80")
    name = f"registry.example.org/{'long/' * 12}application:1.2.3"
    forced("create-image", "--id", "c" * 64, "--name", name, "two").ok()

    for command in ("images", "layers"):
        text = re.sub(r"\x1b\[[0-9;]*m", "", forced(command).ok().out)
        assert max(map(len, text.splitlines())) <= 80
        assert re.search(r"^\S*…\S*:1\.2\.3 |re\S*…\S*:1\.2\.3$", text, re.MULTILINE), text
    details = re.sub(r"\x1b\[[0-9;]*m", "", forced("image", name).ok().out)
    assert re.search(rf"^Names +{re.escape(name)}$", details, re.MULTILINE)


@pytest.mark.parametrize("width", range(1, 12))
def test_a_text_is_shortened_in_its_middle(width: int) -> None:
    """To the width that there is, counted in columns."""
    from cstore.cli.output.styled import shortened

    for text in ("abcdefghijkl", "日本語日本語日本語", "é" * 12):
        short = shortened(text, width)
        assert cell_len(short) <= width
        assert short[-1] in {text[-1], "…"}
    assert shortened("fits", 4) == "fits"


def test_a_tree_of_layers(forced: CommandLine, store_roots: StoreRoots) -> None:
    """Children hang below parents."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", forced("layers", "--tree").ok().out)

    assert "(base)\n└── abababababab" in text
    assert f"└── l2  two  mounted at {store_roots.tree('l2')}" in text


def test_details_of_a_layer(forced: CommandLine, store_roots: StoreRoots) -> None:
    """What is recorded, a line each, and nothing that is not."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", forced("layer", "two").ok().out)

    assert re.search(r"^ID +l2 *$", text, re.MULTILINE)
    assert re.search(rf"^Parent +{'ab' * 32} *$", text, re.MULTILINE)
    assert re.search(rf"^Mounted at +{store_roots.tree('l2')} *$", text, re.MULTILINE)
    assert "Metadata" not in text
    assert "Used by" not in text


def test_details_of_a_layer_name_its_users(forced: CommandLine, store_roots: StoreRoots, tmp_path: Path) -> None:
    """Its directory, its data items with their sizes, and all who need it, however far above."""
    (tmp_path / "item").write_bytes(b"hello")
    forced("set-layer-data", "-f", str(tmp_path / "item"), "ab", "note").ok()
    forced("create-image", "-n", "img\x1b[2J", "two").ok()
    forced("create-container", "-n", "web", "img\x1b[2J").ok()

    text = re.sub(r"\x1b\[[0-9;]*m", "", forced("layer", "ab" * 32).ok().out)

    assert re.search(rf"^Directory +{store_roots.tree('ab' * 32)} *$", text, re.MULTILINE)
    assert re.search(r"^Data +note \(5 B\) *$", text, re.MULTILINE)
    users = text[text.index("Used by") + len("Used by") :].split("\n")
    assert [line.strip() for line in users if line.strip()] == ["image img\\x1b[2J", "container web", "layer two"]


def test_garbage_is_added_up(forced: CommandLine) -> None:
    """A person hears what was removed."""
    forced("create-storage-layer", "-i", "e" * 64).ok()

    assert "would remove 1 leftover" in forced("gc", "--dry-run").ok().out
    assert "removed 1 leftover" in forced("gc").ok().out
    assert "nothing to remove" in forced("gc").ok().out
    assert forced("gc", "--quiet").ok().out == ""


def test_json_is_json_for_people_too(forced: CommandLine) -> None:
    """No colour gets into a document."""
    assert [record["id"] for record in forced("layers", "-j").ok().json] == ["ab" * 32, "l2"]


# ── terminals and pipes ──


def on_terminal(
    roots: StoreRoots,
    config: str,
    *words: str,
    stream: int = 1,
    environment: dict[str, str] | None = None,
) -> tuple[str, subprocess.CompletedProcess[bytes]]:
    """Run cstore with one of its streams on a terminal; return what the terminal got."""
    ours, theirs = pty.openpty()
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    streams["stdout" if stream == 1 else "stderr"] = theirs
    done = subprocess.run(
        [sys.executable, "-m", "cstore", *roots.options, *words],
        check=False,
        timeout=60,
        env={**os.environ, "CONTAINERS_STORAGE_CONF": config, "TERM": "xterm", "COLUMNS": "100", **(environment or {})},
        **streams,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break
        shown += data
    os.close(ours)
    return shown.decode().replace("\r\n", "\n"), done


def test_a_terminal_gets_tables_and_a_pipe_plain_lines(
    cli: CommandLine, store_roots: StoreRoots, private_config: str
) -> None:
    """The same command, two readers."""
    cli("create-layer", "-i", "l1", "-n", "base").ok()

    shown, _ = on_terminal(store_roots, private_config, "layers")

    assert "NAMES" in shown
    assert ESCAPE in shown
    assert cli("layers").out == "l1\n\tname: base\n"


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"CLICOLOR": "0"}, {"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}])
def test_colour_can_be_refused(
    cli: CommandLine, store_roots: StoreRoots, private_config: str, variables: dict[str, str]
) -> None:
    """The table stays, its colour goes."""
    cli("create-layer", "-i", "l1", "-n", "base").ok()

    shown, _ = on_terminal(store_roots, private_config, "layers", environment=variables)

    assert "NAMES" in shown
    assert not re.search(r"\x1b\[[0-9;]*3\dm", shown)


def test_progress_is_for_a_terminal_on_stderr(
    run: Runner, store_roots: StoreRoots, private_config: str, tmp_path: Path
) -> None:
    """A bar is drawn there and wiped away; a pipe, or --quiet, gets nothing."""
    (tmp_path / "a.tar").write_bytes(typical_tar(size=200_000))
    path = str(tmp_path / "a.tar")

    shown, done = on_terminal(store_roots, private_config, "import-layer", "-i", "l1", "-f", path, stream=2)
    silent, _ = on_terminal(store_roots, private_config, "import-layer", "-q", "-i", "l2", "-f", path, stream=2)

    exported, _ = on_terminal(store_roots, private_config, "diff", "-f", f"{path}.out", "l1", stream=2)

    assert "importing" in shown
    assert "exporting" in exported
    assert done.stdout == b"l1\n"
    assert silent == ""
    assert run("import-layer", "-i", "l3", "-f", path).ok().stderr == ""


def test_progress_of_what_has_no_known_end_shows_no_part_of_it(
    store_roots: StoreRoots, private_config: str, tmp_path: Path
) -> None:
    """Bytes and rate, and no bar that would be full or empty."""
    (tmp_path / "fifo").mkdir()
    fifo = tmp_path / "fifo/it"
    os.mkfifo(fifo)
    writer = subprocess.Popen(["dd", f"if={_typical(tmp_path)}", f"of={fifo}"], stderr=subprocess.DEVNULL)
    shown, _ = on_terminal(store_roots, private_config, "import-layer", "-i", "l1", "-f", str(fifo), stream=2)
    writer.wait()
    known, _ = on_terminal(store_roots, private_config, "import-layer", "-i", "l2", "-f", _typical(tmp_path), stream=2)

    assert "importing" in shown
    assert "MB" in shown
    assert "\u2501" in known
    assert "\u2501" not in shown


def _typical(folder: Path) -> str:
    path = folder / "typical.tar"
    path.write_bytes(typical_tar(size=200_000))
    return str(path)


# ── waiting ──


def hold(path: str) -> subprocess.Popen[bytes]:
    """Let another process hold a lock file, as the peer would."""
    script = """
import fcntl, os, struct, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, 37, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
print(flush=True)
time.sleep(60)
"""
    holder = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder


def test_a_wait_can_be_ended(cli: CommandLine, store_roots: StoreRoots) -> None:
    """--lock-timeout turns a wait into an error that names the lock and its holder."""
    cli("create-layer", "-i", "l1").ok()
    lock = f"{store_roots.graph}/vfs-layers/layers.lock"
    holder = hold(lock)
    try:
        told = cli("--lock-timeout", "0.1", "create-layer", "-i", "l2")
        reading = cli("--lock-timeout", "0.1", "layers", "-q")
    finally:
        holder.kill()
        holder.communicate()

    assert (told.code, told.out) == (1, "")
    assert lock in told.err
    assert f"PID {holder.pid}" in told.err
    assert reading.ok().lines == ["l1"]


def test_a_long_wait_is_told_at_a_terminal(cli: CommandLine, store_roots: StoreRoots, private_config: str) -> None:
    """After two seconds, the terminal hears who is in the way."""
    cli("create-layer", "-i", "l1").ok()
    holder = hold(f"{store_roots.graph}/vfs-layers/layers.lock")
    try:
        started = time.monotonic()
        shown, done = on_terminal(
            store_roots, private_config, "--lock-timeout", "2.4", "create-layer", "-i", "l2", stream=2
        )
    finally:
        holder.kill()
        holder.communicate()

    assert done.returncode == 1
    assert f"cstore: waiting for PID {holder.pid}" in shown
    assert "layers.lock)" in shown
    assert time.monotonic() - started >= 2.3
