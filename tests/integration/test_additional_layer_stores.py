"""Layers that an additional layer store keeps: on plain directories, and on a mount in the place of `diff`."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from cstore.archive.compression import Compression
from cstore.check import check_store
from cstore.config import Overrides, load_config
from cstore.drivers.contract import TreeOptions
from cstore.errors import DriverError, Unsupported
from cstore.idmap import IDMap, IDRange
from cstore.store import LayerPath, NewImage, NewLayer, Store, open_store
from tests.builders import directory, listing, make_tar, regular
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

ARCHIVE = make_tar(directory("etc"), regular("etc/far", b"from far away"), regular("top", b"text"))
BLOB = gzip.compress(ARCHIVE, mtime=0)
TOC = f"sha256:{'7' * 64}"
REFERENCE = "docker.io/library/far:latest"
INFO = {
    "compressed-diff-digest": f"sha256:{hashlib.sha256(BLOB).hexdigest()}",
    "compressed-size": len(BLOB),
    "diff-digest": f"sha256:{hashlib.sha256(ARCHIVE).hexdigest()}",
    "diff-size": len(ARCHIVE),
    "compression": int(Compression.GZIP),
}


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """What a store keeps of one layer."""
    far = tmp_path / "far" / base64.b64encode(REFERENCE.encode()).decode() / TOC
    (far / "diff").mkdir(parents=True)
    with tarfile.open(fileobj=BytesIO(ARCHIVE)) as archive:
        archive.extractall(far / "diff", filter="tar")
    (far / "info").write_text(json.dumps(INFO), encoding="utf-8")
    (far / "blob").write_bytes(BLOB)
    return far


@pytest.fixture
def open_it(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Open the test's store with these additional layer stores."""

    def opened(*stores: str, driver: str = "overlay") -> Store:
        options = tuple(f"overlay.additionallayerstore={store}" for store in stores)
        graph, run = str(tmp_path / "graph"), str(tmp_path / "run")
        overrides = Overrides(graph_root=graph, run_root=run, driver=driver, driver_options=options, lock_timeout=20)
        return open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))

    yield opened
    detach_all(str(tmp_path))


@pytest.fixture
def store(open_it: Callable[..., Store], tmp_path: Path, far: Path) -> Store:
    """A store with the layer `it`, kept far away, and `child` above it; an image has it."""
    del far
    store = open_it(f"{tmp_path}/far:ref")
    made = store.layers.from_additional_store(TOC, REFERENCE, NewLayer(id="it", names=("named",)))
    assert (made.id, made.names, made.diff_size) == ("it", ("named",), len(ARCHIVE))
    store.layers.create(NewLayer(id="child", parent="it"))
    store.images.create(NewImage(id="image", layer="child"))
    return store


def as_mount(far: Path, tmp_path: Path) -> None:
    """Put a mounted EROFS image in the place of `diff`."""
    if shutil.which("mkfs.erofs") is None:
        pytest.skip("needs mkfs.erofs")
    subprocess.run(["mkfs.erofs", str(tmp_path / "image"), str(far / "diff")], check=True, capture_output=True)
    shutil.rmtree(far / "diff")
    (far / "diff").mkdir()
    command = ["mount", "-t", "erofs", "-o", "loop,ro", str(tmp_path / "image"), str(far / "diff")]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs a kernel that mounts EROFS")


@pytest.mark.parametrize("mounted", [False, True])
def test_a_layer_kept_elsewhere_is_like_any_other(
    open_it: Callable[..., Store], tmp_path: Path, far: Path, mounted: bool
) -> None:
    """It is found, listed, mounted, exported as it was pushed and checked; its far side is never written to."""
    if mounted:
        as_mount(far, tmp_path)
    before = listing(str(far))
    store = open_it(f"{tmp_path}/far:ref")
    store.layers.from_additional_store(TOC, REFERENCE, NewLayer(id="it"))
    store.layers.create(NewLayer(id="child", parent="it"))
    store.images.create(NewImage(id="image", layer="child"))

    folder = tmp_path / "graph/overlay/it"
    assert (folder / "additionallayer").read_text(encoding="utf-8") == str(far)
    assert os.readlink(folder / "diff") == str(far / "diff")
    assert store.layers.ids() == ["it", "child"]
    assert [change.path for change in store.layers.changes("it")] == [b"/etc", b"/etc/far", b"/top"]
    for layer in ("it", "child"):
        with open(os.path.join(store.mount(layer), "etc/far"), "rb") as file:
            assert file.read() == b"from far away"
    with open(os.path.join(store.mount("child"), "new"), "w", encoding="utf-8") as file:
        file.write("mine")
    with pytest.raises(OSError, match="Read-only"):
        os.mkdir(os.path.join(store.mount("it"), "new"))
    assert [change.path for change in store.layers.changes("child")] == [b"/new"]
    sinks = [BytesIO(), BytesIO()]
    store.layers.diff("it", sinks[0])
    store.layers.diff("it", sinks[1], compression=Compression.NONE)
    assert [sink.getvalue() for sink in sinks] == [BLOB, ARCHIVE]
    report = check_store(store.context)
    assert report.clean, [finding.sentence for finding in report.findings]
    assert listing(str(far)) == before


