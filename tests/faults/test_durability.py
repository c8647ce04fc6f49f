"""Success means durable: contents before their names, names before the record, a token before every record file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cstore.kernel.statfs import filesystem_name
from tests.builders import make_tar, regular
from tests.faults import durability
from tests.faults.commands import ALL, COMMANDS, damage
from tests.faults.durability import Disk
from tests.faults.lab import Laboratory
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

TRACED = (
    "import-layer", "create-first", "create-layer", "apply-diff", "delete-layer", "create-image", "set-item",
    "layer-item",
    "delete-image", "create-container", "delete-container", "set-names", "load", "copy", "wipe", "keep",
    "create-writable-init",
)  # fmt: skip


@pytest.fixture(scope="module", params=["overlay", "vfs"])
def laboratory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A laboratory for each driver."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    work = tmp_path_factory.mktemp("durable")
    yield Laboratory(str(work), request.param)
    detach_all(str(work))
    shutil.rmtree(work, ignore_errors=True)


def traced(laboratory: Laboratory, words: list[str]) -> str:
    """Run a command on the laboratory's store; return the file with its system calls."""
    trace = os.path.join(laboratory.work, "trace")
    laboratory.trace(laboratory.words(words), trace, "-e", f"trace={durability.CALLS}")
    return trace


@pytest.mark.parametrize("command", TRACED)
def test_a_power_cut_after_any_call_leaves_nothing_half(laboratory: Laboratory, command: str) -> None:
    """No file gets its name before its bytes are on disk, and no record is saved before everything it refers to."""
    _, _, graph = laboratory.command(command)

    trace = traced(laboratory, ALL[command])

    assert durability.judge(trace, graph) == []


@pytest.mark.parametrize(
    "words",
    [
        ["save", "--quiet", "--output", "{store}/host/saved", "docker.io/library/app"],
        ["save", "--quiet", "--format", "oci-dir", "--output", "{store}/host/saved", "docker.io/library/app"],
        ["copy", "base:/a/b/g", "{store}/host/file"],
        ["copy-image", "--quiet", "docker.io/library/app", "dir:{store}/host/directory"],
    ],
    ids=["archive", "directory", "copy", "dir"],
)
@pytest.mark.parametrize("there", [False, True])
def test_a_result_on_the_host_survives_a_power_cut(laboratory: Laboratory, words: list[str], there: bool) -> None:
    """Its bytes are on disk before its name, new or not, and its name before the command reports success."""
    if laboratory.driver == "overlay":
        pytest.skip("the driver has no part in it")
    _, _, graph = laboratory.command("save")
    host = os.path.join(os.path.dirname(graph), "host")
    for _ in range(2 if there and "oci-dir" not in words else 1):
        trace = traced(laboratory, words)

    assert durability.judge(trace, host) == []
    assert durability.lines(trace, host)


def test_imports_that_share_their_syncs_are_durable_all_the_same(laboratory: Laboratory, tmp_path: Path) -> None:
    """Contents come before names, names before records, and all of it before the responses."""
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
    """Each file of a small layer is synced; for a large one, the whole file system is, in one call."""
    _, _, graph = laboratory.command("import-layer")
    if filesystem_name(os.path.dirname(graph)) not in {"extfs", "xfs"}:
        pytest.skip("neither ext4 nor XFS, which tell what a synced directory brings along")
    archive = tmp_path / "layer.tar"
    archive.write_bytes(make_tar(*(regular(f"file{number}", b"text") for number in range(files))))

    trace = traced(laboratory, ["import-layer", "--file", str(archive)])

    with open(trace, encoding="utf-8", errors="replace") as file:
        calls = file.read()
    assert ("syncfs(" not in calls) is by_itself
    assert len(set(re.findall(r"fsync\(\d+<[^>]*/(file\d+)>", calls))) == (files if by_itself else 0)


