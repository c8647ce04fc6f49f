"""`copy-image`: an image from one place to another, the same image everywhere, or nothing."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.builders import listing
from tests.unit.transfer.archives import (
    BASE,
    CHANGE,
    TOP,
    as_directory,
    as_tar,
    config_of,
    docker_archive,
    oci_layout,
    platforms_layout,
    sha,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import CommandLine

pytestmark = pytest.mark.usefixtures("needs_root")
ID = sha(config_of((BASE, CHANGE)))[7:]
PLACES = ("oci:{0}/layout:v1", "oci-archive:{0}/layout.tar:v1", "dir:{0}/dir", "docker-archive:{0}/docker.tar:app:1")


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A docker-archive of one image."""
    path = tmp_path / "image.tar"
    path.write_bytes(as_tar(docker_archive()))
    return f"docker-archive:{path}"


@pytest.fixture
def layout(tmp_path: Path) -> str:
    """A layout of one image."""
    return as_directory(oci_layout(), str(tmp_path / "given"))


@pytest.mark.parametrize("first", PLACES)
def test_an_image_stays_the_same_on_every_way(cli: CommandLine, archive: str, tmp_path: Path, first: str) -> None:
    """From an archive to a place, from there to every other one, and from each into the store."""
    here = first.format(tmp_path / "first")
    os.mkdir(tmp_path / "first")
    assert cli("copy-image", archive, here).ok().lines == [ID]
    for number, place in enumerate(PLACES):
        os.mkdir(tmp_path / str(number))
        there = place.format(tmp_path / str(number))
        assert cli("copy-image", here, there).ok().lines == [ID]
        assert cli("copy-image", there, f"app:{number}").ok().lines == [ID]
        assert cli("copy-image", f"app:{number}", there + ("2" if ":v1" in there else "")).ok().lines == [ID]
    assert {layer["diff-digest"] for layer in cli("layers", "--json").ok().json} == {sha(BASE), sha(CHANGE)}
    assert cli("check").ok().out == ""


def test_the_same_bytes_come_again(cli: CommandLine, archive: str, tmp_path: Path) -> None:
    """Layers that a store puts together anew are compressed to the same bytes on every run."""
    cli("copy-image", archive, "app").ok()
    told = [cli("copy-image", "--json", "app", f"oci:{tmp_path}/{name}:v").ok().json for name in "ab"]

    assert told[0]["digest"] == told[1]["digest"]
    one, other = (listing(str(tmp_path / name)) for name in "ab")
    assert {path[len(str(tmp_path)) + 2 :] for path in one} == {path[len(str(tmp_path)) + 2 :] for path in other}


def test_what_is_there_is_not_copied_again(cli: CommandLine, layout: str, tmp_path: Path) -> None:
    """A second image of the same layers costs its manifest, and both names stay."""
    there = tmp_path / "there"
    cli("copy-image", f"oci:{layout}", f"oci:{there}:one").ok()
    again = cli("copy-image", "--json", f"oci:{layout}", f"oci:{there}:two").ok()

    assert again.json["copied"] == []
    assert len(again.json["present"]) == 3
    assert again.err.count("already present") == 3
    assert cli("copy-image", "--quiet", f"oci:{layout}", f"oci:{there}:two").ok().err == ""
    named = json.loads((there / "index.json").read_bytes())["manifests"]
    assert [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in named] == ["one", "two"]
    assert "it has 1 images" not in cli("copy-image", f"oci:{there}:one", "x").ok().err
    assert "it has: one, two" in cli("copy-image", f"oci:{there}:three", "x").err


def test_an_index_is_copied_whole_or_one_image_of_it(cli: CommandLine, tmp_path: Path) -> None:
    """With --all every image and the same digest, with --platform the one for that."""
    many = f"oci:{as_directory(platforms_layout('amd64', 'arm64'), str(tmp_path / 'many'))}"
    whole = cli("copy-image", "--json", "--all", many, f"oci:{tmp_path}/all:m").ok().json
    assert (
        cli("copy-image", "--json", "--all", f"oci:{tmp_path}/all:m", f"dir:{tmp_path}/dir").ok().json["digest"]
        == (whole["digest"])
    )
    arm = cli("copy-image", "--platform", "linux/arm64", f"dir:{tmp_path}/dir", "arm").ok().lines
    assert cli("image", "--json", "localhost/arm:latest").ok().json[0]["id"] == arm[0]
    told = cli("copy-image", "--platform", "linux/s390x", many, f"dir:{tmp_path}/none")
    assert "no image for linux/s390x" in told.err
    assert not os.path.exists(tmp_path / "none")
    assert "omit --all" in cli("copy-image", "--all", many, f"docker-archive:{tmp_path}/none").err
    assert not os.path.exists(tmp_path / "none")


