"""register, chains, release."""

from __future__ import annotations

import gzip
import hashlib
import os
import pty
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

ONE = make_tar(regular("one.txt", b"first\n"))
TWO = make_tar(regular("two.txt", b"second\n"))
FIRST = hashlib.sha256(ONE).hexdigest()
DIFF = f"sha256:{hashlib.sha256(TWO).hexdigest()}"
SECOND = "sha256:" + hashlib.sha256(f"sha256:{FIRST} {DIFF}".encode()).hexdigest()
LAYER = hashlib.sha256(f"{FIRST}+{DIFF[7:]}".encode()).hexdigest()
NOWHERE = "sha256:" + "0" * 64


@pytest.fixture
def layers(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """Two registered layers."""
    (tmp_path / "one").write_bytes(ONE)
    (tmp_path / "two").write_bytes(gzip.compress(TWO))
    cli("register", "-f", str(tmp_path / "one")).ok()
    assert cli("register", "-f", str(tmp_path / "two"), f"sha256:{FIRST}").ok().lines == [
        SECOND,
        f"\tdiff: {DIFF}",
        f"\tlayer: {LAYER}",
    ]
    return cli


def test_registering_again_gives_the_same_layer(layers: CommandLine, tmp_path: Path) -> None:
    """The parent may be named by its layer's ID, too."""
    told = layers("register", "-j", "-f", str(tmp_path / "two"), FIRST).ok().json

    assert told.pop("version") == 1
    assert told == {"chain_id": SECOND, "diff_id": DIFF, "parent": f"sha256:{FIRST}", "layer": LAYER, "depth": 2}
    assert len(layers("layers").ok().lines) == 2


def test_a_pipe_can_be_registered(run: Runner) -> None:
    """From standard input."""
    assert run("register", stdin=ONE).ok().lines[0] == f"sha256:{FIRST}"


def test_several_may_register_the_same_at_once(cli: CommandLine, store_roots: StoreRoots, tmp_path: Path) -> None:
    """One layer comes of it, and nobody fails."""
    (tmp_path / "one").write_bytes(ONE)
    command = [sys.executable, "-m", "cstore", *store_roots.options, "register", "-f", str(tmp_path / "one")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = [process.communicate(timeout=60)[0].split("\n")[0] for process in running]

    assert told == [f"sha256:{FIRST}"] * 4
    assert cli("layers").ok().lines == [FIRST]
    assert cli("storage-layers").ok().lines == [FIRST]


def test_chains_are_listed(layers: CommandLine) -> None:
    """All of them, or those that are named."""
    lines = layers("chains").ok().lines

    assert [line for line in lines if not line.startswith("\t")] == [f"sha256:{FIRST}", SECOND]
    assert layers("chains", LAYER).ok().lines == lines[3:]
    assert [chain["depth"] for chain in layers("chains", "--json").ok().json] == [1, 2]


def test_a_release_deletes_what_nothing_holds(layers: CommandLine) -> None:
    """Uppermost first; what is held stays, and that is said."""
    held = layers("release", FIRST).ok()
    assert (held.out, "still held" in held.err) == ("", True)
    assert layers("release", SECOND).ok().lines == [SECOND, f"sha256:{FIRST}"]
    assert layers("layers").ok().out == ""


def test_a_release_in_json(layers: CommandLine) -> None:
    """With sizes: of the layer, and with all below."""
    freed = layers("release", "-j", SECOND).ok().json

    assert [(one["chain_id"], one["size"], one["diff_size"]) for one in freed] == [
        (SECOND, 13, 7),
        (f"sha256:{FIRST}", 6, 6),
    ]


@pytest.mark.parametrize("command", ["chains", "release", "register"])
def test_an_unknown_chain_is_an_error(layers: CommandLine, command: str, tmp_path: Path) -> None:
    """With Docker's words in JSON."""
    file = ["-f", str(tmp_path / "one")] if command == "register" else []
    told = layers(command, "--json", *file, NOWHERE)

    assert told.code == 1
    assert told.error["kind"] == "ChainUnknown"


def test_a_chain_may_be_too_deep(layers: CommandLine, tmp_path: Path) -> None:
    """The limit is an option; rubbish is no limit."""
    deep = layers("register", "--json", "--max-depth", "2", "-f", str(tmp_path / "one"), SECOND)
    assert deep.error["kind"] == "ChainTooDeep"
    assert layers("register", "--max-depth", "3", "-f", str(tmp_path / "one"), SECOND).ok().lines
    for wrong in ("0", "-1", "x", "\u0663"):
        assert layers("register", f"--max-depth={wrong}", "-f", str(tmp_path / "one")).code == 2


def test_a_person_sees_a_table(layers: CommandLine, store_roots: StoreRoots) -> None:
    """With titles, and IDs as short as they can be typed."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cstore", *store_roots.options, "chains"]
    subprocess.run(command, stdout=theirs, check=True, env={**os.environ, "TERM": "xterm", "COLUMNS": "120"})
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)

    assert "CHAINID" in shown
    assert SECOND[7:19] in shown


def test_a_layer_comes_out_as_it_went_in(layers: CommandLine, tmp_path: Path) -> None:
    """Or as what changed since a layer below it, or since nothing."""
    out = tmp_path / "out.tar"

    def names(*words: str) -> list[str]:
        layers("export-chain", "-f", str(out), *words).ok()
        with tarfile.open(out) as tar:
            return sorted(tar.getnames())

    assert names(SECOND) == ["two.txt"]
    assert out.read_bytes() == TWO
    assert names("--from", FIRST, LAYER) == ["two.txt"]
    assert names("--whole", SECOND) == ["one.txt", "two.txt"]
    whole = out.read_bytes()
    assert layers("export-chain", "--from", SECOND, "-f", str(out), FIRST).code == 1
    assert layers("export-chain", "--whole", "--from", FIRST, "-f", str(out), SECOND).code == 2
    assert out.read_bytes() == whole, "a failure leaves what was there"


def test_sizes_are_told_if_wanted(layers: CommandLine) -> None:
    """Of the layer alone and of its chain."""
    assert layers("chains", "--size", SECOND).ok().lines[3:] == ["\tdiff-size: 7", "\tsize: 13"]
    (told,) = layers("chains", "--size", "--json", SECOND).ok().json
    assert (told["diff_size"], told["size"], told["directories"]) == (7, 13, {})
