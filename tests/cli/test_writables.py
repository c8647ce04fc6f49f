"""create-writable, writables, delete-writable."""

from __future__ import annotations

import hashlib
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

    assert (freed["chain-id"], freed["size"]) == (CHAIN, 6)
    assert box("layers").ok().lines == []
    assert box("storage-layers").ok().lines == []


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