def test_a_plan_is_shown_and_nothing_done(cli: CommandLine, archive: str, layout: str, tmp_path: Path) -> None:
    """In lines, or as JSON."""
    before = listing(str(tmp_path))
    for place in (*PLACES, "app"):
        told = cli("copy-image", "--dry-run", archive, place.format(tmp_path / "x")).ok()
        assert f"fetch\t{sha(BASE)}\t{len(BASE)}" in told.lines
        plan = cli("copy-image", "--dry-run", "--json", f"oci:{layout}", place.format(tmp_path / "x")).ok().json["plan"]
        assert plan["bytes"] == sum(blob["size"] - blob["kept"] for blob in plan["fetch"])
    assert listing(str(tmp_path)) == before


@pytest.mark.parametrize("place", [*PLACES, "app"])
def test_a_wrong_blob_leaves_nothing(cli: CommandLine, tmp_path: Path, place: str) -> None:
    """No image, no layer, no file."""
    members = oci_layout()
    wrong = next(name for name, data in members.items() if name.startswith("blobs/") and data[:2] == b"\x1f\x8b")
    members[wrong] = members[wrong][:-9] + b"?" + members[wrong][-8:]
    given = as_directory(members, str(tmp_path / "given"))
    os.mkdir(tmp_path / "out")

    told = cli("copy-image", f"oci:{given}", place.format(tmp_path / "out"))

    assert told.code == 1
    assert told.err.count("\n") == 1
    assert os.listdir(tmp_path / "out") == []
    assert cli("images", "-q").out == cli("layers", "-q").out == ""


def test_layers_are_recompressed_when_that_is_asked_for(cli: CommandLine, layout: str, tmp_path: Path) -> None:
    """The ID stays, for the config does."""
    told = cli("copy-image", "--compression", "zstd", f"oci:{layout}", f"oci:{tmp_path}/z:z").ok()
    manifest = cli("copy-image", "--json", f"oci:{tmp_path}/z:z", "z").ok().json

    assert told.lines == [ID]
    assert manifest["id"] == ID
    blob = tmp_path / "z" / "blobs" / "sha256" / manifest["digest"][7:]
    assert all(layer["mediaType"].endswith("+zstd") for layer in json.loads(blob.read_bytes())["layers"])


def test_between_stores_the_source_is_not_written(
    cli: CommandLine, cli_on: Callable[[str], CommandLine], archive: str, tmp_path: Path
) -> None:
    """To another driver in another place: the same layers, and no change where they came from."""
    cli("copy-image", archive, "app:1").ok()
    other = f"{tmp_path}/other+{tmp_path}/other-run"
    before = listing(str(tmp_path / "graph"))

    assert cli("copy-image", "app:1", f"containers-storage:[overlay@{other}]app:1").ok().lines == [ID]

    assert {p: v for p, v in listing(str(tmp_path / "graph")).items() if "lock" not in p} == {
        p: v for p, v in before.items() if "lock" not in p
    }
    back = cli("copy-image", f"containers-storage:[overlay@{other}]@{ID}", "back:1").ok()
    assert back.lines == [ID]
    assert "already present" in back.err


def test_a_whole_store_goes_to_another_driver_and_place(
    cli: CommandLine, bare_cli: CommandLine, tmp_path: Path
) -> None:
    """Every image with all of its names, the same records and data; again, nothing is copied."""
    for number, layers in enumerate(((BASE,), (BASE, CHANGE), (TOP,))):
        (tmp_path / f"{number}.tar").write_bytes(as_tar(docker_archive(layers, (f"example.org/app:{number}",))))
        cli("copy-image", f"docker-archive:{tmp_path}/{number}.tar", "containers-storage:").ok()
    cli("tag", "example.org/app:1", "also:1").ok()
    cli("set-image-data", "example.org/app:1", "mine", "--file", str(tmp_path / "0.tar")).ok()
    roots = ["--graph", f"{tmp_path}/g2", "--run", f"{tmp_path}/r2", "--storage-driver", "overlay"]
    there = f"containers-storage:[overlay@{tmp_path}/g2+{tmp_path}/r2]"

    assert len(cli("copy-image", "--all", "containers-storage:", there).ok().lines) == 3
    again = cli("copy-image", "--all", "--json", "containers-storage:", there).ok().json
    assert [image["copied"] for image in again] == [[], [], []]

    for kind in ("images", "layers"):
        ours, theirs = (run(kind, "--json").ok().json for run in (cli, lambda *w: bare_cli(*roots, *w)))
        for record in (*ours, *theirs):
            record.pop("created")
        assert sorted(ours, key=str) == sorted(theirs, key=str)
    assert bare_cli(*roots, "check").ok().out == ""

    assert bare_cli(*roots, "relocate", str(tmp_path / "graph")).ok().out == ""
    cli("create-container", "--name", "web", "localhost/also:1").ok()
    told = cli("relocate", str(tmp_path / "graph"))
    assert told.code == 1
    assert "container\tweb\ta container of the vfs store" in told.lines
    assert any(line.startswith("config\t--graph\tstorage.graphroot") for line in told.lines), told.out