STAGED = """
import os, sys
from cstore.config import Overrides, load_config
from cstore.store import NewLayer, open_store
graph, run, driver = sys.argv[1:]
store = open_store(load_config(Overrides(graph_root=graph, run_root=run, driver=driver)))
made = store.layers.stage(NewLayer(id="new"))
with open(os.path.join(made.directory, "file"), "w") as file:
    file.write("contents")
store.layers.apply_staged(made)
"""


def test_a_layer_that_a_program_filled_is_on_the_disk_before_its_record(laboratory: Laboratory) -> None:
    """This holds although only the program knows what it wrote."""
    _, environment, graph = laboratory.command("import-first")
    trace = os.path.join(laboratory.work, "trace")
    roots = [graph, os.path.join(os.path.dirname(graph), "run"), laboratory.driver]

    durability.traced([sys.executable, "-c", STAGED, *roots], environment, trace)

    assert durability.judge(trace, graph) == []


FAR = """
import sys
from cstore.config import Overrides, load_config
from cstore.store import NewLayer, open_store
graph, run, far, digest = sys.argv[1:]
options = (f"overlay.additionallayerstore={far}",)
store = open_store(load_config(Overrides(graph_root=graph, run_root=run, driver="overlay", driver_options=options)))
store.layers.from_additional_store(digest, "name", NewLayer(id="new"))
"""


