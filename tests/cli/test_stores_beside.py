"""Stores beside the main one: which store it is about is said plainly, with a command that works; and repair heals."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.builders import listing, make_tar, regular
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine, Told

    Store = Callable[..., Told]

pytestmark = pytest.mark.usefixtures("needs_root")

DRIVERS = ("overlay", "vfs")


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """An archive to import."""
    (tmp_path / "layer.tar").write_bytes(make_tar(regular("etc/conf", b"one")))
    return str(tmp_path / "layer.tar")


@pytest.fixture
def store_at(bare_cli: CommandLine, tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Name a store by its directory, driver and further options; give its command line."""

    def named(name: str, driver: str, *options: str) -> Store:
        roots = ("--graph", str(tmp_path / name), "--run", str(tmp_path / f"{name}-run"), "--storage-driver", driver)

        def run(*words: str) -> Told:
            return bare_cli(*roots, *options, *words)

        return run

    yield named
    detach_all(str(tmp_path))


def beside(driver: str, *stores: Path) -> list[str]:
    """The options that name additional stores."""
    return [word for store in stores for word in ("--storage-opt", f"{driver}.imagestore={store}")]


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_graph_root_as_additional_store_is_listed_once(
    store_at: Callable[..., Store], tmp_path: Path, driver: str, archive: str
) -> None:
    """However it is spelled; and whoever lists is told to take it out of the configuration."""
    os.symlink(tmp_path / "main", tmp_path / "link")
    plain = store_at("main", driver)
    plain("import-layer", "--id", "base", "--file", archive).ok()
    plain("create-image", "--id", "image", "base").ok()
    for spelled in (tmp_path / "main", tmp_path / "link", tmp_path / "main" / ".." / "main"):
        run = store_at("main", driver, *beside(driver, spelled))
        told = run("images").ok()
        assert told.lines.count("image") == 1
        assert "additionalimagestores" in told.err
        assert run("layers").ok().lines.count("base") == 1
        assert "is already in use" in run("check").ok().err


@pytest.mark.parametrize("driver", DRIVERS)
def test_damage_in_an_additional_store_is_said_to_be_there(
    store_at: Callable[..., Store], tmp_path: Path, driver: str, archive: str
) -> None:
    """By check, by repair, planned or carried out, and by mount; nothing is changed in either store."""
    other, run = store_at("other", driver), store_at("main", driver, *beside(driver, tmp_path / "other"))
    other("import-layer", "--id", "base", "--file", archive).ok()
    other("create-image", "--id", "image", "base").ok()
    run("create-layer", "--id", "own").ok()
    trees = tmp_path / "other" / driver / ("dir" if driver == "vfs" else "")
    shutil.rmtree(trees / "base")
    before = listing(str(tmp_path / "other"))
    command = f"cstore --graph {tmp_path / 'other'} --storage-driver {driver} repair"

    checked = run("check")
    assert checked.code == 1
    assert str(trees / "base") in checked.out
    assert str(tmp_path / "main" / driver) not in checked.out
    assert command in checked.err
    found = run("check", "--json").json["Findings"]
    assert [(one["store"], one["remedy"]["command"]) for one in found if one["kind"] == "layer-tree-missing"] == [
        (str(tmp_path / "other"), command)
    ]
    for words in (("--dry-run",), ("--yes",)):
        planned = run("repair", *words)
        assert planned.code == 1
        assert f"remedy: repair it there: {command}" in planned.out
    mounted = run("mount", "-r", "image")
    assert mounted.code == 1
    assert "delete-layer" not in mounted.err
    assert "cstore repair --dry-run" in mounted.err
    assert listing(str(tmp_path / "other")) == before


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_command_that_is_named_repairs_it(
    bare_cli: CommandLine, store_at: Callable[..., Store], tmp_path: Path, driver: str, archive: str
) -> None:
    """As it stands, with a source added that has what is lost."""
    other, run = store_at("other", driver), store_at("main", driver, *beside(driver, tmp_path / "other"))
    other("import-layer", "--id", "base", "--file", archive).ok()
    other("create-image", "--id", "image", "base").ok()
    shutil.rmtree(tmp_path / "other" / driver / ("dir" if driver == "vfs" else "") / "base")
    command = next(one["remedy"]["command"] for one in run("check", "--json").json["Findings"] if one["read_only"])

    program, *words = shlex.split(command)
    assert program == "cstore"
    bare_cli(*words, "--yes", "--from", archive).ok()

    assert run("check").ok().out == ""


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_store_that_is_not_configured_any_more(
    store_at: Callable[..., Store], tmp_path: Path, driver: str, archive: str
) -> None:
    """Check tells that it may be one; repair takes what is missing from it, under the same IDs, in one plan."""
    other, both = store_at("other", driver), store_at("main", driver, *beside(driver, tmp_path / "other"))
    other("import-layer", "--id", "lowest", "--file", archive).ok()
    other("import-layer", "--id", "base", "--name", "debian", "--file", archive, "lowest").ok()
    other("create-image", "--id", "image", "--name", "localhost/debian:1", "base").ok()
    other("set-image-data", "--file", archive, "image", "notes").ok()
    both("import-layer", "--id", "top", "--file", archive, "base").ok()
    both("create-image", "--id", "mine", "top").ok()
    both("create-container", "--id", "box", "image").ok()
    alone = store_at("main", driver)

    checked = alone("check")
    assert checked.code == 1
    assert "additionalimagestores" in checked.err
    assert "cstore repair --from" in checked.err
    if driver == "overlay":
        assert "--from" in alone("mount", "box").err
    assert "additional image store" in alone("mount", "-r", "mine").err

    planned = alone("repair", "--dry-run", "--from", str(tmp_path / "other"))
    assert "cannot be healed" not in planned.out
    steps = [line for line in planned.lines if line[0].isdigit()]
    healed = alone("repair", "--yes", "--from", str(tmp_path / "other")).ok()
    assert sum(line.startswith("done: ") for line in healed.lines) == len(steps)

    assert alone("check").ok().out == ""
    assert alone("image", "image").ok().out == other("image", "image").ok().out
    where = alone("mount", "box").ok().lines[0]
    with open(os.path.join(where, "etc/conf"), encoding="ascii") as file:
        assert file.read() == "one"


