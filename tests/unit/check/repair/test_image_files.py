"""The data directory of an image, read by itself."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cstore.check.repair.image_files import ImageFiles, has_layers, is_config, keys_in
from cstore.digests import digest_of
from cstore.records import bigdata
from tests.unit.check.tables import write

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = (f"sha256:{digit * 64}" for digit in "12")


def config(*diff_ids: str) -> bytes:
    """A config that names layers."""
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": list(diff_ids)}}).encode()


def manifest(raw: bytes, *layers: object) -> bytes:
    """A manifest that names a config and layers."""
    return json.dumps({"config": {"digest": digest_of(raw)}, "layers": list(layers)}).encode()


def files(top: Path, items: dict[str, bytes], identifier: str = "image") -> ImageFiles:
    """An image's directory with these items, written in this order."""
    for number, (key, data) in enumerate(items.items()):
        path = os.path.join(top, bigdata.file_name(key, "image"))
        write(path, data)
        os.utime(path, (number, number))
    return ImageFiles(str(top), identifier)


def test_keys_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    """What was never renamed into place is none, nor a link, nor a name that no key has."""
    found = files(tmp_path, {"b": b"", "a": b"", digest_of(b""): b""})
    write(str(tmp_path / ".tmp-c1"), b"")
    write(str(tmp_path / "=not-base64!"), b"")
    os.mkdir(tmp_path / "folder")
    os.symlink("b", tmp_path / "link")

    assert found.keys == ("b", "a", digest_of(b""))
    assert keys_in(str(tmp_path), "image") == list(found.keys)
    assert keys_in(str(tmp_path / "none"), "image") == []


def test_the_config_is_the_item_whose_digest_is_the_id(tmp_path: Path) -> None:
    """It goes before the one that the manifest names; neither counts if its bytes have another digest."""
    own, named = config(FIRST), config(SECOND)
    items = {"manifest": manifest(named), digest_of(own): own, digest_of(named): named}
    identifier = digest_of(own).removeprefix("sha256:")

    assert files(tmp_path / "a", items, identifier).diff_ids == (FIRST,)
    assert files(tmp_path / "b", items).diff_ids == (SECOND,)
    assert files(tmp_path / "c", {**items, digest_of(own): b"{}"}, identifier).diff_ids == (SECOND,)
    assert files(tmp_path / "d", {"manifest": manifest(named), digest_of(named): own}).diff_ids == ()
    assert files(tmp_path / "e", {"manifest": b"{"}).config is None


def test_the_images_own_manifest_goes_before_others(tmp_path: Path) -> None:
    """If it makes no sense, another one that does is taken."""
    own, other = config(FIRST), config(SECOND)
    for name, first, expected in (("sound", manifest(own), own), ("broken", b"[]", other)):
        found = files(tmp_path / name, {f"manifest-{FIRST}": manifest(other), "manifest": first})
        assert found.manifest["config"]["digest"] == digest_of(expected)


def test_blobs_are_those_of_the_configs_layers(tmp_path: Path) -> None:
    """If there are as many; else nobody knows which is which."""
    raw = config(FIRST, SECOND)
    blobs = {"digest": FIRST, "size": 1}, {"digest": SECOND, "size": 2}
    for name, layers, count in (("both", blobs, 2), ("one", blobs[:1], 0), ("odd", (*blobs[:1], "text"), 0)):
        found = files(tmp_path / name, {"manifest": manifest(raw, *layers), digest_of(raw): raw})
        assert len(found.blobs) == count


def test_the_digest_is_that_of_the_manifest_that_came_first(tmp_path: Path) -> None:
    own, other = manifest(config(FIRST)), manifest(config(SECOND))

    assert files(tmp_path / "a", {"key": b"", f"manifest-{FIRST}": other, "manifest": own}).digest == digest_of(other)
    assert files(tmp_path / "b", {"key": b""}).digest == ""


@pytest.mark.parametrize(
    ("data", "manifests", "configs"),
    [
        (b"{", False, False), (b"[]", False, False), (b"{}", False, False), (b'{"layers":[]}', False, False),
        (b'{"layers":[],"config":{}}', True, False), (config(FIRST), False, True), (b"[" * 100_000, False, False),
    ],
)  # fmt: skip
def test_what_makes_sense(data: bytes, *, manifests: bool, configs: bool) -> None:
    assert has_layers(data) is manifests
    assert is_config(data) is configs or not configs
