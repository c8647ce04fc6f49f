"""What the Go tool's command line does wrong, done right here: cases that no other test of a command has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import compress, make_tar, paths_below, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

LAYER = make_tar(regular("greeting", b"hello"), regular("odd", b"o" * 1500))
PADDING = 512 - 1500 % 512


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """The tar of a layer, as a file."""
    path = tmp_path / "layer.tar"
    path.write_bytes(LAYER)
    return str(path)


@pytest.fixture
def lender(bare_cli: CommandLine, tmp_path: Path, archive: str) -> list[str]:
    """Options of a vfs store that reads another one: with an image `lent` of two layers, `low` and `high`."""
    other = ["--graph", str(tmp_path / "other"), "--run", str(tmp_path / "other-run"), "-s", "vfs"]
    bare_cli(*other, "import-layer", "-i", "low", "-f", archive).ok()
    bare_cli(*other, "import-layer", "-i", "high", "-f", archive, "low").ok()
    bare_cli(*other, "create-image", "-i", "lent", "high").ok()
    mine = ["--graph", str(tmp_path / "graph"), "--run", str(tmp_path / "run"), "-s", "vfs"]
    return [*mine, "--storage-opt", f"vfs.imagestore={tmp_path / 'other'}"]


def written(path: Path, text: str) -> str:
    """A configuration file with that text."""
    path.write_text(text)
    return str(path)


# ── removal ──


@pytest.mark.parametrize("word", ["base", "called", "ba"])
def test_a_layer_in_use_stays_by_whatever_word_it_is_named(cli: CommandLine, word: str) -> None:
    """The peer looks for users of the word itself, and deletes what they stand on."""
    cli("create-layer", "-i", "base", "-n", "called").ok()
    cli("create-image", "-i", "pear", "base").ok()

    assert cli("delete-layer", word).code == 1
    cli("create-container", "-i", "box", "pear").ok()
    assert cli("delete-layer", word).code == 1
    assert cli("check").ok().out == ""


# ── mounts ──


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("word", ["called", "ba"])
def test_a_layer_is_mounted_and_unmounted_by_whatever_word_names_it(
    bare_cli: CommandLine, tmp_path: Path, word: str
) -> None:
    """The peer fails to mount it, and forgets the mount of an overlay instead of taking it away."""
    options = ["--graph", str(tmp_path / "graph"), "--run", str(tmp_path / "run"), "-s", "overlay"]
    bare_cli(*options, "create-layer", "-i", "base", "-n", "called").ok()
    path = bare_cli(*options, "mount", word).ok().out.strip()
    assert os.path.ismount(path)

    assert bare_cli(*options, "unmount", word).ok().lines == [f"{word} mountpoint unmounted"]

    assert not os.path.ismount(path)
    bare_cli(*options, "shutdown").ok()


@pytest.mark.usefixtures("needs_root")
def test_an_image_of_an_additional_store_can_be_mounted(
    bare_cli: CommandLine, lender: list[str], tmp_path: Path
) -> None:
    """The peer does not know its layer then."""
    path = bare_cli(*lender, "mount", "-r", "lent").ok().out.strip()

    assert os.path.samefile(path, tmp_path / "other/vfs/dir/high")
    assert os.statvfs(path).f_flag & os.ST_RDONLY
    assert bare_cli(*lender, "unmount", "lent").ok().out == ""


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("command", ["check", "gc"])
def test_upkeep_leaves_mounted_what_others_mounted(bare_cli: CommandLine, tmp_path: Path, command: str) -> None:
    """The peer takes every layer away from whoever uses it."""
    options = ["--graph", str(tmp_path / "graph"), "--run", str(tmp_path / "run"), "-s", "overlay"]
    bare_cli(*options, "create-layer", "-i", "used").ok()
    path = bare_cli(*options, "mount", "used").ok().out.strip()
    try:
        told = bare_cli(*options, command).ok()

        assert (told.out, told.err) == ("", "")
        assert os.path.ismount(path)
        assert bare_cli(*options, "mounted", "used").ok().lines == ["used mounted"]
    finally:
        bare_cli(*options, "unmount", "-f", "used").ok()
        bare_cli(*options, "shutdown", "-f").ok()


# ── contents ──


@pytest.mark.parametrize("kind", ["xz", "bzip2"])
def test_a_layer_comes_out_in_the_compression_in_which_it_came_in(cli: CommandLine, tmp_path: Path, kind: str) -> None:
    """The peer cannot write xz or bzip2, and gives no layer out at all."""
    source, target, plain = tmp_path / "in", tmp_path / "out", tmp_path / "plain"
    source.write_bytes(compress(LAYER, kind))
    cli("import-layer", "-i", "packed", "-f", str(source)).ok()

    cli("diff", "-f", str(target), "packed").ok()
    cli("diff", "-u", "-f", str(plain), "packed").ok()

    assert target.read_bytes()[:3] == source.read_bytes()[:3]
    assert plain.read_bytes() == LAYER
    cli("import-layer", "-i", "again", "-f", str(target)).ok()
    assert (
        cli("layer", "-j", "again").ok().json[0]["diff-digest"] == cli("layer", "-j", "packed").json[0]["diff-digest"]
    )


def test_changes_that_cannot_be_read_to_the_end_leave_the_layer_as_it_was(
    cli: CommandLine, store_roots: StoreRoots, tmp_path: Path, archive: str
) -> None:
    """The peer leaves the entries that came before the end."""
    cut = tmp_path / "cut.tar"
    cut.write_bytes(LAYER[:-2000])
    cli("create-layer", "-i", "fresh").ok()
    cli("import-layer", "-i", "filled", "-f", archive).ok()
    before = [cli("layers", "-j").ok().json, sorted(paths_below(os.fsencode(store_roots.tree("filled"))))]

    for layer in ("fresh", "filled"):
        assert cli("applydiff", "-f", str(cut), layer).code == 1

    assert [cli("layers", "-j").ok().json, sorted(paths_below(os.fsencode(store_roots.tree("filled"))))] == before
    assert os.listdir(store_roots.tree("fresh")) == []


def test_a_layer_is_not_made_of_a_directory_that_is_not_there(
    bare_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped path gives an empty layer with the peer."""
    text = '[storage]\ndriver = "overlay"\n[storage.options]\npull_options = {enable_partial_images = "true"}\n'
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", written(tmp_path / "own.conf", text))
    options = ["--graph", str(tmp_path / "graph"), "--run", str(tmp_path / "run"), "-s", "overlay"]

    told = bare_cli(*options, "applydiff-using-staging-dir", "new", str(tmp_path / "missing"))

    assert told.code == 1
    assert f"{tmp_path / 'missing'}" in told.err
    assert bare_cli(*options, "layers").ok().lines == []