def test_a_source_store_of_another_driver_in_the_same_root(
    store_at: Callable[..., Store], tmp_path: Path, archive: str
) -> None:
    """Both are in one directory; what one has lost the other gives."""
    overlay, vfs = store_at("main", "overlay"), store_at("main", "vfs")
    overlay("import-layer", "--id", "base", "--file", archive).ok()
    overlay("create-image", "--id", "image", "base").ok()
    vfs("import-layer", "--id", "other", "--file", archive).ok()
    shutil.rmtree(tmp_path / "main" / "overlay" / "base")

    assert overlay("check").code == 1
    overlay("repair", "--yes", "--from", str(tmp_path / "main")).ok()
    assert "layer base" not in overlay("check").out


def test_a_check_names_the_stores_that_it_passes_over(
    bare_cli: CommandLine, store_at: Callable[..., Store], tmp_path: Path, archive: str
) -> None:
    """With the command that checks them; an empty store beside a full one is named as well."""
    overlay, vfs = store_at("main", "overlay"), store_at("main", "vfs")
    vfs("import-layer", "--id", "base", "--file", archive).ok()
    for command in ("layers", "images", "check"):
        told = overlay(command).ok()
        assert "vfs" in told.err
    overlay("create-layer").ok()

    told = overlay("check").ok()
    command = told.err[told.err.index("inspect it with: ") :].removeprefix("inspect it with: ").splitlines()[0]
    assert command == f"cstore --graph {tmp_path / 'main'} --storage-driver vfs check"
    bare_cli(*shlex.split(command)[1:]).ok()
    assert "base" not in told.out


def test_an_additional_store_that_is_not_there(store_at: Callable[..., Store], tmp_path: Path, archive: str) -> None:
    """No directory is an error; an empty one, where a disk would be mounted, is named; so is another driver's."""
    gone = store_at("main", "overlay", *beside("overlay", tmp_path / "gone"))("layers")
    assert (gone.code, str(tmp_path / "gone") in gone.err) == (1, True)

    (tmp_path / "empty").mkdir()
    told = store_at("main", "overlay", *beside("overlay", tmp_path / "empty"))("images").ok()
    assert f"{tmp_path / 'empty'} holds no overlay store; if its disk is not mounted, mount it" in told.err

    store_at("other", "vfs")("import-layer", "--file", archive).ok()
    told = store_at("main", "overlay", *beside("overlay", tmp_path / "other"))("images").ok()
    assert f"cstore --graph {tmp_path / 'other'} --storage-driver vfs images" in told.err


def test_an_image_store_that_is_not_there(store_at: Callable[..., Store], tmp_path: Path, archive: str) -> None:
    """Its images and layers are missing, not lost: whoever looks is told before anybody repairs anything."""
    run = store_at("main", "overlay", "--image-store", str(tmp_path / "images"))
    run("import-layer", "-r", "--id", "base", "--file", archive).ok()
    run("create-image", "--id", "image", "base").ok()
    run("create-container", "--id", "box", "image").ok()
    os.rename(tmp_path / "images", tmp_path / "elsewhere")
    for state in ("does not exist", "holds no store"):
        if state == "holds no store":
            (tmp_path / "images").mkdir()
        for command in ("images", "layers", "containers", "check"):
            assert f"the image store {tmp_path / 'images'} {state}" in run(command).err
        for words in (("repair", "--yes", "--remove"), ("check", "-r", "-f")):
            assert (words, run(*words).code) == (words, 1)
        assert run("containers").lines[0] == "box"

    os.rmdir(tmp_path / "images")
    os.rename(tmp_path / "elsewhere", tmp_path / "images")
    assert run("check").ok().err == ""
