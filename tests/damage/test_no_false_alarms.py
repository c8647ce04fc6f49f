"""What is sound but odd is no damage: layers that the peer's check cries wolf at, stores of others, stores at work."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cstore.errors import LockTimeout
from cstore.store import NewLayer
from cstore.store.container_creation import NewContainer
from tests.builders import Entry, directory, hardlink, make_tar, pax_header, regular, symlink, whiteout
from tests.damage.specimen import BASE, BASE_TAR, IMAGE, MIDDLE_TAR, Specimen, look, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ODD: dict[str, bytes] = {
    "no entries for directories": make_tar(regular("a/b/c", b"x"), regular("a/b/other", b"y"), symlink("d/l", "x")),
    "a link with a mode": make_tar(symlink("link", "nowhere", mode=0o644)),
    "a hard link with other attributes": make_tar(
        regular("one", b"1", mode=0o600, uid=5), hardlink("two", "one", mode=0o644, uid=6, mtime=77)
    ),
    "a time before 1970": make_tar(
        regular("old", b"x", pax={b"mtime": b"-5.5"}), directory("d", pax={b"mtime": b"-1"})
    ),
    "a time with a fraction": make_tar(regular("new", b"x", pax={b"mtime": b"1600000000.75"})),
    "a hard link with a size": make_tar(regular("one", b"1" * 600), hardlink("two", "one", size=600)),
    "a sparse file": make_tar(
        regular(
            "GNUSparseFile.0/holes", b"3\n0\n1\n512\n0\n1024\n0\n".ljust(512, b"\0") + b"x",
            pax={b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": b"holes",
                 b"GNU.sparse.realsize": b"1024"},
        )
    ),
    "a global header": make_tar(pax_header({b"comment": b"hello"}, type_=b"g"), regular("file", b"x")),
    "names that are not text": make_tar(
        regular(b"\xff\xfe", b"x"), directory(b"caf\xe9"), regular(b"caf\xe9/\xc3\xa9", b"")
    ),
    "an attribute": make_tar(regular("tool", b"x", pax={b"SCHILY.xattr.security.capability": bytes.fromhex(
        "0100000200000020" + "00" * 12)})),
    "an empty archive": b"",
    "two entries of one name": make_tar(regular("twice", b"first"), regular("twice", b"second, longer")),
    "a directory twice": make_tar(directory("d", mode=0o700), regular("d/x", b"x"), directory("d", mode=0o755)),
    "a whiteout of its own file": make_tar(directory("d"), regular("d/x", b"x"), whiteout("d/x")),
    "a whiteout before its own file": make_tar(whiteout("etc"), directory("etc"), regular("etc/new", b"x")),
    "a whiteout without a directory": make_tar(whiteout("etc/deep/er")),
    "opaque at the top": make_tar(regular(".wh..wh..opq"), regular("only", b"x")),
    "a file where a directory was": make_tar(regular("etc", b"now a file")),
    "a name through a link": make_tar(regular("sbin/through", b"x")),
    "devices": make_tar(Entry(b"null", type=b"3", device=(1, 3)), Entry(b"fifo", type=b"6")),
    "what AUFS left": make_tar(directory(".wh..wh.plnk"), regular(".wh..wh.aufs", b"x"), regular("file", b"y")),
}  # fmt: skip


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
@pytest.mark.parametrize("case", ODD)
def test_odd_archives_are_no_damage(case: str, driver: str, tmp_path: Path) -> None:
    """Whatever cstore makes of an archive, above another layer and below one, is what its check expects."""
    if os.geteuid() != 0:
        pytest.skip("needs root: owners, devices and trusted xattrs cannot be made otherwise")
    specimen = Specimen(driver, str(tmp_path))
    store = specimen.open()
    put(store, NewLayer(id="base"), BASE_TAR, specimen.root)
    put(store, NewLayer(id="odd", parent="base"), ODD[case], specimen.root)
    put(store, NewLayer(id="above", parent="odd"), MIDDLE_TAR, specimen.root)
    put(store, NewLayer(id="alone"), ODD[case], specimen.root)

    assert [finding.document() for finding in specimen.check().findings] == []


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_a_parent_in_an_additional_store(driver: str, fresh: Callable[[str], Specimen], tmp_path: Path) -> None:
    """It is looked for in all stores; what is wrong there is told as read-only."""
    base = fresh(driver)
    own = Specimen(driver, str(tmp_path / "own"), stores=(base.graph,))
    os.mkdir(own.root)
    put(own.open(), NewLayer(id="mine", parent=BASE), MIDDLE_TAR, own.root)
    before = look(base.graph, own.graph)

    assert own.check().findings == ()
    os.unlink(base.beside("layers", BASE, "notes"))
    os.unlink(base.tree(BASE, "old/file"))
    found = {(finding.kind, finding.subject.id, finding.read_only) for finding in own.check().findings}
    assert {("layer-data-missing", BASE, True), ("file-missing", BASE, True)} <= found
    assert look(own.graph).items() <= before.items()


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_a_separate_image_store(driver: str, tmp_path: Path) -> None:
    """Layers, images and tar-split files lie in two roots."""
    specimen = Specimen(driver, str(tmp_path), more={"image_store": str(tmp_path / "images")})
    store = specimen.open()
    put(store, NewLayer(id="below", read_only=True), BASE_TAR, specimen.root)
    put(store, NewLayer(id="above", parent="below"), MIDDLE_TAR, specimen.root)

    assert specimen.check().findings == ()
    os.unlink(specimen.tar_split("below"))
    assert [finding.kind for finding in specimen.check().findings if finding.severity.value == "export"] != []


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_transient_containers(driver: str, fresh: Callable[[str], Specimen]) -> None:
    """What is recorded in the run root is used and known, whether or not the store was opened as a transient one."""
    specimen = fresh(driver)
    transient = replace(specimen, more={"transient_store": True})
    transient.open().containers.create(NewContainer(id="2" * 64, image=IMAGE, volatile=True))

    assert transient.check(max_age=0.0).findings == ()
    assert specimen.check(max_age=0.0).findings == ()


def test_mapped_owners(fresh: Callable[[str], Specimen]) -> None:
    """Owners are held against what the layer's map makes of the archive's."""
    from cstore.idmap import IDMap, parse_ranges

    specimen = fresh("vfs")
    ranges = parse_ranges("0:100000:65536")
    put(specimen.open(), NewLayer(id="mapped", id_map=IDMap(ranges, ranges)), BASE_TAR, specimen.root)

    assert specimen.check().findings == ()
    os.chown(specimen.tree("mapped", "old/file"), 0, 0)
    assert [finding.kind for finding in specimen.check().findings] == ["file-attributes"]


@pytest.mark.parametrize("uids", ["0:100000:1000:2000:200000:1000", "0:0:1:1:200000:1000:3000:300000:10"])
def test_rewritten_owners(fresh: Callable[[str], Specimen], uids: str) -> None:
    """With a map that overlay cannot show at a mount, a layer holds copies of what is below it."""
    from cstore.idmap import IDMap, parse_ranges

    specimen = fresh("overlay")
    store = specimen.open()
    holes = IDMap(parse_ranges(uids), parse_ranges(uids))
    put(store, NewLayer(id="below"), BASE_TAR, specimen.root)
    put(store, NewLayer(id="above", parent="below", id_map=holes), MIDDLE_TAR, specimen.root)
    store.containers.create(NewContainer(id="3" * 64, image=IMAGE, id_map=holes))
    assert len(store.images.get(IMAGE).mapped_layers) == 1

    assert specimen.check().findings == ()


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_a_read_only_file_system(driver: str, fresh: Callable[[str], Specimen]) -> None:
    """Nothing needs to be written, not even with findings."""
    specimen = fresh(driver)
    os.truncate(specimen.tree(BASE, "old/file"), 1)
    subprocess.run(["mount", "--bind", specimen.root, specimen.root], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", specimen.root], check=True)
        assert [finding.kind for finding in specimen.check().findings if finding.subject.id == BASE] != []
    finally:
        subprocess.run(["umount", specimen.root], check=True)


def test_a_store_of_another_user(fresh: Callable[[str], Specimen]) -> None:
    """Root looks at a user's store and leaves it to that user."""
    specimen = fresh("vfs")
    for kind in ("layers", "images", "containers"):
        os.chown(specimen.beside(kind), 1000, 1000)
    for path in (specimen.graph, specimen.home()):
        os.chown(path, 1000, 1000)
    before = look(specimen.graph, specimen.run)

    assert specimen.check().findings == ()
    assert look(specimen.graph, specimen.run) == before


