"""Success means durable: contents before their names, names before the record, a token before every record file."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.kernel.statfs import filesystem_name
from tests.builders import make_tar, regular
from tests.faults import durability
from tests.faults.durability import Disk
from tests.faults.lab import Laboratory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

COMMANDS = (
    "import-layer", "create-layer", "apply-diff", "delete-layer", "create-image", "set-item", "layer-item",
    "delete-image", "create-container", "delete-container", "set-names", "load", "wipe",
)  # fmt: skip


@pytest.fixture(scope="module", params=["overlay", "vfs"])
def laboratory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """One for each driver."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    work = tmp_path_factory.mktemp("durable")
    yield Laboratory(str(work), request.param)
    shutil.rmtree(work, ignore_errors=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_power_cut_after_any_call_leaves_nothing_half(laboratory: Laboratory, command: str) -> None:
    """Nothing gets its name before its bytes are on the disk, and no record is saved before all it tells of."""
    words, environment, graph = laboratory.command(command)
    trace = os.path.join(laboratory.work, "trace")

    durability.traced(words, environment, trace)

    assert durability.judge(trace, graph) == []


def test_imports_that_share_their_syncs_are_durable_all_the_same(laboratory: Laboratory, tmp_path: Path) -> None:
    """Contents before names, names before records, and all of it before the answers."""
    words, environment, graph = laboratory.command("import-layer")
    (tmp_path / "layer.tar").write_bytes(make_tar(regular("file", b"text")))
    (tmp_path / "lines").write_text(f"import-layer -f {tmp_path}/layer.tar\n" * 3)
    words = [*words[: words.index("import-layer")], "batch", "--jobs", "3"]

    trace = str(tmp_path / "trace")
    durability.traced(["sh", "-c", f'exec "$@" < {tmp_path}/lines', "sh", *words], environment, trace)

    assert durability.judge(trace, graph) == []
    with open(trace, encoding="utf-8", errors="replace") as file:
        assert sum(" syncfs(" in line for line in file) <= 4


@pytest.mark.parametrize(("files", "by_itself"), [(12, True), (40, False)])
def test_a_small_layer_does_not_wait_for_what_others_write(
    laboratory: Laboratory, tmp_path: Path, files: int, by_itself: bool
) -> None:
    """Each of its files is synced; where there are many, all of the file system is, in one call."""
    words, environment, graph = laboratory.command("import-layer")
    if filesystem_name(os.path.dirname(graph)) not in {"extfs", "xfs"}:
        pytest.skip("neither ext4 nor XFS, which tell what a synced directory brings along")
    archive, trace = tmp_path / "layer.tar", tmp_path / "trace"
    archive.write_bytes(make_tar(*(regular(f"file{number}", b"text") for number in range(files))))

    import_layer = [*words[: words.index("import-layer")], "import-layer", "--file", str(archive)]
    durability.traced(import_layer, environment, str(trace))

    calls = trace.read_text()
    assert ("syncfs(" not in calls) is by_itself
    assert len(set(re.findall(r"fsync\(\d+<[^>]*/(file\d+)>", calls))) == (files if by_itself else 0)


def test_the_model_knows_what_is_missing() -> None:
    """Each step that is left out is told: the sync of a file, of a directory, of a new directory, and the token."""
    steps = [
        ("written", "/g/l/layers.lock"),
        ("added", "/g/l"),
        ("synced", "/g"),
        ("added", "/g/l/.tmp-1"),
        ("written", "/g/l/.tmp-1"),
        ("synced", "/g/l/.tmp-1"),
        ("renamed", "/g/l/.tmp-1", "/g/l/layers.json"),
        ("synced", "/g/l"),
    ]

    def wrong(left_out: int) -> list[str]:
        disk = Disk("/g")
        for number, (call, *paths) in enumerate(steps):
            if number != left_out:
                getattr(disk, call)(*paths)
        disk.check("in the end")
        return disk.wrong

    assert wrong(-1) == []
    assert all(wrong(number) for number in (0, 2, 5, 7))
