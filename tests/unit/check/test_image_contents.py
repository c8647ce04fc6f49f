"""The image of a composefs layer and the contents beside it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.check.image_contents import content_problems, contents_named, image_flaw
from cstore.layout import COMPOSEFS_IMAGE
from tests.builders import composefs_layer, flip_byte_of
from tests.unit.check.tables import identifier, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of a composefs layer."""
    return composefs_layer(str(tmp_path_factory.mktemp("composefs")))


@pytest.fixture
def layer(sound: str, tmp_path: Path) -> str:
    """A copy of it, to be damaged."""
    return shutil.copytree(sound, str(tmp_path / "layer"))


def problems(layer: str) -> list[tuple[str, str]]:
    """Kind and path of each problem with contents."""
    return [(kind, part) for kind, part, *_ in content_problems(os.path.join(layer, COMPOSEFS_IMAGE))]


def test_a_sound_layer(layer: str) -> None:
    """Each content is what its name says, and some file has it; that of no bytes may be there, too."""
    write(os.path.join(layer, "diff/e3/b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"), b"")

    assert problems(layer) == []
    assert image_flaw(os.path.join(layer, COMPOSEFS_IMAGE)) == ""


def test_contents_that_are_gone_changed_or_nobodys(layer: str) -> None:
    """Told by the file that has them; what no file has, by its own name."""
    named = contents_named(os.path.join(layer, COMPOSEFS_IMAGE))
    (gone, of_gone), (changed, of_changed) = list(named.items())[:2]
    os.unlink(os.path.join(layer, "diff", gone))
    flip_byte_of(os.path.join(layer, "diff", changed))
    stray = identifier("stray")
    write(os.path.join(layer, "diff", stray[:2], stray[2:]), b"")

    assert sorted(problems(layer)) == sorted(
        [
            ("file-missing", os.fsdecode(of_gone)), ("file-changed", os.fsdecode(of_changed)),
            ("file-unexpected", f"{stray[:2]}/{stray[2:]}"),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("instead", ["link", "directory"])
def test_a_content_that_is_no_file_is_none(layer: str, instead: str) -> None:
    """A link to a file with the right bytes is still no content: nothing is followed."""
    name, path = next(iter(contents_named(os.path.join(layer, COMPOSEFS_IMAGE)).items()))
    full = os.path.join(layer, "diff", name)
    os.rename(full, os.path.join(layer, "aside"))
    if instead == "link":
        os.symlink(os.path.join(layer, "aside"), full)
    else:
        os.mkdir(full)

    assert ("file-changed", os.fsdecode(path)) in problems(layer)


def test_an_image_that_makes_no_sense(layer: str) -> None:
    """A sentence says what is wrong with it; an image that can be read has none."""
    path = os.path.join(layer, COMPOSEFS_IMAGE)
    os.truncate(path, 100)

    assert image_flaw(path)
