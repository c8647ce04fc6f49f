"""register-image, release-image, lineage."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine

ONE = make_tar(regular("one.txt", b"first\n"))
CHAIN = f"sha256:{hashlib.sha256(ONE).hexdigest()}"
CONFIG = json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": [CHAIN]}})
CHILD = CONFIG.replace("{", '{"comment":"child",', 1)
IMAGE, OTHER = (f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" for text in (CONFIG, CHILD))


@pytest.fixture
def family(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """A layer, an image of it with a name, and an image that was made from that."""
    (tmp_path / "one").write_bytes(ONE)
    (tmp_path / "config").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "child").write_text(CHILD, encoding="utf-8")
    cli("register", "-f", str(tmp_path / "one")).ok()
    assert cli("register-image", "-n", "base:1", "-f", str(tmp_path / "config")).ok().lines == [IMAGE]
    cli("register-image", "--built-locally", "--parent", "docker.io/library/base:1", "-f", str(tmp_path / "child")).ok()
    return cli


def test_an_image_is_what_its_config_says(family: CommandLine, tmp_path: Path) -> None:
    """A second time it is the same one."""
    again = family("register-image", "-j", "-f", str(tmp_path / "config")).ok().json

    assert again == {"version": 1, "id": IMAGE[7:], "names": []}
    assert {image["id"] for image in family("images", "-j").ok().json} == {IMAGE[7:], OTHER[7:]}


def test_notes_are_shown_and_taken(family: CommandLine) -> None:
    """Of both sides of a family."""
    told = family("lineage", "--json", OTHER).ok().json
    assert (told.pop("version"), told.pop("id")) == (1, OTHER[7:])
    assert told == {"parent": IMAGE[7:], "children": [], "last_updated": "", "built_locally": True}

    above = family("lineage", "--set-built", IMAGE[7:15]).ok().lines
    assert above[:2] == [IMAGE, f"\tchild: {OTHER}"]
    assert above[2].startswith("\tlast-updated: 20")
    assert above[3] == "\tbuilt-locally: true"
    assert family("children", IMAGE).ok().lines == [OTHER]


def test_a_release_tells_what_went(family: CommandLine) -> None:
    """The child keeps the layer, and has no parent then."""
    assert family("release-image", IMAGE).ok().lines == [
        "Untagged: docker.io/library/base:1",
        f"Deleted: {IMAGE}",
    ]
    assert family("lineage", "-j", OTHER).ok().json["parent"] == ""
    (last,) = family("release-image", "-j", OTHER).ok().json

    assert (last["id"], last["names"], [layer["chain_id"] for layer in last["layers"]]) == (OTHER[7:], [], [CHAIN])
    assert family("layers").ok().lines == []


@pytest.mark.parametrize(
    ("words", "config", "kind"),
    [
        (("register-image",), "{}", "ImageInvalid"),
        (("register-image",), CONFIG.replace(CHAIN[7:], "0" * 64), "ChainUnknown"),
        (("register-image",), CONFIG.replace("linux", "windows"), "WrongSystem"),
        (("register-image", "--parent", "nobody"), CHILD, "ImageUnknown"),
        (("register-image", "--name", "UPPER"), CHILD, "InvalidName"),
        (("release-image", "nobody"), "", "ImageUnknown"),
        (("lineage", "--set-parent", "nobody", IMAGE), "", "ImageUnknown"),
        (("lineage", "sha256:"), "", "ImageUnknown"),
    ],
)
def test_what_cannot_be_is_refused(
    family: CommandLine, words: tuple[str, ...], config: str, kind: str, tmp_path: Path
) -> None:
    """And nothing has changed then."""
    before = family("images", "-j").ok().json
    (tmp_path / "config").write_text(config, encoding="utf-8")
    told = family(words[0], "-j", *words[1:], *(["-f", str(tmp_path / "config")] if config else []))

    assert told.code == 1
    assert told.error["kind"] == kind
    assert family("images", "-j").ok().json == before
