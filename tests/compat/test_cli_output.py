"""Line for line: what cstore prints is what the Go tool prints, on one store and in one sequence of commands."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, make_tar, regular, symlink
from tests.conftest import StoreRoots, find_peer

if TYPE_CHECKING:
    from tests.conftest import Finished, Runner, RunnerMaker

pytestmark = pytest.mark.peer

ODD_NAME = b'd/"q\\t\t\n\x01\x7f\xc3\xa9\xe2\x80\xa8\xff'
BASE = make_tar(directory("d"), regular("d/f", b"hello"), symlink("d/l", "f"), regular(ODD_NAME, b"odd"))
CHANGED = make_tar(regular("d/.wh.f"), regular("new", b"12345"), directory("d", mode=0o700))

SETUP = [
    "create-layer -i l1 -n base -n 'weird <n> & é'",
    "import-layer -i l2 -f {base} -n two l1",
    "create-layer -i l3 -l lbl l2",
    "create-layer -i l4 --uidmap 0:100000:65536 --gidmap 0:100000:65536:65536:300000:10 l2",
    "create-image -i i1 -n img1 -n img1b l3",
    "create-container -i c1 -n cont i1",
    "import-layer -i l5 -f {changed} l2",
    "create-layer -i l6 l5",
    "create-layer -i alone",
    "set-layer-data -f {base} l2 item",
    "set-metadata -m 'meta <data>' l2",
    "set-metadata -f {notes} l3",
    "mount l5",
]

READS = """
layers | layers --json | layers -j=true | layers --tree | layers -t
layer l4 two nope | layer --json l4 two nope | layer --json nope | layer l3 | layer -j l1
exists l1 | exists --json l1 nope zzz | exists -j img1 cont c1 | exists -q l1 | exists -q nope
exists -i i1 | exists -c -j c1 | exists -l base | exists ''
metadata l2 l1 l3 | metadata -q l2 | metadata -q l3 | metadata -j l2 l1 nope | metadata -j nope | metadata nope l2
get-names l1 | get-names -j l1 | getnames img1 | get-names nope | get-names -j l3
list-layer-data l2 | list-layer-data -j l2 | listlayerdata -j l1 | list-layer-data nope
get-layer-data l2 item | getlayerdata two item | get-layer-data l2 nope | get-layer-data nope item
changes l2 | changes -j l2 | changes -j l1 | changes l5 | changes -j l5 | changes l5 l1 | changes nope
diffsize l2 | diff-size l5 | diffsize l5 l1 | diffsize nope
diff -u l2 | diff l2 | diff -u l5 | diff l6 | diff nope
layer-parent-owners l1 | layer-parent-owners -j l1 l2 | layer-parent-owners l4 | layer-parent-owners nope
status | status -j | mounted l5 | mounted l1 | mounted nope l5 | version
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, private_config: str) -> StoreRoots:
    """A store that the Go tool made; the tests of this module only read it."""
    top = tmp_path_factory.mktemp("store")
    roots = StoreRoots(str(top / "graph"), str(top / "run"))
    files = {"base": BASE, "changed": CHANGED, "notes": b"two\nlines\n"}
    for name, content in files.items():
        (top / name).write_bytes(content)
    for line in SETUP:
        words = shlex.split(line.format(**{name: top / name for name in files}))
        command = [find_peer("containers-storage"), *roots.options, *words]
        subprocess.run(
            command, check=True, capture_output=True, env={**os.environ, "CONTAINERS_STORAGE_CONF": private_config}
        )
    return roots


@pytest.mark.parametrize("line", [line.strip() for line in re.split(r"[|\n]", READS) if line.strip()])
def test_reading_commands_print_the_same(run: Runner, peer: Runner, built: StoreRoots, line: str) -> None:
    """Standard output and success or failure are the same, byte for byte."""
    words = shlex.split(line)

    ours, theirs = run(*words, roots=built), peer(*words, roots=built)

    if line.startswith("changes"):  # the peer walks in no order; lines and documents are compared piece by piece
        assert _pieces(ours.output) == _pieces(theirs.output)
    elif line != "version":
        assert ours.output == theirs.output
    assert ours.code == theirs.code


def _pieces(output: bytes) -> list[bytes]:
    """The lines of plain output, or the objects of a JSON list, sorted."""
    return sorted(re.findall(rb"\{.*?\}", output) if output.startswith(b"[") else output.splitlines())


def test_status_goes_to_the_same_stream(run: Runner, peer: Runner, built: StoreRoots) -> None:
    """Scripts that read `status` from standard error find the same lines there."""
    assert run("status", roots=built).stderr == peer("status", roots=built).stderr


SEQUENCE = [
    "create-layer -i a -n one -n two -n one",
    "create-layer -j -i b a",
    "createlayer -i c --label lbl -j b",
    "create-layer -i a",
    "create-layer -i x -n one",
    "create-layer nope",
    "create-layer -i d --uidmap 0:1000:10 --uidmap 0:2000:20 -j",
    "create-layer --uidmap 0:1",
    "create-layer --hostuidmap --uidmap 0:1:1",
    "import-layer -i e -j -f {base} a",
    "importlayer -i f -n imported -f {base}",
    "import-layer -f /nonexistent",
    "applydiff -f {changed} e",
    "apply-diff -f /nonexistent e",
    "layers -j",
    "add-names -j -n three -n one b",
    "add-names b",
    "remove-names -j -n nothing a",
    "set-names -j -n new a",
    "set-names -j a",
    "set-names nope",
    "set-metadata -m text a",
    "set-metadata a",
    "set-metadata -m text nope",
    "set-layer-data -f {base} a item",
    "set-layer-data -f {base} nope item",
    "set-layer-data -f {base} a ''",
    "mount a",
    "mount -j a nope",
    "mounted a b",
    "mount nope a",
    "layers -t",
    "unmount a",
    "umount -f a",
    "unmount -j nope",
    "unmount a",
    "delete-layer a",
    "delete-layer -j b a nope",
    "deletelayer c nope",
    "delete -j b nope",
    "delete f nope",
    "layers",
    "shutdown -j",
    "wipe -j",
    "layers",
]
ABSENT_FROM_1_43 = ("apply-diff", "remove-names")


def test_a_sequence_of_changes_prints_the_same(
    peer: Runner, run_on: RunnerMaker, store_roots: StoreRoots, tmp_path: object
) -> None:
    """Each tool on a store of its own: every line, every document, every failure is the same."""
    files = {"base": BASE, "changed": CHANGED}
    for name, content in files.items():
        with open(f"{tmp_path}/{name}", "wb") as file:
            file.write(content)
    ours_roots = StoreRoots(f"{tmp_path}/ours/graph", f"{tmp_path}/ours/run")
    ours = run_on(ours_roots)
    for line in SEQUENCE:
        words = shlex.split(line.format(**{name: f"{tmp_path}/{name}" for name in files}))
        mine = ours(*words)
        if words[0] in ABSENT_FROM_1_43:
            continue
        its = peer(*words)

        assert (line, _plain(mine, ours_roots)) == (line, _plain(its, store_roots)), mine.stderr
        assert (line, mine.code) == (line, its.code)


def _plain(finished: Finished, roots: StoreRoots) -> str:
    """Standard output without what must differ: the time and the place."""
    text = finished.stdout.replace(roots.graph, "GRAPH").replace(roots.run, "RUN")
    return re.sub(r'"created":"[^"]+"', '"created":""', text)
