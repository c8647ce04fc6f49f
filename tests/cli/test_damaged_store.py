"""A damaged store: every command answers with sentences, exit code 1 and no traceback, and nothing is made worse."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import listing, make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots


def _path(roots: StoreRoots, name: str) -> str:
    path = os.path.join(roots.run if name.startswith("RUN/") else roots.graph, name.removeprefix("RUN/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def _write(name: str, text: str) -> Callable[[StoreRoots], None]:
    """Put a file there, in place of one that may be there."""

    def damage(roots: StoreRoots) -> None:
        with open(_path(roots, name), "w", encoding="utf-8") as file:
            file.write(text)

    return damage


def _directory(name: str) -> Callable[[StoreRoots], None]:
    """Put a directory where a file should be."""

    def damage(roots: StoreRoots) -> None:
        path = _path(roots, name)
        if os.path.exists(path):
            os.unlink(path)
        os.mkdir(path)

    return damage


def _file(name: str) -> Callable[[StoreRoots], None]:
    """Put a file where a directory should be; the directory is kept beside it."""

    def damage(roots: StoreRoots) -> None:
        path = _path(roots, name)
        if os.path.isdir(path):
            os.rename(path, path + ".aside")
        _write(name, "text")(roots)

    return damage


def _link(name: str) -> Callable[[StoreRoots], None]:
    """Put a link to somewhere else where a directory should be; the directory is kept beside it."""

    def damage(roots: StoreRoots) -> None:
        path = _path(roots, name)
        os.rename(path, path + ".aside")
        os.symlink("/etc", path)

    return damage


def _field(key: str, value: object) -> Callable[[StoreRoots], None]:
    """Change one field of the first layer."""

    def damage(roots: StoreRoots) -> None:
        with open(roots.records, encoding="utf-8") as file:
            records = json.load(file)
        records[0][key] = value
        with open(roots.records, "w", encoding="utf-8") as file:
            json.dump(records, file, separators=(",", ":"))

    return damage


DAMAGES = {
    "layers.json is cut": _write("vfs-layers/layers.json", '[{"id":"base","created":"2026-01-01T00:0'),
    "layers.json is empty": _write("vfs-layers/layers.json", ""),
    "layers.json is a directory": _directory("vfs-layers/layers.json"),
    "layers.json is missing": lambda roots: os.unlink(roots.records),
    "layers.lock is a directory": _directory("vfs-layers/layers.lock"),
    "layers.lock is missing": lambda roots: os.unlink(_path(roots, "vfs-layers/layers.lock")),
    "storage.lock is a directory": _directory("storage.lock"),
    "images.json is cut": _write("vfs-images/images.json", '[{"id":'),
    "images.json is a directory": _directory("vfs-images/images.json"),
    "the image directory is a file": _file("vfs-images"),
    "containers.json is cut": _write("vfs-containers/containers.json", '[{"id":"c","image":"","layer":"own","names":['),
    "the container directory is a file": _file("vfs-containers"),
    "mountpoints.json is cut": _write("RUN/vfs-layers/mountpoints.json", '[{"id":"base","path":'),
    "mountpoints.json is hostile": _write(
        "RUN/vfs-layers/mountpoints.json",
        '[{"id":"base","path":"//etc","count":3},{"id":"../..","path":"x","count":1}]',
    ),
    "mountpoints.json is a directory": _directory("RUN/vfs-layers/mountpoints.json"),
    "the run root is a file": _file("RUN/vfs-layers"),
    "the layer directory is a file": _file("vfs-layers"),
    "the staging directory is a file": _file("vfs-layers/tmp"),
    "the driver's staging directory is a file": _file("cstore-staging"),
    "the driver's home is a file": _file("vfs"),
    "the trees are a file": _file("vfs/dir"),
    "a tree is a file": _file("vfs/dir/base"),
    "a tree is a link": _link("vfs/dir/base"),
    "a tar-split file is a directory": _directory("vfs-layers/base.tar-split.gz"),
    "a tar-split file is text": _write("vfs-layers/base.tar-split.gz", "text"),
    "a data directory is a file": _file("vfs-layers/base"),
    "a data item is a directory": _directory("vfs-layers/base/key"),
    "a journal is a directory": _directory("vfs-layers/base.replacing.json"),
    "a parent leads out of the store": _field("parent", "../../../../../etc"),
    "a parent is unknown": _field("parent", "nobody"),
    "a layer is its own parent": _field("parent", "base"),
    "an ID leads out of the store": _field("id", "../../../outside"),
    "an ID is that of a lock": _field("id", "layers.lock"),
    "a compression is none": _field("compression", 99),
    "an ID map is nonsense": _field("uidmap", [{"container_id": -1, "host_id": -(2**40), "size": -3}]),
    "a size is wrong": _field("diff-size", 5),
    "sizes and digests are nonsense": _field("diff-digest", "\u2028x"),
}

COMMANDS = (
    "layers",
    "layers --tree",
    "layers --json",
    "layer base",
    "storage-layers",
    "exists base",
    "get-names base",
    "metadata base",
    "list-layer-data base",
    "get-layer-data base key",
    "set-layer-data -f {input} base key",
    "changes base",
    "diff -u base",
    "diff base",
    "diffsize base",
    "mounted base",
    "mount base",
    "unmount base",
    "layer-parent-owners base",
    "add-names -n another base",
    "set-metadata -m text base",
    "create-layer",
    "create-layer base",
    "create-storage-layer",
    "import-layer -f {archive}",
    "applydiff -f {archive} base",
    "gc --dry-run",
    "gc",
    "delete-layer base",
    "delete base",
    "shutdown",
    "wipe",
    "status",
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The files that commands read."""
    archive, data = tmp_path / "archive.tar", tmp_path / "input"
    archive.write_bytes(make_tar(regular("file", b"text")))
    data.write_bytes(b"value")
    return {"archive": str(archive), "input": str(data)}


