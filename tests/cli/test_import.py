"""import, and what scripts need of import-layer and layers: a digest that is expected, a layer that is used again."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from tests.builders import digest, make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine

ROOT = make_tar(regular("bin/hello", b"hello\n", mode=0o755))
NOTHING = make_tar(regular("other", b"other"))


@pytest.fixture
def tar(tmp_path: Path) -> str:
    """The tar of a root file system, compressed."""
    path = tmp_path / "rootfs.tar.gz"
    path.write_bytes(gzip.compress(ROOT, mtime=0))
    return str(path)


def config(cli: CommandLine, image: str) -> dict[str, object]:
    """The config of an image, from the store."""
    found: dict[str, object] = json.loads(cli("get-image-data", image, f"sha256:{image}").ok().out)
    return found


def test_import_makes_an_image_that_check_and_save_accept(cli: CommandLine, tar: str, tmp_path: Path) -> None:
    """The ID alone is printed; the name is Podman's completion, the layer's ID its DiffID."""
    image = cli("import", tar, "app").ok().lines
    assert len(image) == 1
    shown = cli("image", "--json", image[0]).ok().json[0]
    assert shown["names"] == ["localhost/app:latest"]
    assert shown["layer"] == digest(ROOT)[7:]
    assert config(cli, image[0])["rootfs"] == {"type": "layers", "diff_ids": [digest(ROOT)]}
    cli("check").ok()
    cli("save", "-o", str(tmp_path / "out.tar"), "localhost/app:latest").ok()


def test_config_without_an_end(cli: CommandLine, tar: str) -> None:
    """A file that never ends is refused before it fills the memory, wherever a file is read as one piece."""
    for words in (("import", "--image-config", "/dev/zero", tar), ("create-image", "--metadata-file", "/dev/zero")):
        assert "/dev/zero: is a device, not a file" in cli(*words).err
    assert cli("images").ok().out == ""


def test_changes(cli: CommandLine, tar: str) -> None:
    """Instructions mean what they mean in a Containerfile, in its forms."""
    changes = [
        'CMD ["/bin/hello", "a b"]', "ENTRYPOINT exec hello", 'ENV A=1 B="x y"', "ENV C with blanks", "ENV A=2",
        "EXPOSE 80 53/UDP", "LABEL a=b c='d e'", "STOPSIGNAL=SIGINT", "USER 1000:1000", 'VOLUME ["/v"]', "VOLUME /w",
        "WORKDIR /srv", "onbuild RUN x",
    ]  # fmt: skip
    words = [word for change in changes for word in ("--change", change)]
    image = cli("import", *words, "--message", "nightly", "--platform", "linux/arm/v7", tar).ok().lines[0]

    made = config(cli, image)
    assert made["config"] == {
        "Cmd": ["/bin/hello", "a b"],
        "Entrypoint": ["/bin/sh", "-c", "exec hello"],
        "Env": ["A=2", "B=x y", "C=with blanks"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Labels": {"a": "b", "c": "d e"},
        "StopSignal": "SIGINT",
        "User": "1000:1000",
        "Volumes": {"/v": {}, "/w": {}},
        "WorkingDir": "/srv",
        "OnBuild": ["RUN x"],
    }
    assert (made["os"], made["architecture"], made["variant"]) == ("linux", "arm", "v7")
    assert made["history"][0]["comment"] == "nightly"  # type: ignore[index]


@pytest.mark.parametrize(
    "words",
    [
        ["--change", "RUN x"], ["--change", "CMD"], ["--change", "CMD [1]"], ["--change", "EXPOSE x"],
        ["--change", "ENV A=1 B"], ["--platform", "linux"], ["--expect", "sha256:1"],
        ["--expect", "sha256:" + "0" * 64],
    ],
)  # fmt: skip
def test_mistakes_leave_nothing(cli: CommandLine, tar: str, words: list[str]) -> None:
    """A request that makes no sense, or another archive than was expected, is told in a line."""
    told = cli("import", *words, tar, "app")
    code = 1 if "--expect" in words else 2  # what no archive could make sense of is a mistake of usage
    assert (told.code, told.out, len(told.err.splitlines())) == (code, "", 1)
    assert cli("layers", "-q").ok().out == cli("images", "-q").ok().out == ""


def test_a_name_that_is_none_and_an_empty_archive(cli: CommandLine, tar: str, tmp_path: Path) -> None:
    """Neither makes an image."""
    assert cli("import", tar, "UPPER").code == 1
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert "empty" in cli("import", str(empty), "app").err
    assert cli("layers", "-q").ok().out == cli("images", "-q").ok().out == ""


def test_image_config(cli: CommandLine, tar: str, tmp_path: Path) -> None:
    """An image's config, or a run config alone, is what changes are made to; layers and history are the new image's."""
    given = tmp_path / "config.json"
    whole = {"architecture": "riscv64", "os": "linux", "author": "me", "config": {"Env": ["A=1"]}, "rootfs": {}}
    for document in (whole, {"Env": ["A=1"]}):
        given.write_text(json.dumps(document))
        image = cli("import", "--image-config", str(given), "--change", "ENV B=2", tar).ok().lines[0]
        made = config(cli, image)
        assert made["config"] == {"Env": ["A=1", "B=2"]}
        assert (made.get("author"), made["architecture"] == "riscv64") == (
            ("me", True) if "author" in document else (None, False)
        )


def test_the_same_tar_twice_is_one_layer(cli: CommandLine, tar: str) -> None:
    """The second image has the layer of the first, and takes its name."""
    first = cli("import", tar, "app").ok().lines[0]
    second = cli("import", "--message", "again", tar, "app").ok().lines[0]
    assert len(cli("layers", "-q").ok().lines) == 1
    assert cli("image", "--json", second).ok().json[0]["names"] == ["localhost/app:latest"]
    assert cli("image", "--json", first).ok().json[0].get("names", []) == []


# ── import-layer and layers ──


def test_expect(cli: CommandLine, tar: str, tmp_path: Path) -> None:
    """Both digests of the archive are accepted, any other is not, nor is an empty stream."""
    packed = digest(gzip.compress(ROOT, mtime=0))
    for expected in (packed, digest(ROOT)):
        cli("import-layer", "--expect", expected, "-f", tar).ok()
    told = cli("import-layer", "--expect", digest(NOTHING), "-f", tar)
    assert told.code == 1
    assert packed in told.err
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert "empty" in cli("import-layer", "--expect", packed, "-f", str(empty)).err
    assert len(cli("layers", "-q").ok().lines) == 2


def test_reuse(cli: CommandLine, tar: str) -> None:
    """The same contents above the same parent are the same layer; above another they are not."""
    words = ["import-layer", "--reuse", "--id-only", "-f", tar]
    first = cli(*words, "--name", "base").ok().lines
    assert cli(*words, "--name", "base").ok().lines == first
    above = cli(*words, "base").ok().lines
    assert above != first
    assert cli(*words, "--name", "more").ok().lines == first
    assert sorted(cli("layer", "--json", "more").ok().json[0]["names"]) == ["base", "more"]
    taken = cli("create-layer", "-n", "taken").ok()
    assert cli(*words, "--name", "taken").code == 1
    assert len(cli("layers", "-q").ok().lines) == 3
    assert taken.lines


def test_layers_of_a_digest(cli: CommandLine, tar: str) -> None:
    """Either digest finds the layer; one that is none is refused."""
    layer = cli("import-layer", "--id-only", "--name", "base", "-f", tar).ok().lines[0]
    for one in (digest(ROOT), digest(gzip.compress(ROOT, mtime=0))):
        assert cli("layers", "-q", "--digest", one).ok().lines == [layer]
    assert cli("layers", "--digest", digest(ROOT)).ok().lines[0] == layer
    assert [one["id"] for one in cli("layers", "--json", "--digest", digest(ROOT)).ok().json] == [layer]
    assert cli("layers", "--digest", digest(NOTHING)).ok().out == ""
    assert cli("layers", "--digest", "sha256:1").code == 1
