"""mount, unmount, mounted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots


@pytest.fixture
def two(cli: CommandLine) -> CommandLine:
    """Two layers, one with a name."""
    cli("create-layer", "-i", "layer-one", "-n", "base").ok()
    cli("create-layer", "-i", "layer-two").ok()
    return cli


@pytest.mark.parametrize("word", ["layer-one", "base", "layer-o"])
def test_mount_prints_the_mount_point(two: CommandLine, store_roots: StoreRoots, word: str) -> None:
    """A layer is mounted by ID, name or unique prefix."""
    assert two("mount", word).ok().lines == [store_roots.tree("layer-one")]


def test_mount_prints_an_empty_line_for_a_failure(two: CommandLine, store_roots: StoreRoots) -> None:
    """Lines keep their places; the error says which word it was."""
    told = two("mount", "nope", "base")

    assert told.code == 1
    assert told.lines == ["", store_roots.tree("layer-one")]
    assert told.err == "nope: layer not known: 'nope' (see cstore layers)\n"


def test_mount_of_an_image_says_how(two: CommandLine) -> None:
    """Images are mounted by another option, which the hint gives; it works."""
    two("create-image", "--name", "app", "base").ok()

    assert "cstore mount --read-only" in two("mount", "app").err
    two("mount", "--read-only", "app").ok()
    two("unmount", "app").ok()


def test_mount_in_json(two: CommandLine, store_roots: StoreRoots) -> None:
    """One list, errors in the peer's words."""
    told = two("mount", "--json", "base", "nope")

    assert told.code == 1
    assert told.json == [
        {"id": "base", "mountpoint": store_roots.tree("layer-one"), "error": ""},
        {"id": "nope", "mountpoint": "", "error": "layer not known"},
    ]
    assert told.err == ""


def test_mount_options_are_accepted(two: CommandLine) -> None:
    """As with the peer, they change nothing."""
    assert two("mount", "-o", "nodev", "--opt=noexec", "-l", "label", "base").ok()


def test_mounts_are_counted(two: CommandLine) -> None:
    """It takes as many unmounts as mounts; a line tells the last."""
    two("mount", "base").ok()
    two("mount", "layer-one").ok()

    assert two("unmount", "base").ok().out == ""
    assert two("mounted", "base").ok().lines == ["base mounted"]
    assert two("umount", "base").ok().lines == ["base mountpoint unmounted"]
    assert two("mounted", "base").ok().out == ""


def test_force_unmounts_at_once(two: CommandLine) -> None:
    """However often it was mounted."""
    two("mount", "base", "base", "base").ok()

    assert two("unmount", "--force", "base").ok().lines == ["base mountpoint unmounted"]


def test_unmount_takes_a_mount_point(two: CommandLine, store_roots: StoreRoots) -> None:
    """What mount printed can be given back."""
    two("mount", "base").ok()
    path = store_roots.tree("layer-one")

    assert two("unmount", path).ok().lines == [f"{path} mountpoint unmounted"]
    assert two("mounted", "base").ok().out == ""


def test_unmounting_what_is_not_mounted_is_no_failure(two: CommandLine) -> None:
    """The line is printed all the same."""
    assert two("unmount", "base").ok().lines == ["base mountpoint unmounted"]


def test_unmount_in_json_prints_json_only(two: CommandLine) -> None:
    """No line of text spoils the document."""
    told = two("unmount", "-j", "base", "nope")

    assert told.code == 1
    assert told.json == [{"id": "base", "error": ""}, {"id": "nope", "error": "layer not known"}]


def test_mounted_in_json_says_whether(two: CommandLine) -> None:
    """The state is in the document."""
    two("mount", "base").ok()

    assert two("mounted", "-j", "base", "layer-two").ok().json == [
        {"id": "base", "error": "", "mounted": True},
        {"id": "layer-two", "error": "", "mounted": False},
    ]


def test_mounted_fails_for_the_unknown(two: CommandLine) -> None:
    """Not being mounted is fine, not being there is not."""
    told = two("mounted", "layer-two", "nope")

    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("nope: ")