@pytest.fixture
def damaged(
    request: pytest.FixtureRequest, cli: CommandLine, store_roots: StoreRoots, files: dict[str, str], tmp_path: Path
) -> CommandLine:
    """A store with a layer `base` that has everything a layer can have, and one kind of damage."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("text", encoding="utf-8")
    cli("import-layer", "-i", "base", "-f", files["archive"]).ok()
    cli("create-layer", "-i", "own").ok()
    cli("set-layer-data", "-f", files["input"], "base", "kept").ok()
    DAMAGES[request.param](store_roots)
    return cli


@pytest.mark.parametrize("damaged", DAMAGES, indirect=True)
def test_no_damage_is_a_traceback_to_any_command(damaged: CommandLine, files: dict[str, str], tmp_path: Path) -> None:
    """Each succeeds, or fails with exit code 1 and sentences; nothing outside the store is touched.

    The commands run one after the other, so that each also meets what those before it have made of the damage.
    """
    for line in COMMANDS:
        told = damaged(*line.format(**files).split())
        assert told.code in {0, 1}, f"{line}: {told.err}"
        assert "internal error" not in told.err, f"{line}: {told.err}"
        assert "Traceback" not in told.err, f"{line}: {told.err}"
        assert told.code == 0 or told.err or line == "exists base", f"{line} fails in silence"
    assert (tmp_path / "outside" / "file").read_text(encoding="utf-8") == "text"


REFUSING = {
    "layers.json is cut": "gc|wipe|create-layer|import-layer -f {archive}|delete base|delete-layer base|mount base",
    "layers.json is empty": "gc|gc --dry-run|wipe|create-layer|delete base|set-metadata -m text base|mount base",
    "layers.json is a directory": "gc|wipe|create-layer|delete base",
    "layers.json is missing": "gc|gc --dry-run|wipe|create-layer|import-layer -f {archive}",
    "images.json is cut": "gc|wipe|delete-layer base|delete base",
    "images.json is a directory": "gc|wipe|delete-layer base|delete base",
    "containers.json is cut": "gc|wipe|delete-layer base|delete base|mount base|create-layer base",
    "mountpoints.json is cut": "mount base|unmount base|delete base|delete-layer base|wipe|shutdown",
}


@pytest.mark.parametrize(
    ("damaged", "line"),
    [(damage, line) for damage, lines in REFUSING.items() for line in lines.split("|")],
    indirect=["damaged"],
)
def test_what_needs_the_damaged_file_changes_nothing(
    damaged: CommandLine, line: str, files: dict[str, str], store_roots: StoreRoots
) -> None:
    """One sentence that names the file; all trees, records and data are as they were."""
    before = _kept(store_roots)
    told = damaged(*line.format(**files).split())

    assert told.code == 1
    assert told.err.count("\n") == 1, told.err
    assert ".json is damaged" in told.err
    assert _kept(store_roots) == before


def _kept(roots: StoreRoots) -> dict[str, str]:
    return {
        path: kind
        for path, kind in listing(roots.graph).items()
        if not path.endswith((".lock", "tmp", "vfs-images", "vfs-containers"))
    }


WORKING = {
    "images.json is cut": "layer base|diff base|add-names -n another base|create-layer base|import-layer -f {archive}",
    "images.json is a directory": "layer base|create-layer|mount base|exists base",
    "containers.json is cut": "layer base|diff base|add-names -n another base|create-layer|import-layer -f {archive}",
    "mountpoints.json is cut": "layers|layer base|diff base|create-layer base|import-layer -f {archive}|gc",
    "mountpoints.json is hostile": "layers|mount base|unmount base|delete base|wipe",
    "a parent is unknown": "layers|layer base|delete-layer base|add-names -n another base|gc",
    "an ID leads out of the store": "layers|create-layer|import-layer -f {archive}|delete ../../../outside|wipe",
    "a tar-split file is a directory": "layers|applydiff -f {archive} base|delete base",
    "a tree is a link": "layers|delete base|delete-layer base",
    "a data directory is a file": "diff base|delete base",
}


@pytest.mark.parametrize(
    ("damaged", "line"),
    [(damage, line) for damage, lines in WORKING.items() for line in lines.split("|")],
    indirect=["damaged"],
)
def test_what_does_not_need_the_damaged_part_works(damaged: CommandLine, line: str, files: dict[str, str]) -> None:
    """One bad part does not stop everything else."""
    told = damaged(*line.format(**files).split())
    assert told.code == 0, told.err


@pytest.mark.parametrize("line", ["mounted own", "layer own", "exists own", "set-metadata -m text own"])
def test_an_item_that_is_not_found_in_a_damaged_file_may_be_there(
    cli: CommandLine, store_roots: StoreRoots, files: dict[str, str], line: str
) -> None:
    """So the damage is told as well, whoever asks."""
    cli("import-layer", "-i", "base", "-f", files["archive"]).ok()
    cli("create-layer", "-i", "own").ok()
    with open(store_roots.records, "r+b") as file:
        file.truncate(os.path.getsize(store_roots.records) - 20)

    told = cli(*line.split())
    assert told.code == 1
    assert "layers.json is damaged" in told.err


def test_delete_does_not_take_another_item_for_one_in_a_damaged_file(cli: CommandLine, store_roots: StoreRoots) -> None:
    """A layer has the same name as a container whose record cannot be read."""
    cli("create-layer", "-i", "own").ok()
    cli("create-layer", "-i", "other", "-n", "app").ok()
    _write("vfs-containers/containers.json", '[{"id":"c","image":"","layer":"own","names":["app"')(store_roots)

    assert cli("delete", "app").code == 1
    assert cli("layers", "-q").lines == ["own", "other"]


LOOKING = (
    "layers|layer x|storage-layers|status|exists x|get-names x|metadata x|list-layer-data x|get-layer-data x k|"
    "changes x|diff x|diffsize x|mounted x|layer-parent-owners x|gc --dry-run|gc|wipe|shutdown|mount x|unmount x|"
    "delete x|delete-layer x|add-names -n a x|set-metadata -m a x|set-layer-data -f {input} x k|"
    "applydiff -f {archive} x|repair|repair --undo x"
)


@pytest.mark.parametrize("line", LOOKING.split("|"))
def test_a_store_that_does_not_exist_is_not_made_by_looking_for_something_in_it(
    cli: CommandLine, store_roots: StoreRoots, files: dict[str, str], line: str
) -> None:
    """A path that was mistyped leaves no directories behind."""
    told = cli(*line.format(**files).split())

    assert told.code == (1 if " x" in line else 0)
    assert "internal error" not in told.err
    assert not os.path.exists(store_roots.graph)
    assert not os.path.exists(store_roots.run)


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize(
    "ring", [{"base": "mid"}, {"top": "top"}, {"mid": "gone"}], ids=["two", "itself", "lost parent"]
)
def test_a_broken_chain_of_layers_is_named_by_every_answer(
    cli: CommandLine, store_roots: StoreRoots, tmp_path: Path, ring: dict[str, str]
) -> None:
    """What can be told is, with the damage beside it and exit status 1; what is sound is not concerned."""
    archive = tmp_path / "archive"
    archive.write_bytes(make_tar(regular("file", b"text")))
    for name, parent in (("base", ()), ("mid", ("base",)), ("top", ("mid",)), ("sound", ())):
        cli("import-layer", "-i", name, "-f", str(archive), *parent).ok()
    cli("create-image", "-i", "broken", "top").ok()
    cli("create-image", "-i", "whole", "sound").ok()
    with open(store_roots.records, encoding="utf-8") as file:
        records = json.load(file)
    for record in records:
        record["parent"] = ring.get(record["id"], record.get("parent", ""))
    with open(store_roots.records, "w", encoding="utf-8") as file:
        json.dump(records, file)
    damage = "layer gone, the parent of layer mid, is missing" if "mid" in ring else "is its own ancestor"

    for line in (
        "why top", "why broken", "whois top", "df", "df -v", "df --json", "rm --dry-run broken", "df --freed-by broken",
        "prune --dry-run --unused", "inspect broken", "inspect top", "ls broken", "ls --json broken",
        "cat broken:/file", "stat broken:/file", "find broken", "find --all", "compare broken whole",
        "blame broken:/file", "blame --waste", f"report -o {tmp_path}/page.html", "layers --tree",
        "layers --columns id,used-by", "layers --filter used=true", "images --columns id,size --json",
    ):  # fmt: skip
        told = cli(*line.split())

        assert told.code == 1, line
        assert damage in told.err + told.out, line
        assert told.err.count("tells more") <= 1, line
    for line in (
        "why whole",
        "rm --dry-run whole",
        "df --freed-by whole",
        "inspect whole",
        "ls whole",
        "cat whole:/file",
        "images",
        "layers --columns id,parent",
    ):
        assert damage not in cli(*line.split()).ok().err, line


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize(
    "lost",
    [
        "overlay/base/diff",
        "overlay/base",
        "overlay/base/link",
        "overlay-images/image",
        "overlay-layers/base.tar-split.gz",
    ],
)
def test_what_is_lost_from_the_disk_is_named_by_df(
    cli_on: Callable[[str], CommandLine], store_roots: StoreRoots, tmp_path: Path, lost: str
) -> None:
    """All bytes that are left are counted, and exit status 1 tells that some are not."""
    cli = cli_on("overlay")
    archive = tmp_path / "archive"
    archive.write_bytes(make_tar(regular("file", b"text")))
    cli("import-layer", "-i", "base", "-f", str(archive)).ok()
    cli("create-image", "-i", "image", "base").ok()
    cli("set-image-data", "-f", str(archive), "image", "key").ok()
    assert cli("df", "-v").ok().err == ""
    os.rename(os.path.join(store_roots.graph, lost), tmp_path / "lost")
    told = cli("df", "-v")

    assert told.code == 1
    assert "key" in told.err if "images" in lost else "layer base: " in told.err
    assert told.lines[-1].startswith("total\t")
    assert cli("df", "-v", "--json").json["complete"] is False
