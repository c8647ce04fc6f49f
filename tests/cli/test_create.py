"""create-layer, import-layer, create-storage-layer."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.builders import digest, make_tar, regular, typical_tar

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots


def test_create_layer_prints_the_id_and_the_names(cli: CommandLine) -> None:
    """The ID comes first, then each name after a tab; a repeated name counts once."""
    told = cli("create-layer", "--id", "l1", "-n", "base", "-n", "other", "-n", "base").ok()

    assert told.lines == ["l1", "\tbase", "\tother"]
    assert told.err == ""


def test_create_layer_makes_up_an_id(cli: CommandLine) -> None:
    """Without --id, the ID is 64 hex digits; an empty --id or PARENT is as good as none."""
    told = cli("create-layer", "--id", "", "").ok()

    assert len(told.lines) == 1
    assert len(bytes.fromhex(told.lines[0])) == 32


def test_create_layer_in_json_is_the_record(cli: CommandLine) -> None:
    """JSON shows the record, empty fields left out, its keys in the order of the record."""
    cli("create-layer", "-i", "l1").ok()
    shown = cli("createlayer", "-i", "l2", "-l", "lbl", "--uidmap=0:100:5:10:200:5", "-j", "l1").ok().json

    assert list(shown) == ["id", "parent", "mountlabel", "created", "uidmap"]
    assert shown["uidmap"] == [
        {"container_id": 0, "host_id": 100, "size": 5},
        {"container_id": 10, "host_id": 200, "size": 5},
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "layer not known: 'nope'"),
        (["-i", "l1"], "that ID is already in use: layer l1"),
        (["-n", "base"], "'base' is layer l1"),
        (["-i", "../../x"], "cannot be an ID"),
        (["-i", "."], "cannot be an ID"),
        (["--hostuidmap", "--uidmap", "0:1:1"], "--hostuidmap excludes --uidmap"),
        (["--hostgidmap", "--subgidmap", "nobody"], "--hostgidmap excludes --gidmap"),
        (["--uidmap", "0:1"], "triples"),
        (["--gidmap", "0:x:1"], "'x' is not a number"),
        (["--subuidmap", "no-such-user"], "no-such-user"),
        (["--uidmap", "0:100000:0"], "its size is less than 1"),
        (["--gidmap", "0:4294967290:100"], "the last ID"),
        (["--uidmap", "0:1:10:5:100:10"], "overlaps"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_create_layer_refuses(cli: CommandLine, words: list[str], said: str) -> None:
    """A layer that cannot be made is one sentence, and no layer."""
    cli("create-layer", "-i", "l1", "-n", "base").ok()

    told = cli("create-layer", *words)

    assert (told.code, told.out) == (1, "")
    assert said in told.err
    assert told.err.count("\n") == 1
    assert cli("layers", "-q").lines == ["l1"]


def test_sub_id_ranges_come_before_explicit_ones(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of a user are laid end to end from 0; triples that were given follow."""
    from cstore import config
    from cstore.idmap import IDMap, IDRange

    granted = IDMap((IDRange(0, 500, 10),), (IDRange(0, 700, 20),))
    monkeypatch.setattr(config, "sub_id_map", lambda user, group: {("u", ""): granted}[user, group])

    shown = cli("create-layer", "-j", "--subuidmap", "u", "--uidmap", "10:9:1").ok().json

    assert [tuple(part.values()) for part in shown["uidmap"]] == [(0, 500, 10), (10, 9, 1)]
    assert [tuple(part.values()) for part in shown["gidmap"]] == [(0, 700, 20)]


def test_import_layer_from_a_file(cli: CommandLine, tmp_path: Path) -> None:
    """An archive becomes a layer whose record tells its digest and size."""
    archive = typical_tar()
    (tmp_path / "a.tar").write_bytes(archive)

    shown = cli("import-layer", "-n", "base", "-f", str(tmp_path / "a.tar"), "--json").ok().json

    assert shown["names"] == ["base"]
    assert shown["diff-digest"] == shown["compressed-diff-digest"] == digest(archive)
    assert shown["diff-size"] == shown["compressed-size"] == len(archive)


