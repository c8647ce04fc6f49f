"""whois: whose a path, a hash, a link, a process or a mount point is, and how that is known."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import make_tar, regular
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

ORPHAN = "ab" * 32


@pytest.fixture
def overlay(bare_cli: CommandLine, store_roots: StoreRoots, tmp_path: Path) -> Iterator[CommandLine]:
    """An overlay store with a layer, an image of it, and a container of that."""
    if os.geteuid() != 0:
        pytest.skip("needs root: overlay is mounted")

    def run(*words: str) -> Any:
        return bare_cli("-g", store_roots.graph, "-R", store_roots.run, "-s", "overlay", *words)

    archive = tmp_path / "base.tar"
    archive.write_bytes(make_tar(regular("etc/hello", b"hello")))
    run("import-layer", "-n", "base", "-f", str(archive)).ok()
    run("create-image", "-n", "img", "base").ok()
    run("create-container", "-n", "web", "img").ok()
    yield run
    detach_all(str(tmp_path))


def layers(run: CommandLine) -> dict[str, str]:
    """The layers: the image's, and the container's own."""
    own = run("container", "-j", "web").ok().json[0]["layer"]
    return {"base": run("image", "-j", "img").ok().json[0]["layer"], "own": own}


def found(run: CommandLine, text: str) -> list[dict[str, Any]]:
    """The answers to one text."""
    (answer,) = run("whois", "-j", text).ok().json["answers"]
    assert answer["text"] == text
    answers: list[dict[str, Any]] = answer["found"]
    return answers


def test_paths_of_a_layer(overlay: CommandLine, store_roots: StoreRoots) -> None:
    """Its directory, a file in it, and its short link are the layer's, which is for an image and a container."""
    base = layers(overlay)["base"]
    tree = f"{store_roots.graph}/overlay/{base}"
    with open(f"{tree}/link", encoding="utf-8") as file:
        link = file.read()

    (answer,) = found(overlay, f"{tree}/diff/etc/hello")
    assert (answer["kind"], answer["id"], answer["names"]) == ("layer", base, ["base"])
    assert (answer["path"], answer["inside"]) == (tree, "diff/etc/hello")
    assert {(user["kind"], user["names"][0]) for user in answer["used_by"]} == {("image", "img"), ("container", "web")}
    for text in (tree, link, f"l/{link}", base, base[:10]):
        assert base in {each.get("id") for each in found(overlay, text)}, text
    assert any(each["how"].startswith("the link leads to ") for each in found(overlay, link))


def test_paths_of_records_and_items(overlay: CommandLine, store_roots: StoreRoots) -> None:
    """Record files, locks, data items, and what the mount table is."""
    overlay("set-container-data", "-f", f"{store_roots.graph}/overlay-layers/layers.json", "web", "item").ok()
    container = overlay("container", "-j", "web").ok().json[0]["id"]
    expected = {
        f"{store_roots.graph}/overlay-layers/layers.json": "records",
        f"{store_roots.graph}/overlay-images/images.lock": "records",
        f"{store_roots.graph}/overlay-layers/{layers(overlay)['base']}.tar-split.gz": "layer",
        f"{store_roots.graph}/overlay-containers/{container}": "container",
        f"{store_roots.graph}/overlay/l": "driver",
        f"{store_roots.graph}": "directory",
    }

    assert {path: found(overlay, path)[0]["kind"] for path in expected} == expected


def test_a_mount_point_and_what_is_in_it(overlay: CommandLine) -> None:
    """The container's, whether by its place in the store or from elsewhere."""
    point = overlay("mount", "web").ok().lines[0]

    assert found(overlay, f"{point}/etc/hello")[0]["id"] == layers(overlay)["own"]


def test_a_bind_of_a_mount_elsewhere(overlay: CommandLine, tmp_path: Path) -> None:
    """Wherever it is seen, overlay says which layers it shows."""
    point = overlay("mount", "web").ok().lines[0]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["mount", "--bind", point, str(elsewhere)], check=True)

    container, layer = found(overlay, str(elsewhere / "etc"))
    assert (container["kind"], container["names"]) == ("container", ["web"])
    assert layer["id"] == layers(overlay)["own"]
    assert "what is mounted on" in layer["how"]


def test_a_process_in_a_container(overlay: CommandLine) -> None:
    """Told by its directory; a process elsewhere has nothing to do with the store."""
    point = overlay("mount", "web").ok().lines[0]
    with subprocess.Popen(["sleep", "60"], cwd=point) as inside, subprocess.Popen(["sleep", "60"], cwd="/") as outside:
        try:
            answers = found(overlay, str(inside.pid))
            refused = overlay("whois", str(outside.pid))
        finally:
            inside.kill()
            outside.kill()

    assert answers[0]["id"] == layers(overlay)["own"]
    assert answers[0]["how"].startswith(f"process {inside.pid} is in {point}")
    assert refused.code == 1


def test_a_process_with_a_root_of_its_own(overlay: CommandLine) -> None:
    """Its root is the mount of the container, as with every engine."""
    point = overlay("mount", "web").ok().lines[0]
    script = f"mount --make-rprivate / && mkdir {point}/old && cd {point} && pivot_root . old && echo ready >&2; read x"
    program = ["unshare", "--mount", "sh", "-c", script]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == b"ready\n"
            answers = found(overlay, str(process.pid))
        finally:
            process.kill()

    assert [each["kind"] for each in answers][:2] == ["container", "layer"]
    assert answers[0]["names"] == ["web"]


def test_what_no_record_owns(overlay: CommandLine, store_roots: StoreRoots) -> None:
    """An orphan is found by its path, its hash and the beginning of that; so is what a repair took out."""
    tree = f"{store_roots.graph}/overlay/{ORPHAN}"
    os.makedirs(f"{tree}/diff")
    for text in (tree, ORPHAN, ORPHAN[:12]):
        (answer,) = found(overlay, text)
        assert (answer["kind"], answer["path"]) == ("orphan", tree)
    os.rename(tree, f"{store_roots.graph}/overlay/backup-of-mine")
    overlay("gc", "--foreign").ok()

    (path,) = [each[0] for each in os.walk(f"{store_roots.graph}/cstore-quarantine") if "diff" in each[1]]
    (answer,) = found(overlay, path)
    assert answer["kind"] == "quarantine"
    assert "backup-of-mine" in answer["how"]
    assert "cstore gc --foreign" in answer["how"]


def test_digests_and_names(overlay: CommandLine) -> None:
    """The digest of a layer's archive names the layer; a name does, too."""
    record = overlay("layer", "-j", "base").ok().json[0]

    assert found(overlay, record["diff-digest"])[0]["id"] == record["id"]
    assert found(overlay, record["diff-digest"].partition(":")[2])[0]["id"] == record["id"]
    assert found(overlay, "img")[0]["how"] == "this is its name"


@pytest.mark.parametrize("text", ["/etc/passwd", "nothing", "00ff00ff", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "\x1b[31m\n", ""])
def test_what_has_nothing_to_do_with_the_store(overlay: CommandLine, text: str) -> None:
    """One sentence, exit 1, and no control character gets through."""
    told = overlay("whois", text)

    assert told.code == 1
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "\x1b" not in told.err
