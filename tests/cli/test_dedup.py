"""dedup, on stores that can share blocks and on one that cannot."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from cstore.store import NewImage, NewLayer, Store, open_store
from tests.builders import make_tar, regular
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import CommandLine, Told

SIZE = 300_000
BODY = os.urandom(SIZE)
KINDS = [("btrfs_disk", "vfs"), ("btrfs_disk", "btrfs"), ("xfs_disk", "vfs"), ("xfs_disk", "overlay")]


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[1]}-on-{kind[0][:-5]}")
def graph(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A graph root on a disk that can share blocks, and a driver for it."""
    disk, driver = request.param
    folder = tempfile.mkdtemp(dir=request.getfixturevalue(disk))
    yield os.path.join(folder, "graph"), driver
    detach_all(folder)


@pytest.fixture
def on_store(graph: tuple[str, str], bare_cli: CommandLine) -> Callable[..., Told]:
    """Run a command on a store with two images that have a large file in common, under two names."""
    root, driver = graph
    options = ["--graph", root, "--run", f"{root}-run", "--storage-driver", driver]
    archive = f"{root}.tar"
    for number in ("1", "2"):
        with open(archive, "wb") as file:
            file.write(make_tar(regular(f"name-{number}", BODY), regular("small", b"small")))
        bare_cli(*options, "import-layer", "--id", number, "--file", archive).ok()
        bare_cli(*options, "create-layer", "--id", f"child-{number}", number).ok()
    with_images(root, driver)
    return lambda *words: bare_cli(*options, *words)


def with_images(root: str, driver: str) -> None:
    from cstore.config import Overrides, load_config

    overrides = Overrides(graph_root=root, run_root=f"{root}-run", driver=driver)
    store: Store = open_store(load_config(overrides, environ={"HOME": "/nonexistent"}))
    for number in ("1", "2"):
        store.images.create(NewImage(id=f"image-{number}", layer=f"child-{number}"))
    store.layers.create(NewLayer(id="of-no-image"))


def test_predicted_then_done_then_nothing_to_do(on_store: Callable[..., Told]) -> None:
    """The plain line is the peer's, which counts earlier runs; the other figures are what is new."""
    foreseen = on_store("dedup", "--dry-run", "--json").ok().json
    first = on_store("dedup").ok()
    shared = int(first.out.split()[1])
    again = on_store("dedup", "--json", "--verbose").ok().json

    assert foreseen["Saved"] >= SIZE
    assert foreseen["Deduped"] == 0
    assert first.lines == [f"Deduplicated {shared} bytes"]
    assert shared >= SIZE
    assert again == {"Deduped": again["Deduped"], "DryRun": False, "Saved": 0, "Files": 0, "Failures": []}
    assert again["Deduped"] >= SIZE
    assert on_store("dedup", "-j").ok().json == {"Deduped": again["Deduped"]}
    assert on_store("diff", "--uncompressed", "--file", "/dev/null", "2").ok().err == ""


def test_what_is_saved_is_said_when_asked(on_store: Callable[..., Told]) -> None:
    """Bytes and files, in a second line."""
    assert on_store("dedup", "--dry-run").ok().out.startswith("Deduplication would save ")
    shared, saved = on_store("dedup", "--hash-method", "sha256", "-v").ok().lines

    assert shared.startswith("Deduplicated ")
    assert int(saved.split()[1]) >= SIZE


def test_a_person_reads_a_sentence(on_store: Callable[..., Told], monkeypatch: pytest.MonkeyPatch) -> None:
    """With sizes in units."""
    monkeypatch.setenv("CLICOLOR_FORCE", "1")

    assert "would save" in on_store("dedup", "--dry-run").ok().out
    assert on_store("dedup", "--hash-method", "size").ok().out.startswith("saved 30")
    assert "nothing to deduplicate" in on_store("dedup").ok().out


def test_a_file_system_that_cannot_share(cli: CommandLine) -> None:
    """Nothing happens, and that is no failure."""
    cli("create-layer", "--id", "a").ok()

    assert cli("dedup").ok().out == "Deduplicated 0 bytes\n"
    assert cli("dedup", "--json").ok().json == {"Deduped": 0}


def test_no_store_is_made(cli: CommandLine) -> None:
    """There is nothing to do where nothing is."""
    assert cli("dedup").ok().out == "Deduplicated 0 bytes\n"


def test_there_is_no_such_method(cli: CommandLine) -> None:
    """The peer's words, and a way out; as an object with --json."""
    told = cli("dedup", "--hash-method", "sha256sum")

    assert (told.code, told.out) == (1, "")
    assert told.err == "cstore: invalid hash method: sha256sum (choose one of: crc, size, sha256)\n"
    assert cli("dedup", "--json", "--hash-method", "sha256sum").error["message"] == "invalid hash method: sha256sum"
