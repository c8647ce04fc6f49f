"""changes, diff, diffsize, applydiff."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cstore import Compression
from tests.builders import directory, make_tar, regular, typical_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

ODD = b'q"\t\xc3\xa9\xff'
BASE = make_tar(directory("d"), regular("d/keep", b"hello"), regular("d/gone", b"12345"))
ABOVE = make_tar(regular("d/.wh.gone"), regular("d/new", b"abc"), regular(ODD, b"x"))
MAGIC = {
    "-c": b"\x1f\x8b",
    "--gzip": b"\x1f\x8b",
    "--zstd": b"\x28\xb5\x2f\xfd",
    "-b": b"BZh",
    "--bz2": b"BZh",
    "-x": b"\xfd7zXZ",
}


@pytest.fixture
def layers(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """An imported layer, and one above it that adds, removes and changes."""
    for name, archive in (("base", BASE), ("above", ABOVE)):
        (tmp_path / name).write_bytes(archive)
    cli("import-layer", "-i", "l1", "-n", "base", "-f", str(tmp_path / "base")).ok()
    cli("import-layer", "-i", "l2", "-f", str(tmp_path / "above"), "l1").ok()
    return cli


def test_changes_are_verbs_and_quoted_paths(layers: CommandLine) -> None:
    """Against the parent, or against a layer that is named."""
    assert sorted(layers("changes", "l2").ok().lines) == [
        'Add "/d/new"',
        r'Add "/q\"\té\xff"',
        'Delete "/d/gone"',
        'Modify "/d"',
    ]
    assert layers("changes", "l2", "l2").ok().out == ""


def test_changes_end_with_a_nul_on_request(layers: CommandLine, run: Runner) -> None:
    """With the bytes of each path, for xargs -0."""
    lines = run("changes", "-0", "l2").ok().output.split(b"\0")

    assert sorted(lines[:-1]) == [b"Add /d/new", b"Add /" + ODD, b"Delete /d/gone", b"Modify /d"]
    assert lines[-1] == b""
    assert run("changes", "l2", "l2", "--null").ok().output == b""


def test_changes_in_json(layers: CommandLine) -> None:
    """0 is modified, 1 added, 2 deleted; no changes are null."""
    kinds = {change["Path"]: change["Kind"] for change in layers("changes", "-j", "l2").ok().json}

    assert kinds == {"/d": 0, "/d/gone": 2, "/d/new": 1, '/q"\té\ufffd': 1}
    assert layers("changes", "-j", "l2", "l2").ok().out == "null\n"


@pytest.mark.parametrize("command", ["changes", "diff", "diffsize", "diff-size"])
@pytest.mark.parametrize("words", [["nope"], ["l2", "nope"]], ids=" ".join)
def test_an_unknown_layer_or_reference_is_an_error(layers: CommandLine, command: str, words: list[str]) -> None:
    """A mistyped reference never means the parent."""
    told = layers(command, *words)

    assert (told.code, told.out) == (1, "")
    assert "'nope'" in told.err


def test_diffsize_counts_files(layers: CommandLine) -> None:
    """Bytes of added and modified files."""
    assert layers("diffsize", "l1").ok().out == "10\n"
    assert layers("diff-size", "l2").ok().out == "4\n"


def test_diff_gives_back_what_came_in(run: Runner) -> None:
    """Byte for byte, to standard output."""
    archive = typical_tar()
    run("import-layer", "-i", "l1", stdin=archive).ok()

    assert run("diff", "-u", "l1").ok().output == archive
    assert run("diff", "l1").ok().output == archive


def test_every_compression_has_an_option() -> None:
    """An option that `diff` accepts but does not rank would be ignored, so each is in `MAGIC`, which is tried below."""
    assert len(set(MAGIC.values())) == len(Compression) - 1


@pytest.mark.parametrize("option", MAGIC)
def test_diff_compresses(layers: CommandLine, tmp_path: Path, option: str) -> None:
    """Every compression can be written, and read again."""
    target = tmp_path / "out"

    layers("diff", option, "-f", str(target), "l1").ok()

    assert target.read_bytes().startswith(MAGIC[option])
    layers("import-layer", "-i", "again", "-f", str(target)).ok()
    assert layers("layer", "-j", "again").json[0]["diff-digest"] == layers("layer", "-j", "l1").json[0]["diff-digest"]


def test_the_strongest_compression_wins(layers: CommandLine, tmp_path: Path) -> None:
    """The order is xz, bzip2, zstd, gzip, none."""
    layers("diff", "-cu", "-f", str(tmp_path / "gz"), "l1").ok()
    layers("diff", "-xbcu", "--zstd", "-f", str(tmp_path / "xz"), "l1").ok()

    assert (tmp_path / "gz").read_bytes().startswith(MAGIC["-c"])
    assert (tmp_path / "xz").read_bytes().startswith(MAGIC["-x"])


def test_the_file_of_a_failed_diff_is_as_it_was(layers: CommandLine, tmp_path: Path, store_roots: StoreRoots) -> None:
    """Neither an unknown layer nor a damaged one costs what the file held."""
    target = tmp_path / "out"
    target.write_text("precious")
    with open(f"{store_roots.tree('l1')}/d/keep", "w", encoding="ascii") as file:
        file.write("HELLO")

    for layer in ("nope", "l1"):
        assert layers("diff", "-f", str(target), layer).code == 1
        assert target.read_text() == "precious"
        assert list(tmp_path.glob(".cstore-*")) == []


def test_a_new_file_replaces_the_old_one_and_keeps_its_mode(layers: CommandLine, tmp_path: Path) -> None:
    """The file is there whole or not at all, and a link to it stays a link."""
    target, link = tmp_path / "out", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to("out")

    layers("diff", "-u", "-f", str(link), "l1").ok()

    assert link.is_symlink()
    assert target.read_bytes() == BASE
    assert target.stat().st_mode & 0o777 == 0o640


def test_devices_and_pipes_are_written_in_place(layers: CommandLine, tmp_path: Path) -> None:
    """/dev/null stays what it is, and a fifo gets the bytes."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    layers("diff", "-f", "/dev/null", "l1").ok()
    with subprocess.Popen(["cat", str(fifo)], stdout=subprocess.PIPE) as reader:
        layers("diff", "-f", str(fifo), "l1").ok()
        assert reader.communicate()[0] == BASE

    assert not os.path.isfile("/dev/null")


