"""inspect: all that is known of an item, in one JSON list."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

ARCHIVE = make_tar(regular("file", b"12345"))
DIFF_ID = "sha256:" + hashlib.sha256(ARCHIVE).hexdigest()
CONFIG = json.dumps(
    {
        "os": "linux",
        "architecture": "arm64",
        "config": {
            "Env": ["A=b"],
            "Entrypoint": ["/bin/app"],
            "Cmd": ["--serve"],
            "Labels": {"tier": "front"},
        },
        "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
        "history": [{"created_by": "COPY app /bin/app"}, {"created_by": "CMD", "empty_layer": True}],
    }
).encode()
IMAGE = hashlib.sha256(CONFIG).hexdigest()


@pytest.fixture
def furnished(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """Layers base and top, an image of each, a container of the upper one, and a data item of each kind."""
    (tmp_path / "base.tar").write_bytes(ARCHIVE)
    (tmp_path / "config").write_bytes(CONFIG)
    cli("import-layer", "-i", "base", "-n", "bottom", "-f", str(tmp_path / "base.tar")).ok()
    cli("create-layer", "-i", "top", "base").ok()
    cli("create-image", "-i", IMAGE, "-n", "one", "base").ok()
    cli("set-image-data", "-f", str(tmp_path / "config"), IMAGE, f"sha256:{IMAGE}").ok()
    cli("create-image", "-i", "i2", "-n", "two", "top").ok()
    cli("create-container", "-i", "c1", "-n", "web", "two").ok()
    cli("set-layer-data", "-f", str(tmp_path / "config"), "base", "sbom").ok()
    return cli


def inspected(cli: CommandLine, *words: str) -> dict[str, Any]:
    """The document of one item."""
    (found,) = cli("inspect", *words).ok().json
    return dict(found)


def test_an_image_is_told_whole(furnished: CommandLine) -> None:
    """Sizes and digests of layers and data items, what is built on it, and what its config says."""
    found = inspected(furnished, "one")

    assert (found["version"], found["kind"], found["id"], found["names"]) == (1, "image", IMAGE, ["one"])
    assert found["layers"] == [{"id": "base", "names": ["bottom"], "diff_id": DIFF_ID, "size": len(ARCHIVE)}]
    assert found["size"] == len(ARCHIVE) + len(CONFIG)
    assert found["unique"] == len(CONFIG)  # its layer is another image's, too
    assert found["data"] == [{"name": f"sha256:{IMAGE}", "size": len(CONFIG), "digest": f"sha256:{IMAGE}"}]
    assert found["users"] == {"images": [{"id": "i2", "names": ["two"]}], "containers": [], "layers": []}
    config = found["config"]
    assert (config["os"], config["architecture"], config["env"]) == ("linux", "arm64", ["A=b"])
    assert (config["entrypoint"], config["cmd"], config["labels"]) == (["/bin/app"], ["--serve"], {"tier": "front"})
    assert [step["created_by"] for step in config["history"]] == ["COPY app /bin/app", "CMD"]
    assert (found["complete"], found["problems"]) == (True, [])


def test_what_no_record_tells_is_null(furnished: CommandLine) -> None:
    """The size of a layer that was never measured, and so that of its image; a config that is not there."""
    found = inspected(furnished, "two")

    assert (found["size"], found["unique"], found["config"]) == (None, None, None)
    assert [(layer["id"], layer["size"]) for layer in found["layers"]] == [("top", None), ("base", len(ARCHIVE))]
    assert [user["id"] for user in found["users"]["containers"]] == ["c1"]


def test_what_is_not_recorded_is_measured_on_request(furnished: CommandLine) -> None:
    """As `image`, `container` and `diffsize` measure; what is recorded stays as it is."""
    layer = furnished("container", "-j", "web").ok().json[0]["layer"]
    sizes = {item: inspected(furnished, "--size", item)["size"] for item in ("one", "two", "web", layer)}

    assert inspected(furnished, "web")["size"] is None
    assert f"Size: {sizes['web']}" in furnished("container", "web").ok().lines
    assert f"Size: {sizes['two']}" in furnished("image", "two").ok().lines
    assert sizes["one"] == len(ARCHIVE) + len(CONFIG)
    assert furnished("diffsize", layer).ok().out.split()[-1] == str(sizes[layer])


def test_a_layer_names_all_who_need_it(furnished: CommandLine) -> None:
    """Images and containers anywhere above, and the layers right above; its data items have their sizes."""
    found = inspected(furnished, "--kind", "layer", "base")

    assert {user["id"] for user in found["users"]["images"]} == {IMAGE, "i2"}
    assert [user["id"] for user in found["users"]["containers"]] == ["c1"]
    assert [user["id"] for user in found["users"]["layers"]] == ["top"]
    assert (found["parent"], found["diff_id"], found["size"]) == (None, DIFF_ID, len(ARCHIVE))
    assert found["data"] == [{"name": "sbom", "size": len(CONFIG), "digest": None}]
    assert os.path.isdir(found["directories"]["tree"])


def test_a_container_names_its_image_and_its_layers(furnished: CommandLine) -> None:
    """Its own layer is on top of those of its image."""
    found = inspected(furnished, "web")

    assert (found["kind"], found["image"], found["image_names"]) == ("container", "i2", ["two"])
    assert [layer["id"] for layer in found["layers"]] == [found["layer"], "top", "base"]


def test_items_are_named_as_cstores_own_commands_name_them(furnished: CommandLine) -> None:
    """By digest, by the beginning of an ID, several at once; who is not there is told, and the others are shown."""
    assert inspected(furnished, f"sha256:{IMAGE}")["id"] == IMAGE
    assert inspected(furnished, DIFF_ID)["id"] == "base"
    told = furnished("inspect", "web", "nothing", IMAGE[:8])

    assert told.code == 1
    assert [each["kind"] for each in told.json] == ["container", "image"]
    assert "nothing" in told.err


def test_a_chain_with_a_gap_is_marked(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """What is there is told; the gap is named, and the exit status is 1."""
    path = os.path.join(store_roots.graph, "vfs-layers", "layers.json")
    with open(path, encoding="utf-8") as file:
        layers = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump([layer for layer in layers if layer["id"] != "base"], file)

    told = furnished("inspect", "two")

    assert told.code == 1
    (found,) = told.json
    assert ([layer["id"] for layer in found["layers"]], found["complete"]) == (["top"], False)
    assert "base" in found["problems"][0]
    assert "base" in told.err


def test_an_image_of_another_store_is_told_too(
    furnished: CommandLine, bare_cli: CommandLine, store_roots: StoreRoots, tmp_path: Path
) -> None:
    """Of an additional store, which is only read, with all who need it there."""
    del furnished
    roots = ["--graph", str(tmp_path / "mine"), "--run", str(tmp_path / "run"), "--storage-driver", "vfs"]
    beside = [*roots, "--storage-opt", f"vfs.imagestore={store_roots.graph}"]

    (found,) = bare_cli(*beside, "inspect", "one").ok().json

    assert (found["read_only"], found["unique"], found["size"]) == (True, None, len(ARCHIVE) + len(CONFIG))
    assert [user["id"] for user in found["users"]["images"]] == ["i2"]
    assert found["config"]["os"] == "linux"
    assert bare_cli(*beside, "images", "-q", "--filter", "readonly=true").ok().lines == [IMAGE, "i2"]
