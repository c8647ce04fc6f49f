"""Real input goes in, and the very same bytes come out; Debian's containers-storage agrees about all of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import differences, listing, sealed, tree_manifest
from tests.compat.corpora import FORMS, file_digest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compat.corpora import Corpus
    from tests.conftest import Finished, Runner, StoreRoots

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]


@pytest.fixture
def store_roots(roots_in_memory: StoreRoots) -> StoreRoots:
    """These tests make too many files for the disk that everybody uses."""
    return roots_in_memory


def import_layer(runner: Runner, path: str, way: str, *options: str) -> Finished:
    """Import an archive by name, or through a pipe whose other end writes in small pieces."""
    if way == "file":
        return runner("import-layer", *options, "--file", path).ok()
    with subprocess.Popen(["dd", f"if={path}", "bs=7001", "status=none"], stdout=subprocess.PIPE) as writer:
        done = runner("import-layer", *options, stdin=writer.stdout).ok()
    assert writer.returncode == 0
    return done


def diff_digest(runner: Runner, layer: str, tmp: str) -> str:
    """The digest of what `diff` gives back, written to a file as the largest is 200 MB."""
    runner("diff", "--uncompressed", "--file", os.path.join(tmp, "out.tar"), layer).ok()
    digest = file_digest(os.path.join(tmp, "out.tar"))
    os.unlink(os.path.join(tmp, "out.tar"))
    return digest


@pytest.mark.parametrize("way", ["file", "pipe"])
@pytest.mark.parametrize("form", FORMS)
def test_bytes_and_tree(
    corpus: Corpus, form: str, way: str, run: Runner, store_roots: StoreRoots, tmp_path: Path
) -> None:
    """A layer has the digests of its archive, gives its bytes back, and is the tree that GNU tar would unpack."""
    archive = corpus.path(form)
    done = import_layer(run, archive, way, "--id", "real", "--json")
    record = json.loads(done.stdout)

    assert record["diff-digest"] == corpus.sha256
    assert record["diff-size"] == os.path.getsize(corpus.path("tar"))
    assert record["compressed-diff-digest"] == file_digest(archive)
    assert record["compressed-size"] == os.path.getsize(archive)
    assert record.get("compression", 0) == FORMS[form][0]
    assert diff_digest(run, "real", str(tmp_path)) == corpus.sha256
    assert differences(corpus.manifest, tree_manifest(store_roots.tree("real"))) == []


@pytest.mark.peer
def test_peer_agrees_about_a_layer_of_cstore(
    corpus: Corpus, run: Runner, peer: Runner, store_roots: StoreRoots, tmp_path: Path
) -> None:
    """containers-storage lists, examines, mounts, compares and exports what cstore imported, and can delete it."""
    import_layer(run, corpus.path("gzip"), "file", "--id", "real", "--name", "base")
    tmp = str(tmp_path)

    assert peer("layers").ok().stdout == run("layers").ok().stdout
    assert json.loads(peer("layers", "--json").ok().stdout) == json.loads(run("layers", "--json").ok().stdout)
    assert peer("layer", "base").ok().stdout == run("layer", "base").ok().stdout
    assert peer("mount", "real").ok().stdout == store_roots.tree("real") + "\n"
    assert run("mounted", "real").ok().stdout == "real mounted\n"
    assert peer("unmount", "real").ok().code == 0
    assert diff_digest(peer, "real", tmp) == corpus.sha256
    assert sorted(peer("changes", "real").ok().lines) == sorted(run("changes", "real").ok().lines)
    assert peer("diffsize", "real").ok().stdout == run("diffsize", "real").ok().stdout

    peer("delete-layer", "real").ok()

    assert run("layers", "--json").ok().stdout == "null\n"
    assert run("exists", "real").code == 1


@pytest.mark.peer
def test_cstore_agrees_about_a_layer_of_the_peer(
    corpus: Corpus, run: Runner, peer: Runner, store_roots: StoreRoots, tmp_path: Path
) -> None:
    """What containers-storage imported, cstore lists, mounts, compares and exports, and deletes without rest."""
    peer("create-layer", "--id", "first").ok()
    peer("delete-layer", "first").ok()
    before = listing(store_roots.graph)
    import_layer(peer, corpus.path("gzip"), "file", "--id", "real", "--name", "base")

    assert json.loads(run("layers", "--json").ok().stdout) == json.loads(peer("layers", "--json").ok().stdout)
    assert run("mount", "base").ok().stdout == store_roots.tree("real") + "\n"
    assert peer("mounted", "real").ok().stdout == "real mounted\n"
    assert run("unmount", "base").ok().code == 0
    assert diff_digest(run, "base", str(tmp_path)) == corpus.sha256
    assert sorted(run("changes", "real").ok().lines) == sorted(peer("changes", "real").ok().lines)
    assert run("diffsize", "real").ok().stdout == peer("diffsize", "real").ok().stdout
    assert differences(corpus.manifest, tree_manifest(store_roots.tree("real"))) == []

    run("delete-layer", "base").ok()
    run("gc").ok()

    assert peer("layers", "--json").ok().stdout in {"null\n", "[]\n"}
    left = {path for path in listing(store_roots.graph) if path not in before}
    kept = [path for path in left if os.path.basename(path) != "tmp" and not path.startswith("cstore-reserve")]
    assert kept == []


@pytest.mark.peer
def test_a_changed_child_is_compared_alike(
    corpus: Corpus, run: Runner, peer: Runner, store_roots: StoreRoots, tmp_path: Path
) -> None:
    """A layer above a real one, changed by hand: both tools name the same changes and write the same tar of them."""
    if corpus.name != "debian":
        pytest.skip("one corpus is enough: the changes are made by hand")
    import_layer(run, corpus.path("tar"), "file", "--id", "real")
    run("create-layer", "--id", "child", "real").ok()
    tree = run("mount", "child").ok().stdout.strip()
    subprocess.run([sys.executable, "-c", _CHANGES, tree], check=True)
    run("unmount", "child").ok()

    assert sorted(run("changes", "child").ok().lines) == sorted(peer("changes", "child").ok().lines)
    assert run("diffsize", "child").ok().stdout == peer("diffsize", "child").ok().stdout
    theirs = peer("diff", "--uncompressed", "child").ok().output
    assert run("diff", "--uncompressed", "child").ok().output == modern(theirs)

    os.unlink(os.path.join(tree, "etc/hostname"))
    shutil.rmtree(os.path.join(tree, "usr/share/doc"))
    for folder in ("etc", "usr", "usr/share"):
        os.utime(os.path.join(tree, folder), (1_700_000_001, 1_700_000_001))  # a diff keeps whole seconds only
    removals = str(tmp_path / "removals.tar")
    run("diff", "--uncompressed", "--file", removals, "child").ok()
    run("import-layer", "--id", "again", "--file", removals, "real").ok()

    assert differences(tree_manifest(tree), tree_manifest(store_roots.tree("again"))) == []
    assert 'Delete "/etc/hostname"' in run("changes", "child").ok().lines
    assert sorted(run("changes", "again").ok().lines) == sorted(peer("changes", "child").ok().lines)


def modern(tar: bytes) -> bytes:
    """Rewrite a tar of containers-storage 1.43 as later ones make it: no names of owners, no type bits in the mode."""
    out, position = bytearray(tar), 0
    while out[position] != 0:
        header = out[position : position + 512]
        header[100:108] = b"%07o\0" % (int(header[100:107], 8) & 0o7777)
        header[265:329] = bytes(64)
        out[position : position + 512] = sealed(header)
        position += 512 + -(-int(header[124:135], 8) // 512) * 512
    return bytes(out)


_CHANGES = """
import os, sys
os.chdir(sys.argv[1])
def touch(path):
    os.utime(path, (1700000000, 1700000000), follow_symlinks=False)
with open("etc/hostname", "w") as file:
    file.write("changed")
with open("etc/new", "w") as file:
    file.write("new")
os.chmod("etc/new", 0o4750)
os.chown("etc/new", 1000, 2000)
os.setxattr("etc/new", "user.note", b"kept")
os.link("etc/new", "etc/new-too")
os.symlink("/etc/new", "srv/link")
os.mkdir("srv/directory")
os.mknod("srv/fifo", 0o010644)
os.mknod("srv/null", 0o020666, os.makedev(1, 3))
with open("srv/directory/\\u00e9" + "x" * 200, "w") as file:
    file.write("a long name")
for path in ("etc/new", "srv/link", "srv/fifo", "srv/null", "srv/directory/\\u00e9" + "x" * 200, "srv/directory", "srv",
             "etc/hostname", "etc"):
    touch(path)
touch(".")
"""
