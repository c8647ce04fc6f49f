"""create-writable, writables, commit, delete-writable."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine

ONE = make_tar(regular("one.txt", b"first\n"))
CHAIN = f"sha256:{hashlib.sha256(ONE).hexdigest()}"
NOWHERE = "sha256:" + "0" * 64


@pytest.fixture
def box(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """A writable layer `box` over a registered one."""
    (tmp_path / "one").write_bytes(ONE)
    cli("register", "-f", str(tmp_path / "one")).ok()
    cli("create-writable", "--init", "box", CHAIN).ok()
    return cli


def test_what_is_written_shows_and_what_lies_beneath_does_not(box: CommandLine) -> None:
    """Neither in the changes nor in the size nor in the tar."""
    (path,) = box("mount", "box").ok().lines
    with open(os.path.join(path, "new"), "wb") as file:
        file.write(b"12345")

    assert sorted(os.listdir(path)) == [".dockerenv", "dev", "etc", "new", "one.txt", "proc", "sys"]
    assert box("changes", "box").ok().lines == ['Add "/new"']
    assert box("diffsize", "box").ok().lines == ["5"]
    assert box("unmount", "box").code == 0


def test_writable_layers_are_listed_by_name(box: CommandLine) -> None:
    """With what they lie on: never the init layer."""
    (told,) = box("writables", "--json").ok().json

    assert (told["name"], told["parent"]) == ("box", CHAIN)
    assert box("writables").ok().lines == [f"box\t{told['layer']}\t{CHAIN}"]
    assert box("create-writable", "-j", "bare").ok().json["parent"] == ""


def test_a_deletion_frees_what_lies_beneath(box: CommandLine) -> None:
    """And tells of it."""
    (freed,) = box("delete-writable", "--json", "box").ok().json

    assert (freed["chain_id"], freed["size"]) == (CHAIN, 6)
    assert box("layers").ok().lines == []
    assert box("storage-layers").ok().lines == []


def test_a_commit_makes_an_image_of_what_was_changed(box: CommandLine, tmp_path: Path) -> None:
    """With a layer more, unless nothing was; and with a parent."""
    document = {"os": "linux", "config": {"Cmd": ["/x"]}, "rootfs": {"type": "layers", "diff_ids": [CHAIN]}}
    (tmp_path / "config").write_text(json.dumps(document), encoding="utf-8")
    (base,) = box("register-image", "-f", str(tmp_path / "config")).ok().lines
    (same,) = box("commit", "box", base).ok().lines
    (path,) = box("mount", "box").ok().lines
    with open(os.path.join(path, "new"), "wb") as file:
        file.write(b"12345")
    made = box("commit", "-j", "--name", "app", "--comment", "new file", "box", base).ok().json

    assert made["names"] == ["docker.io/library/app:latest"]
    assert sorted(box("children", base).ok().lines[::1]) == sorted(
        [same, f"sha256:{made['id']}", f"\tname: {made['names'][0]}"]
    )
    steps = box("history", "-j", made["id"]).ok().json
    assert [(step["comment"], step["size"]) for step in steps] == [("new file", 5)]
    raw = json.loads("".join(box("get-image-data", made["id"], f"sha256:{made['id']}").ok().lines))
    assert (raw["config"]["Cmd"], len(raw["rootfs"]["diff_ids"])) == (["/x"], 2)
    raw = json.loads("".join(box("get-image-data", same[7:], same).ok().lines))
    assert (raw["history"][0]["empty_layer"], raw["rootfs"]["diff_ids"]) == (True, [CHAIN])
    assert box("commit", "box", same[:20] + "zz").code == 1
    assert box("commit", "box", made["id"]).code == 1, "it does not lie on that"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("create-writable", "-j", "box"), "WritableLayerTaken"),
        (("create-writable", "-j", "other", NOWHERE), "ChainUnknown"),
        (("create-writable", "-j", "--size", "1M", "other"), "DriverError"),
        (("delete-writable", "-j", "other"), "WritableLayerUnknown"),
    ],
)
def test_what_cannot_be_is_refused(box: CommandLine, words: tuple[str, ...], kind: str) -> None:
    """Names that are taken or unknown, chains that are not there, limits that nobody would keep."""
    told = box(*words)

    assert told.code == 1
    assert told.error["kind"] == kind
    assert len(box("writables").ok().lines) == 1