@pytest.mark.parametrize("what", ["all of it", "the mount on diff"])
def test_a_far_side_that_is_not_mounted_is_named(store: Store, far: Path, tmp_path: Path, what: str) -> None:
    """It is never taken for an empty layer: nothing is mounted, exported, copied or listed, and nothing is removed.

    A check names it as not read, and finds nothing: what is not there now may be sound.
    """
    out = str(tmp_path / "out")
    if what == "all of it":
        far.rename(far.parent.parent / "gone")
    else:
        shutil.rmtree(far / "diff")
        (far / "diff").mkdir()

    acts: list[Callable[[], object]] = [
        lambda: store.mount("it"),
        lambda: store.mount("child"),
        lambda: store.layers.changes("it"),
        lambda: store.layers.changes("child"),
        lambda: store.layers.diff("it", BytesIO()),
        lambda: store.layers.diff("child", BytesIO()),
        lambda: store.copy([LayerPath(path="/", layer="it")], LayerPath(path=out)),
        lambda: store.copy([LayerPath(path="/", layer="child")], LayerPath(path=out)),
        lambda: store.layers.create(NewLayer(parent="it")),
    ]
    for act in acts:
        with pytest.raises(DriverError, match=str(far)):
            act()
    assert store.layers.ids() == ["it", "child"]
    assert not os.path.exists(out) or not os.listdir(out)
    report = check_store(store.context)
    assert report.clean
    assert [note for note in report.notes if "layer it was not read" in note and str(far) in note]
    assert store.gc() == []
    store.images.delete("image")
    assert store.layers.ids() == []


def test_paths_that_will_not_do_are_told_by_who_uses_them(open_it: Callable[..., Store], tmp_path: Path) -> None:
    """No other command minds them."""
    store = open_it("relative", f"{tmp_path}/missing:ref")
    store.layers.create(NewLayer(id="other"))

    with pytest.raises(DriverError, match=r"relative is not an absolute path; .*missing is not a directory") as caught:
        store.layers.from_additional_store(TOC, REFERENCE, NewLayer())
    assert caught.value.go_text == f'additional layer ("{TOC}", "{REFERENCE}") not found: unknown layer'
    assert store.layers.ids() == ["other"]


def test_a_far_side_that_makes_no_sense_leaves_no_trace(
    open_it: Callable[..., Store], tmp_path: Path, far: Path
) -> None:
    """Neither does one that should get other owners; an archive that is another one is told at its end."""
    store = open_it(f"{tmp_path}/far:ref")
    (far / "info").write_text('{"diff-digest": "sha256:x"}', encoding="utf-8")
    with pytest.raises(Unsupported, match="info"):
        store.layers.from_additional_store(TOC, REFERENCE, NewLayer(id="it"))
    (far / "info").write_text(json.dumps(INFO), encoding="utf-8")
    ranges = (IDRange(0, 100_000, 1000),)
    with pytest.raises(DriverError, match="ID map"):
        store.context.driver.stage(None, TreeOptions(far=str(far), id_map=IDMap(ranges, ranges)))
    assert store.layers.ids() == store.layers.trees() == store.context.driver.stale() == []

    store.layers.from_additional_store(TOC, REFERENCE, NewLayer(id="it"))
    (far / "blob").write_bytes(BLOB[:-1] + b"x")
    with pytest.raises(Unsupported, match="not the archive"):
        store.layers.diff("it", BytesIO())