@pytest.mark.parametrize("kept", [0, 10, PADDING - 1])
def test_an_archive_that_ends_within_its_last_padding_is_kept_to_the_byte(
    cli: CommandLine, tmp_path: Path, kept: int
) -> None:
    """The peer gives fewer bytes back than it took, and finds its own layer damaged."""
    source, target = tmp_path / "in.tar", tmp_path / "out.tar"
    source.write_bytes(LAYER[: 3 * 512 + 1500 + kept])
    cli("import-layer", "-i", "short", "-f", str(source)).ok()
    cli("create-image", "-i", "user", "short").ok()

    cli("diff", "-f", str(target), "short").ok()

    assert target.read_bytes() == source.read_bytes()
    assert cli("check").ok().out == ""


# ── settings ──


@pytest.mark.parametrize("place", ["before", "after"])
def test_an_option_changes_what_it_names_and_leaves_the_rest_of_the_configuration(
    bare_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """With the peer, any option before the command forgets the configuration, and variables in it stay literal."""
    text = f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/configured"\nrunroot = "$HOME/run"\n'
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", written(tmp_path / "own.conf", text))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def status(*options: str) -> list[str]:
        words = [*options, "status"] if place == "before" else ["status", *options]
        return bare_cli(*words).ok().err.splitlines()

    usual = [f"Root: {tmp_path}/configured", f"Run Root: {tmp_path}/home/run", "Driver Name: vfs"]
    assert status("-s", "vfs")[:3] == usual
    assert status("--transient-store")[:3] == usual
    assert status("--graph", str(tmp_path / "g"))[:3] == [f"Root: {tmp_path}/g", *usual[1:]]
    assert status("--run", str(tmp_path / "r"))[:3] == [usual[0], f"Run Root: {tmp_path}/r", usual[2]]


def test_a_store_of_vfs_that_is_passed_over_is_told_of(
    cli: CommandLine, bare_cli: CommandLine, store_roots: StoreRoots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer makes an overlay store beside it without a word; `driver_priority` finds it in both."""
    cli("create-layer", "-i", "old").ok()
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", written(tmp_path / "own.conf", ""))
    roots = ["--graph", store_roots.graph, "--run", store_roots.run]

    listed = bare_cli(*roots, "layers", "-q").ok()
    assert listed.lines == []
    assert "holds a store of vfs" in listed.err
    own = written(tmp_path / "own.conf", "[storage]\ndriver_priority = ['overlay', 'vfs']\n")
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", own)
    bare_cli(*roots, "create-layer", "-i", "new").ok()

    assert bare_cli(*roots, "layers", "-q").ok().lines == ["old", "new"]
    assert not [name for name in os.listdir(store_roots.graph) if name.startswith("overlay")]


def test_a_separate_image_store_may_be_named_from_the_current_directory(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer finds a part of it only."""
    monkeypatch.chdir(tmp_path)
    cli("--image-store", "images", "create-layer", "-i", "base").ok()
    cli("--image-store", "images", "create-image", "-i", "pear", "base").ok()

    monkeypatch.chdir("/")
    assert cli("--image-store", str(tmp_path / "images"), "images", "-q").ok().lines == ["pear"]


def test_a_store_is_not_its_own_image_store(cli: CommandLine, store_roots: StoreRoots) -> None:
    """The peer waits for a lock of its own, for ever."""
    told = cli("--image-store", store_roots.graph, "create-layer")

    assert told.code == 1
    assert "must be another directory than the graph root" in told.err


# ── additional stores ──


@pytest.mark.usefixtures("needs_root")
def test_layers_above_those_of_an_additional_store_are_whole(
    bare_cli: CommandLine, lender: list[str], archive: str
) -> None:
    """The peer finds their parents missing, and its repair deletes them and their images."""
    bare_cli(*lender, "import-layer", "-i", "mine", "-f", archive, "high").ok()
    bare_cli(*lender, "create-image", "-i", "own", "mine").ok()

    assert bare_cli(*lender, "check").ok().out == ""
    assert bare_cli(*lender, "check", "-r").ok().out == ""
    assert bare_cli(*lender, "images", "-q").ok().lines == ["own", "lent"]


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_an_additional_store_that_is_not_there_is_refused(bare_cli: CommandLine, tmp_path: Path, driver: str) -> None:
    """The peer makes one out of a mistyped path with vfs."""
    roots = ["--graph", str(tmp_path / "graph"), "--run", str(tmp_path / "run"), "-s", driver]

    told = bare_cli(*roots, "--storage-opt", f"{driver}.imagestore={tmp_path / 'mistyped'}", "create-layer")

    assert told.code == 1
    assert f"{tmp_path / 'mistyped'} is not a directory" in told.err
    assert not (tmp_path / "mistyped").exists()