def test_a_directory_that_is_not_there_is_named(layers: CommandLine, tmp_path: Path) -> None:
    """A file that cannot be made is one sentence."""
    told = layers("diff", "-f", str(tmp_path / "no" / "out"), "l1")

    assert told.code == 1
    assert "No such file or directory" in told.err
    assert told.err.count("\n") == 1


def test_a_tar_is_not_written_to_a_terminal(
    layers: CommandLine, writing_to_terminal: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    """It would help nobody."""
    layers("layers").ok()
    done = writing_to_terminal("diff", "l1")

    assert done.returncode == 1
    assert done.stderr == b"cstore: refusing to write a tar to a terminal (use -f FILE or a pipe)\n"


def test_a_reader_that_goes_away_ends_diff_quietly(store_roots: StoreRoots, run: Runner) -> None:
    """As with any program before a pipe."""
    run("import-layer", "-i", "l1", stdin=typical_tar(size=400_000)).ok()
    command = [sys.executable, "-m", "cstore", *store_roots.options, "diff", "l1"]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)

    assert done.stderr == b""
    assert done.returncode == 1


@pytest.mark.parametrize("command", ["applydiff", "apply-diff"])
def test_applydiff_changes_a_layer(layers: CommandLine, tmp_path: Path, command: str) -> None:
    """Without a word; the record then tells what was applied."""
    layers("create-layer", "-i", "l3", "l1").ok()

    assert layers(command, "-f", str(tmp_path / "above"), "l3").ok().out == ""
    assert layers("layer", "-j", "l3").json[0]["diff-size"] == len(ABOVE)
    assert layers("diffsize", "l3").out == "4\n"


def test_a_failed_applydiff_leaves_no_trace(layers: CommandLine, tmp_path: Path) -> None:
    """Neither in the record nor in the tree."""
    layers("create-layer", "-i", "l3", "l1").ok()
    before = layers("layer", "-j", "l3").out
    (tmp_path / "cut").write_bytes(ABOVE[:700])

    told = layers("applydiff", "-f", str(tmp_path / "cut"), "l3")

    assert (told.code, told.out) == (1, "")
    assert layers("layer", "-j", "l3").out == before
    assert layers("changes", "l3").out == ""
