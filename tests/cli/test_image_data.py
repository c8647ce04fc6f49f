"""list-, get- and set-image-data, sizes and digests, get-image-dir and get-image-run-dir."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

VALUE = bytes(range(256)) + b"\n"
DIGEST = "sha256:" + hashlib.sha256(VALUE).hexdigest()


@pytest.fixture
def image(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """An image called `name` with one data item."""
    (tmp_path / "value").write_bytes(VALUE)
    cli("create-image", "-i", "i1", "-n", "name").ok()
    cli("set-image-data", "-f", str(tmp_path / "value"), "name", "manifest").ok()
    return cli


def test_items_are_listed_in_the_order_of_their_making(image: CommandLine, tmp_path: Path) -> None:
    """None at all are null in JSON."""
    for item in ("Another/one", "manifest"):
        image("setimagedata", "-f", str(tmp_path / "value"), "i1", item).ok()
    image("create-image", "-i", "bare").ok()

    assert image("list-image-data", "name").ok().lines == ["manifest", "Another/one"]
    assert image("listimagedata", "-j", "i1").ok().json == ["manifest", "Another/one"]
    assert image("list-image-data", "-j", "bare").ok().json is None


def test_data_comes_back_as_it_went_in(image: CommandLine, run: Runner, tmp_path: Path) -> None:
    """To standard output and to a file, from a file and from standard input."""
    assert run("get-image-data", "name", "manifest").ok().output == VALUE
    run("set-image-data", "name", "piped", stdin=b"from a pipe").ok()
    image("getimagedata", "-f", str(tmp_path / "out"), "i1", "piped").ok()

    assert (tmp_path / "out").read_bytes() == b"from a pipe"


def test_sizes_and_digests_are_those_of_the_data(image: CommandLine) -> None:
    """A line each."""
    for words in (["get-image-data-size"], ["getimagedatasize"]):
        assert image(*words, "name", "manifest").ok().out == "257\n"
    for words in (["get-image-data-digest"], ["getimagedatadigest"]):
        assert image(*words, "name", "manifest").ok().out == f"{DIGEST}\n"
    assert image("images-by-digest", "-q", DIGEST).ok().out == "i1\n"


def test_a_file_is_touched_only_when_the_item_is_found(image: CommandLine, tmp_path: Path) -> None:
    """What was in it survives a mistake."""
    (tmp_path / "out").write_text("precious")

    told = image("get-image-data", "-f", str(tmp_path / "out"), "name", "nope")

    assert told.code == 1
    assert told.err == "cstore: image i1 has no data item 'nope' (see cstore list-image-data i1)\n"
    assert (tmp_path / "out").read_text() == "precious"


@pytest.mark.parametrize(
    "words",
    [
        ["get-image-data", "nope", "item"],
        ["get-image-data", "i1", ""],
        ["get-image-data-size", "i1", "nope"],
        ["get-image-data-digest", "i1", "nope"],
        ["get-image-data-digest", "nope", "manifest"],
        ["list-image-data", "nope"],
        ["set-image-data", "-f", "/dev/null", "nope", "item"],
        ["set-image-data", "-f", "/dev/null", "i1", ""],
        ["set-image-data", "-f", "/dev/null", "i1", ".."],
        ["set-image-data", "-f", "/dev/null", "i1", "userdata"],
        ["set-image-data", "-f", "/dev/null", "i1", "x" * 300],
        ["set-image-data", "-f", "/dev/null", "i1", "\udcff"],
        ["set-image-data", "-f", "/nonexistent", "i1", "item"],
        ["get-image-dir", "nope"],
        ["get-image-dir", "../.."],
        ["get-image-run-dir", ""],
    ],
    ids=lambda words: " ".join(words)[:60].encode(errors="replace").decode(),
)
def test_what_cannot_be_is_named(image: CommandLine, store_roots: StoreRoots, words: list[str]) -> None:
    """One sentence, exit 1, nothing made."""
    told = image(*words)

    assert (told.code, told.out) == (1, "")
    assert told.err.count("\n") == 1
    assert image("list-image-data", "i1").ok().lines == ["manifest"]
    assert os.listdir(os.path.join(store_roots.graph, "vfs-images", "i1")) == ["manifest"]


def test_directories_are_made_when_they_are_asked_for(image: CommandLine, store_roots: StoreRoots) -> None:
    """By whatever word, and for the owner only; they go with the image."""
    found = [image(name, "name").ok().out.strip() for name in ("get-image-dir", "get-image-run-dir")]

    roots = (store_roots.graph, store_roots.run)
    assert found == [os.path.join(root, "vfs-images", "i1", "userdata") for root in roots]
    assert [stat.S_IMODE(os.stat(path).st_mode) for path in found] == [0o700, 0o700]
    assert [image(name, "i").ok().out.strip() for name in ("getimagedir", "getimagerundir")] == found
    image("delete-image", "name").ok()
    assert [os.path.exists(os.path.dirname(path)) for path in found] == [False, False]