WRITER = """
import sys
from cstore.store import NewLayer
from tests.damage.specimen import BASE, MIDDLE_TAR, Specimen, put
specimen = Specimen(sys.argv[1], sys.argv[2])
for turn in range(1000):
    store = specimen.open()
    put(store, NewLayer(id=f"layer{turn}", parent=BASE), MIDDLE_TAR, specimen.root, f"archive-{turn}")
    store.layers.set_data(f"layer{turn}", "item", b"x" * 5000)
    store.layers.delete(f"layer{turn}")
"""


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_a_store_at_work(driver: str, fresh: Callable[[str], Specimen]) -> None:
    """While layers come and go, nothing of that is taken for damage, and what is damaged is still found."""
    specimen = fresh(driver)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, driver, specimen.root])
    try:
        for _ in range(12):
            assert [finding.document() for finding in specimen.check().findings] == []
        assert writer.poll() is None, "the writer has failed"
        os.truncate(specimen.tree(BASE, "old/file"), 1)
        kinds = {finding.kind for finding in specimen.check().findings if finding.subject.id == BASE}
        assert kinds == {"file-changed"}
    finally:
        writer.kill()
        writer.wait()


HOLDER = """
import json, sys, time
from cstore.fs.lockfile import LockFile
from tests.damage.specimen import Specimen
specimen = Specimen("vfs", sys.argv[1])
with LockFile(specimen.beside("layers", "layers.lock")).exclusive():
    half_made = {"id": "half", "created": "2020-01-01T00:00:00Z", "flags": {"incomplete": True}}
    specimen.edit("layers", lambda rows: rows.append(half_made))
    print("begun", flush=True)
    time.sleep(float(sys.argv[2]))
    specimen.edit("layers", lambda rows: rows[:-1])
"""