@pytest.mark.parametrize(
    ("words", "reason", "code"),
    [
        (["docker-daemon:app", "x"], "no transport 'docker-daemon'", 2),
        (["oci:", "x"], "names no path", 2),
        (["docker://", "x"], "names no image", 2),
        (["containers-storage:[overlay@graph+run]x", "y"], "absolute paths", 2),
        (["http://example.org/x", "y"], "is not a place for images", 2),
        (["nosuch", "dir:/x"], "image not known", 1),
        (["oci:/nowhere", "x"], "No such file", 1),
        (["--compression", "xz", "x", "y"], "'xz' is not one of", 2),
        (["--jobs", "0", "x", "y"], "--jobs must be a number", 2),
        (["--limit-rate", "fast", "x", "y"], "--limit-rate must be a size", 2),
        (["--tls-verify", "maybe", "x", "y"], "must be true or false", 2),
        (["x", "docker-root:/var/lib/docker:x"], "only reads", 2),
    ],
)
def test_places_that_make_no_sense_are_explained(cli: CommandLine, words: list[str], reason: str, code: int) -> None:
    """In a sentence that names what is meant."""
    told = cli("copy-image", *words)

    assert (told.code, reason in told.err) == (code, True), told.err


def test_a_pipe_in_the_place_of_a_directory(cli: CommandLine, tmp_path: Path) -> None:
    """Transports that are directories do not wait for a pipe; of what is missing is said where."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    for transport in ("oci", "dir"):
        told = cli("copy-image", f"{transport}:{tmp_path}/pipe", f"oci:{tmp_path}/out")
        assert (told.code, f"{tmp_path}/pipe: Not a directory" in told.err) == (1, True)
        told = cli("copy-image", f"{transport}:{tmp_path}/empty", f"oci:{tmp_path}/out")
        assert f"{tmp_path}/empty: " in told.err


def test_a_short_name_means_what_it_means_elsewhere(cli: CommandLine, tmp_path: Path) -> None:
    """This host's own image first, as `why` and Podman take it, then Docker's, then any whose name ends so."""
    (tmp_path / "layer.tar").write_bytes(BASE)
    made = {}
    for name in ("docker.io/library/app:1", "localhost/app:1", "docker.io/library/web:1", "quay.io/me/other:2"):
        made[name] = cli("import", "--message", name, str(tmp_path / "layer.tar"), name).ok().lines[0]

    for short, name in (
        ("app:1", "localhost/app:1"),
        ("web:1", "docker.io/library/web:1"),
        ("other:2", "quay.io/me/other:2"),
    ):
        out = f"{tmp_path}/{short[:3]}.tar"
        assert cli("copy-image", "-q", short, f"oci:{tmp_path}/{short[:3]}").ok().lines == [made[name]]
        cli("save", "-o", out, short).ok()
        with tarfile.open(out) as archive:
            (document,) = json.load(archive.extractfile("manifest.json") or io.BytesIO())
        assert document["RepoTags"] == [name]


def test_an_image_for_another_platform_is_not_taken_for_the_wanted_one(
    cli: CommandLine, archive: str, tmp_path: Path
) -> None:
    """Also where there is only one: whoever names a platform gets an image for it, or is told what there is."""
    cli("copy-image", "-q", archive, f"oci:{tmp_path}/one:v1").ok()

    for target in ("kept", f"dir:{tmp_path}/dir"):
        told = cli("copy-image", "--platform", "linux/s390x", f"oci:{tmp_path}/one:v1", target)
        assert told.code == 1
        assert "it has no image for linux/s390x (it has: linux/amd64)" in told.err
    assert cli("images").ok().out == ""


def test_nothing_is_added_to_a_layout_without_a_usable_index(cli: CommandLine, archive: str, tmp_path: Path) -> None:
    """It is found out before a blob is written."""
    cli("copy-image", "-q", archive, f"oci:{tmp_path}/layout:v1").ok()
    (tmp_path / "layout/index.json").write_text("[")
    for blob in os.listdir(tmp_path / "layout/blobs/sha256"):
        os.unlink(tmp_path / "layout/blobs/sha256" / blob)

    assert cli("copy-image", "-q", archive, f"oci:{tmp_path}/layout:v2").code == 1
    assert os.listdir(tmp_path / "layout/blobs/sha256") == []
