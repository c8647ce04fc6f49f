"""A whole check: what was found is made sure of, under locks that leave no trace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.check.checking import _Check, check_store, shared_locks
from cstore.check.contents import LayerJob
from cstore.check.options import CheckOptions
from cstore.errors import LockTimeout
from cstore.fs.lock_policy import LockPolicy
from cstore.fs.lockfile import LockFile
from cstore.records.model import Container, Image, Layer
from cstore.store.places import ItemKind
from tests.builders import directory, listing, regular
from tests.unit.check.tables import Tables, tar, told, write

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.check.compare import Problem

OPTIONS = CheckOptions(workers=1)


def test_what_is_gone_when_looked_at_again_was_work_in_progress(tmp_path: Path) -> None:
    """And what is there only then was not found: it would have been nobody's evidence."""
    tables = Tables(tmp_path, Image(id="one", layer="gone"))
    check = _Check(tables.context, OPTIONS)
    seen = {("image-layer-missing", "image", "one", "gone")}
    assert told(check._confirm(seen)[0]) == [("image-layer-missing", "one")]

    tables.records(ItemKind.IMAGES, [Image(id="two", layer="gone")])
    assert told(check._confirm(seen)[0]) == []


def job(layer: str, *identity: object) -> LayerJob:
    """A layer that was read."""
    return LayerJob(layer, "sha256:1", 1, "/x", ("/x",), ("/x",), identity=identity)


def test_only_layers_with_problems_that_are_others_now_are_read_again(tmp_path: Path) -> None:
    """Problems of a layer that is gone are forgotten with it."""
    check = _Check(Tables(tmp_path).context, OPTIONS)
    problem: Problem = ("file-missing", "f", "'/f' is missing", {}, "")
    names = "same", "other", "gone", "sound"
    check._jobs = {name: job(name, 1) for name in names}
    check._problems = {name: [problem] for name in names[:3]} | {"sound": []}

    changed = check._changed({"same": job("same", 1), "other": job("other", 2), "sound": job("sound", 2)})
    assert changed.keys() == {"other"}
    assert check._problems == {"same": [problem], "other": [problem], "gone": [], "sound": []}


def test_a_check_leaves_everything_as_it_is(tmp_path: Path) -> None:
    """Not even a lock file is made, whatever is found; nor a mount table, nor a run root."""
    tables = Tables(tmp_path, Layer(id="top", parent="gone"), Image(id="image", layer="top", data_names=("manifest",)))
    before = listing(str(tmp_path))

    assert not check_store(tables.context, OPTIONS).clean
    assert listing(str(tmp_path)) == before


def test_a_busy_writer_is_waited_for_as_long_as_the_store_says(tmp_path: Path) -> None:
    """Somebody else's change in the midst could look like damage."""
    tables = Tables(tmp_path)
    tables.context.lock_policy = LockPolicy(timeout=0)
    lock = LockFile(tables.context.layout.images_lock)
    with lock.exclusive(LockPolicy()), pytest.raises(LockTimeout), shared_locks(tables.context):
        pass
    with shared_locks(tables.context), pytest.raises(LockTimeout), lock.exclusive(LockPolicy(timeout=0)):
        pass


def test_what_cannot_be_locked_is_not_waited_for(tmp_path: Path) -> None:
    """A fifo in the place of a lock file is a finding; to open it would never end."""
    tables = Tables(tmp_path)
    os.mkfifo(tables.context.layout.layers_lock)

    with shared_locks(tables.context):
        pass


def test_the_report_has_what_the_groups_need(tmp_path: Path) -> None:
    """The layers of each image, topmost first, and the image of each container; of a part only that part's."""
    tables = Tables(
        tmp_path, Layer(id="base"), Layer(id="top", parent="base"), Layer(id="mapped", parent="base"),
        Image(id="image", layer="top", mapped_layers=("mapped",)), Container(id="box", layer="base", image="image"),
    )  # fmt: skip

    whole = check_store(tables.context, OPTIONS)
    assert whole.layers_of_images == {"image": ("top", "base", "mapped")}
    assert whole.images_of_containers == {"box": "image"}
    part = check_store(tables.context, OPTIONS.with_(layers=("base",)))
    assert (part.layers_of_images, part.images_of_containers) == ({}, {})


def test_contents_are_read_unless_they_are_not_wanted(tmp_path: Path) -> None:
    """`quick` takes the digest and does not walk the directory; without digests nothing is read."""
    files = directory("d"), regular("d/f", b"hello")
    tables = Tables(tmp_path)
    found = tables.archive("layer", *files)
    size = len(tar(*files))
    tables.records(ItemKind.LAYERS, [Layer(id="layer", diff_digest=found, diff_size=size)])
    write(os.path.join(tables.tree("layer"), "new"), b"")
    write(os.path.join(tables.tree("layer"), "d/f"), b"HELLO")

    def kinds(options: CheckOptions) -> set[str]:
        report = check_store(tables.context, options)
        assert report.examined == (("layer",) if options.layer_digests else ())
        return {finding.kind for finding in report.findings if finding.kind.startswith("file-")}

    assert kinds(OPTIONS) == {"file-unexpected", "file-changed"}
    assert kinds(OPTIONS.with_(quick=True)) == {"file-changed"}
    assert kinds(OPTIONS.with_(layer_digests=False)) == set()


def test_lines_of_the_go_tool_begin_with_the_layer(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.archive("layer", directory("d"), regular("d/f", b"hello"))
    tables.records(ItemKind.LAYERS, [Layer(id="layer", diff_digest="sha256:" + "0" * 64, diff_size=-1)])
    os.unlink(os.path.join(tables.tree("layer"), "d/f"))

    report = check_store(tables.context, OPTIONS)
    lines = [line for finding in report.of("layer", "layer") for line in finding.go_text.split("\n")]
    assert lines
    assert all(line.startswith("layer layer: ") for line in lines)