def test_import_layer_from_standard_input(run: Runner) -> None:
    """Without -f, the archive is read from standard input, and plain output is like create-layer's."""
    told = run("importlayer", "-i", "l1", "-n", "x", stdin=make_tar(regular("f", b"hi"))).ok()

    assert told.lines == ["l1", "\tx"]
    assert told.stderr == ""


def test_import_layer_leaves_nothing_when_it_fails(cli: CommandLine, tmp_path: Path) -> None:
    """Garbage, a missing file and a directory are refused with a sentence, and no layer remains."""
    (tmp_path / "junk").write_bytes(b"junk" * 1000)
    for path in ("junk", "missing", "."):
        told = cli("import-layer", "-f", str(tmp_path / path))

        assert (told.code, told.out) == (1, "")
        assert told.err.startswith("cstore: ")
        assert told.err.count("\n") == 1
    assert cli("layers").out == ""


def test_an_interrupted_import_leaves_nothing(store_roots: StoreRoots, run: Runner, private_config: str) -> None:
    """Ctrl-C in the middle of an archive: one line, exit 130, no layer and no leftovers."""
    archive = typical_tar(size=200_000)
    with subprocess.Popen(
        [sys.executable, "-m", "cstore", *store_roots.options, "import-layer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "CONTAINERS_STORAGE_CONF": private_config},
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(archive[: len(archive) // 2])
        process.stdin.flush()
        deadline = time.monotonic() + 20
        while not os.path.exists(f"{store_roots.graph}/vfs") and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out) == (130, b"")
    assert err.count(b"cstore: interrupted; ") == 1
    assert b"Traceback" not in err
    assert run("layers").ok().stdout == ""
    assert run("gc", "--verbose").ok().stdout == ""


@pytest.mark.parametrize("command", [["import-layer"], ["applydiff", "l1"]], ids=" ".join)
def test_archives_are_not_read_from_a_terminal(
    cli: CommandLine, store_roots: StoreRoots, command: list[str], private_config: str
) -> None:
    """Somebody who forgot -f is told so instead of waiting for ever."""
    cli("create-layer", "-i", "l1").ok()
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "cstore", *store_roots.options, *command],
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={**os.environ, "CONTAINERS_STORAGE_CONF": private_config},
    )
    os.close(ours)
    os.close(theirs)

    assert done.returncode == 1
    assert "terminal" in done.stderr
    assert "-f FILE" in done.stderr


def test_create_storage_layer_makes_a_tree_and_no_record(cli: CommandLine) -> None:
    """The tree is listed by storage-layers alone."""
    assert cli("create-storage-layer", "--id", "bare").ok().lines == ["bare"]
    assert cli("create-storage-layer", "--id", "above", "-j", "bare").ok().json == "above"
    assert cli("storage-layers").lines == ["above", "bare"]
    assert cli("storage-layers", "--json").json == ["above", "bare"]
    assert cli("layers").out == ""
    assert cli("exists", "bare").code == 1


@pytest.mark.parametrize("words", [["--id", "bare"], ["nope"]], ids=" ".join)
def test_create_storage_layer_refuses_what_is_there_or_not(cli: CommandLine, words: list[str]) -> None:
    """An ID that has a tree and a parent that has none are errors."""
    cli("create-storage-layer", "--id", "bare").ok()

    told = cli("create-storage-layer", *words)

    assert (told.code, told.out) == (1, "")
    assert cli("storage-layers").lines == ["bare"]


def test_storage_layers_of_no_store(cli: CommandLine) -> None:
    """No trees are no lines, or an empty list."""
    assert cli("storage-layers").ok().out == ""
    assert cli("storage-layers", "-j").ok().json == []
