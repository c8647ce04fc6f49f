"""`cstore doctor`: whether the host is sound, and what to do if it is not."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cstore.layout import Layout
from tests.conftest import unplaced
from tests.loops import loop_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

AREAS = ["kernel", "driver", "file system", "space", "space", "user"]


@pytest.fixture
def small_disk(tmp_path: Path, needs_root: None) -> Iterator[str]:
    """A disk of 64 MiB."""
    del needs_root
    with loop_disk(tmp_path, "ext4") as place:
        yield place


def facts(cli: CommandLine) -> dict[str, list[tuple[str, str]]]:
    """Level and sentence of every fact, by area."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in cli("doctor").lines:
        level, area, sentence, *_ = line.split("\t")
        found.setdefault(area, []).append((level, sentence))
    return found


def test_a_sound_host_has_no_problem(cli: CommandLine, store_roots: StoreRoots) -> None:
    """Each area has a line; nothing is made, not even the store."""
    told = cli("doctor").ok()

    assert [line.split("\t")[1] for line in told.lines][: len(AREAS)] == AREAS
    assert {"configuration", "locks", "mounts", "clock"} <= {line.split("\t")[1] for line in told.lines}
    assert not os.path.exists(store_roots.graph)
    assert "the vfs driver works" in told.out


def test_the_document_and_the_metrics_say_the_same(cli: CommandLine) -> None:
    """JSON has every fact; Prometheus counts them and knows the room on the disk."""
    cli("create-layer").ok()
    document = cli("doctor", "--json").ok().json
    metrics = cli("doctor", "--format", "prometheus").ok().lines

    assert document["version"] == 1
    assert {fact["level"] for fact in document["facts"]} <= {"ok", "warning", "problem"}
    assert document["file_system"]["bytes_total"] > document["file_system"]["bytes_free"] > 0
    values = [line for line in metrics if not line.startswith("#")]
    assert all(re.fullmatch(r'cstore_[a-z_]+(\{area="[^"]+",level="[a-z]+"\})? -?\d+', line) for line in values)
    counted = sum(int(line.rpartition(" ")[2]) for line in values if line.startswith("cstore_host_facts"))
    assert counted == len(document["facts"])
    assert cli("doctor", "--format", "xml").code == 2


def test_who_holds_a_lock_is_named(cli: CommandLine, store_roots: StoreRoots) -> None:
    """By process ID and command; nothing waits for it."""
    cli("create-layer").ok()
    path = Layout(store_roots.graph, store_roots.run, "vfs").layers_lock
    with open(path, "rb+") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        pid = os.fork()
        if not pid:
            os._exit(0 if f"{path} is held by PID" in str(facts(cli)) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert facts(cli)["locks"] == [("ok", "no process holds a lock of the store")]


def test_a_mount_that_is_gone_is_a_warning(run: Runner, store_roots: StoreRoots) -> None:
    """With the layer that counts as mounted."""
    run("create-layer", "--id", "l1").ok()
    run("mount", "l1").ok()
    table = Layout(store_roots.graph, store_roots.run, "vfs").mountpoints
    with open(table, encoding="utf-8") as file:
        text = file.read()
    with open(table, "w", encoding="utf-8") as file:
        file.write(text.replace('"path":"', '"path":"/elsewhere'))

    (line,) = [line for line in run("doctor").ok().stdout.splitlines() if line.startswith("warning\tmounts")]
    assert "layer l1: its mount count is 1" in line


def test_a_clock_that_went_back_is_a_warning(cli: CommandLine, store_roots: StoreRoots) -> None:
    """The store was written in what is the future now."""
    cli("create-layer").ok()
    os.utime(Layout(store_roots.graph, store_roots.run, "vfs").layers_lock, (4_000_000_000, 4_000_000_000))

    assert facts(cli)["clock"][0][0] == "warning"


def test_a_full_disk_is_a_problem(bare_cli: CommandLine, small_disk: str) -> None:
    """Exit status 1, the numbers, and the command that helps."""
    options = ("--graph", f"{small_disk}/graph", "--run", f"{small_disk}/run", "-s", "vfs")
    bare_cli(*options, "create-layer").ok()
    with open(f"{small_disk}/filler", "wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 16)):
            continue
    told = bare_cli(*options, "doctor")

    assert told.code == 1
    assert re.search(
        r"^problem\tspace\t\d+ of \d+ bytes are free .*\tsee .*cstore df", unplaced(told.out), re.MULTILINE
    )


def test_a_store_that_cannot_be_opened_is_said_so(bare_cli: CommandLine) -> None:
    """Exit status 3."""
    told = bare_cli("--storage-driver", "nope", "doctor")

    assert told.code == 3
    assert "nope" in told.err