def _busy(specimen: Specimen, seconds: float) -> subprocess.Popen[str]:
    """Let somebody be in the midst of making a layer for some seconds, as the peer makes them."""
    words = [sys.executable, "-c", HOLDER, specimen.root, str(seconds)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_work_in_progress(fresh: Callable[[str], Specimen]) -> None:
    """What looks like damage while a writer has the lock is looked at again when the writer is done."""
    specimen = fresh("vfs")
    with _busy(specimen, 0.5) as writer:
        found = specimen.check().findings
        assert writer.wait() == 0

    assert found == ()


def test_a_writer_that_does_not_end(fresh: Callable[[str], Specimen]) -> None:
    """What cannot be confirmed is not reported; who is in the way is named instead."""
    specimen = fresh("vfs").repair_view(0.2)
    with _busy(specimen, 60) as writer:
        with pytest.raises(LockTimeout) as caught:
            specimen.check()
        writer.kill()

    assert str(writer.pid) in caught.value.message


LINKED: dict[str, tuple[bytes, ...]] = {
    "a link that sets other attributes": (
        make_tar(regular("one", b"1", mode=0o600), hardlink("two", "one", mode=0o600)),
        make_tar(hardlink("three", "two", mode=0o4755, uid=5, mtime=77)),
    ),
    "a link that is replaced by the same archive": (
        make_tar(regular("one", b"1", mode=0o600)),
        make_tar(hardlink("two", "one", mode=0o4755, uid=5, mtime=77), regular("two", b"2")),
    ),
    "links to one file in three layers": (
        make_tar(regular("one", b"1")),
        make_tar(hardlink("two", "one", uid=5), hardlink("three", "one", uid=6)),
        make_tar(hardlink("four", "three", mode=0o755), hardlink("five", "one", mtime=5)),
    ),
    "contents put in the place of one name": (
        make_tar(regular("one", b"1"), hardlink("two", "one")),
        make_tar(regular("one", b"other", mode=0o755)),
    ),
    "a link to a symbolic link": (make_tar(symlink("one", "nowhere", mtime=3)), make_tar(hardlink("two", "one"))),
    "a device 0:0 over an entry of its own archive": (
        make_tar(regular("one", b""), Entry(b"one", type=b"3", device=(0, 0))),
        make_tar(directory("d", mtime=9), regular("d/x", b"")),
        make_tar(Entry(b"d/x", type=b"3", device=(0, 0))),
    ),
}


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
@pytest.mark.parametrize("case", LINKED)
def test_what_a_later_layer_does_to_a_file_of_an_earlier_one(case: str, driver: str, tmp_path: Path) -> None:
    """Where several names have one file, an archive that sets something of one of them sets it of all."""
    if os.geteuid() != 0:
        pytest.skip("needs root: owners and devices cannot be made otherwise")
    specimen, parent = Specimen(driver, str(tmp_path)), ""
    for number, archive in enumerate(LINKED[case]):
        put(specimen.open(), NewLayer(id=f"layer{number}", parent=parent), archive, specimen.root)
        parent = f"layer{number}"

    assert [finding.document() for finding in specimen.check().findings if finding.kind != "layer-unreferenced"] == []
