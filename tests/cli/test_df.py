"""df: what takes up the space, for scripts, in JSON and for people."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

TREE = "f" * 64
"""A directory as tools make them, which no record owns."""


def du(path: str) -> int:
    """The bytes that du counts in a directory."""
    done = subprocess.run(["du", "-sx", "--block-size=1", path], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


@pytest.fixture
def furnished(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """A store with two images that share a layer, a container of one of them, and a layer that is nobody's."""
    for name, size in (("base", 40_000), ("app", 90_000), ("tool", 20_000), ("spare", 5000)):
        archive = tmp_path / f"{name}.tar"
        archive.write_bytes(make_tar(directory("d"), regular(f"d/{name}", b"x" * size)))
        parent = ["base"] if name in {"app", "tool"} else []
        cli("import-layer", "-n", name, "-f", str(archive), *parent).ok()
    for name in ("app", "tool"):
        cli("create-image", "-n", f"{name}-image", name).ok()
    cli("create-container", "-n", "web", "app-image").ok()
    return cli


def lines_of(cli: CommandLine) -> list[list[str]]:
    """What df says of everything, in fields."""
    return [line.split("\t") for line in cli("df", "-v").ok().lines]


def test_the_lines_add_up_to_what_du_says(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """Every byte is in exactly one line, and nothing is left over."""
    *lines, total = lines_of(furnished)

    assert sum(int(line[1]) for line in lines) == int(total[1]) == int(total[2]) == du(store_roots.graph)
    assert total[0] == "total"
    assert {line[0] for line in lines} >= {"image", "container", "layer", "data", "records", "directory"}


def test_shared_and_unique_bytes_are_told_apart(furnished: CommandLine) -> None:
    """What two images need is shared by both; the size is the sum; nothing is negative."""
    found = {line[6]: [int(number) for number in line[1:5]] for line in lines_of(furnished)[:-1] if line[6]}

    for _, size, shared, unique in found.values():
        assert size == shared + unique
        assert min(shared, unique) >= 0
    disk, size, shared, unique = found["base"]
    assert (shared, unique) == (size, 0)
    assert disk >= 40_000
    assert found["app-image"][2] == found["tool-image"][2] == size
    assert found["app-image"][3] >= 90_000 + found["base"][0]  # of this driver, a tree holds all below
    assert found["spare"][2] == 0


def test_what_nobody_knows_is_named(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """An orphan, a stranger's directory and Podman's volumes have lines of their own, with their paths."""
    for path in (store_roots.tree(TREE), store_roots.tree("backup"), f"{store_roots.graph}/volumes/v1"):
        os.makedirs(path)
        with open(os.path.join(path, "file"), "wb") as file:
            file.write(b"x" * 10_000)

    found = {line["path"]: line for line in furnished("df", "-vj").ok().json["lines"] if "path" in line}

    assert found[store_roots.tree(TREE)]["kind"] == "orphan"
    assert found[store_roots.tree("backup")]["kind"] == "foreign"
    assert found[f"{store_roots.graph}/volumes"]["note"] == "Podman's volumes"
    assert all(line["disk"] >= 10_000 for line in found.values())


def test_without_options_the_records_answer(furnished: CommandLine) -> None:
    """Images, containers and layers are counted and added up, and it says what was not read."""
    told = furnished("df").ok()
    found = {line.split("\t")[0]: line.split("\t")[1:] for line in told.lines}
    document = furnished("df", "-j").ok().json

    assert found["image"][:2] == ["2", "1"]
    assert found["layer"][:2] == ["5", "4"]
    assert len(found["file-system"]) == 4
    assert "were not read (cstore df -v reads them)" in told.err
    assert [each["kind"] for each in document["sums"]] == ["image", "container", "layer"]
    assert document["version"] == 1
    assert document["file_system"]["size"] >= document["file_system"]["used"] > 0


def test_nothing_is_written(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """No file, no time and no lock of the store changes."""

    def state() -> list[tuple[str, int, int]]:
        walk = os.walk(store_roots.graph)
        paths = [os.path.join(top, name) for top, folders, files in walk for name in folders + files]
        return sorted((path, os.lstat(path).st_mtime_ns, os.lstat(path).st_atime_ns) for path in paths)

    before = state()
    furnished("df", "-v").ok()
    furnished("df").ok()

    assert state() == before


def test_no_store_and_an_empty_one(cli: CommandLine, store_roots: StoreRoots) -> None:
    """Where nothing is, nothing is counted, and nothing is made."""
    told = cli("df", "-v").ok()

    assert told.lines == ["total\t0\t0\t-\t-\t-\t"]
    assert not os.path.exists(store_roots.graph)
    assert cli("df").ok().lines[0] == "image\t0\t0\t0\t0"


def test_a_damaged_store_is_counted_all_the_same(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """The bytes are right, what cannot be told is called unknown, and the damage is named with exit 1."""
    with open(store_roots.records, "wb") as file:
        file.write(b"[{")
    told = furnished("df", "-v")
    *lines, total = [line.split("\t") for line in told.lines]

    assert told.code == 1
    assert "layers.json" in told.err
    assert sum(int(line[1]) for line in lines) == int(total[1]) == du(store_roots.graph)
    assert [line[0] for line in lines].count("unknown") >= 5
    assert "orphan" not in {line[0] for line in lines}
    assert furnished("df").code == 1


def test_hostile_names_do_not_break_lines(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """A name with a newline and an escape sequence is spelled out."""
    os.mkdir(f"{store_roots.graph}/evil\n\x1b[31mred")
    furnished("add-names", "-n", "new\nline", "spare").ok()
    told = furnished("df", "-v").ok()

    assert all(line.count("\t") == 6 for line in told.lines)
    assert "\x1b" not in told.out
    assert json.dumps(furnished("df", "-vj").ok().json).count("evil") == 1


def test_words_that_make_no_sense(cli: CommandLine) -> None:
    """Items are for --freed-by, which needs some."""
    assert cli("df", "base").code == 1
    assert cli("df", "--freed-by").code == 1


def test_a_separate_image_store_counts(bare_cli: CommandLine, store_roots: StoreRoots, tmp_path: Path) -> None:
    """Both roots are read, and what goes is foretold in both."""
    images = str(tmp_path / "images")
    options = (*store_roots.options, "--image-store", images)
    archive = tmp_path / "a.tar"
    archive.write_bytes(make_tar(regular("a", b"x" * 70_000)))
    bare_cli(*options, "import-layer", "-r", "-n", "base", "-f", str(archive)).ok()
    bare_cli(*options, "create-image", "-n", "img", "base").ok()
    bare_cli(*options, "create-container", "-n", "web", "img").ok()

    *lines, total = [line.split("\t") for line in bare_cli(*options, "df", "-v").ok().lines]
    before = du(store_roots.graph) + du(images)
    assert sum(int(line[1]) for line in lines) == int(total[1]) == before
    freed = int(bare_cli(*options, "rm", "-f", "img").ok().lines[-1].split("\t")[2])
    assert freed >= 2 * 70_000  # with this driver the container has a copy
    assert before - du(store_roots.graph) - du(images) == pytest.approx(freed, abs=8192)  # but for record files


def test_quarantine_and_hard_links(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """What repairs took out has a line; a file with names in two layers counts once, and is freed with both."""
    path = store_roots.tree("mine")
    os.makedirs(path)
    with open(f"{path}/file", "wb") as file:
        file.write(b"x" * 50_000)
    furnished("gc", "--foreign", "--yes").ok()
    base, spare = (furnished("layer", "-j", name).ok().json[0]["id"] for name in ("base", "spare"))
    with open(f"{store_roots.tree(spare)}/linked", "wb") as file:
        file.write(b"y" * 60_000)
    os.link(f"{store_roots.tree(spare)}/linked", f"{store_roots.tree(base)}/link")

    *lines, total = lines_of(furnished)

    assert sum(int(line[1]) for line in lines) == int(total[1]) == du(store_roots.graph)
    assert next(int(line[1]) for line in lines if line[0] == "quarantine") >= 50_000
    assert int(furnished("df", "--freed-by", "spare").ok().lines[0]) < 60_000