def test_a_layer_that_lies_elsewhere_is_on_the_disk_with_the_file_that_says_where(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    """Without that file, nobody would know after a power cut what the link in the layer means."""
    if laboratory.driver != "overlay":
        pytest.skip("only overlay has layers that lie elsewhere")
    _, environment, graph = laboratory.command("import-first")
    digest, trace = f"sha256:{'7' * 64}", str(tmp_path / "trace")
    (tmp_path / "far" / digest / "diff" / "inside").mkdir(parents=True)
    for name, text in (("info", "{}"), ("blob", "")):
        (tmp_path / "far" / digest / name).write_text(text)
    roots = [graph, os.path.join(os.path.dirname(graph), "run"), str(tmp_path / "far"), digest]

    durability.traced([sys.executable, "-c", FAR, *roots], environment, trace)

    assert durability.judge(trace, graph) == []


def test_what_a_mount_program_wrote_is_synced_where_nothing_can_end_it(tmp_path: Path) -> None:
    """In that case the mount is detached, and nobody would wait for it."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    end = "import sys; from cstore.drivers.overlay.program import unmount_program; unmount_program(sys.argv[1])"
    trace = tmp_path / "trace"

    durability.traced([sys.executable, "-c", end, str(tmp_path)], {**os.environ, "PATH": str(tmp_path)}, str(trace))

    assert "syncfs(" in trace.read_text(encoding="utf-8", errors="replace")


def test_the_first_layer_of_a_store_is_on_the_disk_with_all_directories_above_it(laboratory: Laboratory) -> None:
    """The roots, the driver's home and the record directories are new, and so are two directories above the root."""
    words, environment, graph = laboratory.command("import-first")
    above = os.path.dirname(graph)
    shutil.rmtree(above)
    os.makedirs(os.path.join(above, "tmp"))
    nested = os.path.join(above, "a", "b", "graph")
    trace = os.path.join(laboratory.work, "trace")

    for command in (words, [*words[:3], *laboratory.words(COMMANDS["load"])]):
        durability.traced([word.replace(graph, nested) for word in command], environment, trace)
        assert durability.judge(trace, os.path.join(above, "a")) == []


def test_directories_that_a_killed_process_made_are_on_the_disk_before_the_first_record(laboratory: Laboratory) -> None:
    """The killed process may not have synced them, and the next one must not rely on that."""
    words, environment, graph = laboratory.command("import-first")
    trace, home = os.path.join(laboratory.work, "trace"), os.path.join(graph, laboratory.driver)
    shutil.rmtree(graph)
    os.mkdir(graph)
    made = [home, f"{home}-layers", *([f"{home}/dir"] if laboratory.driver == "vfs" else [f"{home}/l"])]

    durability.traced(
        ["sh", "-c", 'mkdir "$1" "$2" "$3" && shift 3 && exec "$@"', "sh", *made, *words], environment, trace
    )

    # The first record file is empty, so it refers to nothing in them.
    assert [line for line in durability.judge(trace, graph) if line.startswith("in the end")] == []


def test_a_repair_and_its_undoing_survive_a_power_cut(laboratory: Laboratory) -> None:
    """Moved files, and the journal that lists them, are on disk before anything replaces them."""
    _, _, graph = laboratory.command("import-first")
    damage(graph, laboratory.driver)
    os.mkdir(os.path.join(graph, f"{laboratory.driver}-layers", "backup"))
    if laboratory.driver == "overlay":
        shutil.rmtree(os.path.join(graph, "overlay", "top", "work"))

    assert durability.judge(traced(laboratory, ["repair", "--yes"]), graph) == []

    (case,) = (name for name in os.listdir(os.path.join(graph, "cstore-quarantine")) if name != "lock")
    assert durability.judge(traced(laboratory, ["repair", "--yes", "--undo", case]), graph) == []

    assert durability.judge(traced(laboratory, ["gc", "--foreign"]), graph) == []


def test_a_layer_that_is_made_anew_leaves_the_old_one_in_quarantine_for_sure(laboratory: Laboratory) -> None:
    """The exchange is the last step that touches the case, so no later step syncs its directory."""
    _, _, graph = laboratory.command("import-first")
    tree = "overlay/top/diff" if laboratory.driver == "overlay" else "vfs/dir/top"
    shutil.rmtree(os.path.join(graph, tree))
    os.mkdir(os.path.join(graph, tree))
    os.unlink(os.path.join(graph, f"{laboratory.driver}-layers", "top.tar-split.gz"))
    repair = ["repair", "--yes", "--from", "{inputs}/change"]

    assert durability.judge(traced(laboratory, repair), graph) == []

    (case,) = (name for name in os.listdir(os.path.join(graph, "cstore-quarantine")) if name != "lock")
    assert durability.judge(traced(laboratory, ["repair", "--yes", "--undo", case]), graph) == []


def test_a_file_that_cannot_be_linked_into_quarantine_is_copied_there_for_sure(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    """Image records may be on another file system than the graph root."""
    _, _, graph = laboratory.command("import-first")
    images = os.path.join(graph, f"{laboratory.driver}-images")
    damage(graph, laboratory.driver)
    shutil.copytree(images, tmp_path / "images")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "none", images], check=True)
    try:
        shutil.copytree(tmp_path / "images", images, dirs_exist_ok=True)
        trace = traced(laboratory, ["repair", "--yes"])
    finally:
        detach_all(images)

    assert durability.judge(trace, graph) == []
    with open(trace, encoding="utf-8", errors="replace") as file:
        assert "-images.json" in file.read()


def test_a_file_gets_its_name_for_sure_where_there_are_no_files_without_names(
    laboratory: Laboratory, tmp_path: Path
) -> None:
    """On such file systems, for example of fuse-overlayfs, a copy has a temporary name until it is complete."""
    if laboratory.driver == "overlay":
        pytest.skip("the driver has no part in it")
    if shutil.which("fuse-overlayfs") is None or not os.path.exists("/dev/fuse"):
        pytest.skip("no fuse-overlayfs, or no FUSE here")
    laboratory.command("save")
    host = tmp_path / "host"
    for name in ("lower", "upper", "work", "host"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    subprocess.run(["fuse-overlayfs", "-o", options, str(host)], check=True)
    try:
        trace = traced(laboratory, ["copy", "base:/a/b/g", f"{host}/file"])
    finally:
        detach_all(str(host))

    assert durability.judge(trace, str(host)) == []
    with open(trace, encoding="utf-8", errors="replace") as file:
        assert ".copy-" in file.read()


def test_the_model_knows_what_is_missing() -> None:
    """The model reports each step that is left out: the sync of a file, of a directory, of a new one, and the token."""
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
