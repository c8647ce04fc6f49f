"""What of a stream must wait on the disk: how much is told, and no more is needed; and what progress tells."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from cstore.kernel import files
from cstore.transfer import LoadRequest, SaveRequest, load, save, save_directory
from cstore.transfer.members import Part
from cstore.transfer.saving import check_save, size_of_save
from tests.builders import compress, make_tar, regular
from tests.unit.transfer.archives import as_directory, as_tar, docker_archive, oci_layout
from tests.unit.transfer.conftest import Collected

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.store import Store
    from tests.unit.transfer.conftest import Load

pytestmark = pytest.mark.usefixtures("needs_root")

LAYERS = tuple(make_tar(regular(f"file{number}", os.urandom(300_000))) for number in range(4))
FIRST = ["oci-layout", "index.json"]


@pytest.mark.parametrize("packed", ["", "gzip"])
def test_layers_before_their_documents_wait(load_bytes: Load, packed: str) -> None:
    """Of a pipe or a compressed file: exactly what they are long."""
    members = docker_archive(LAYERS)
    archive = as_tar(members, first=[name for name in members if name.endswith(".tar")])
    result = load_bytes(compress(archive, packed) if packed else archive, stream=not packed)
    assert result.waited == sum(map(len, LAYERS))


def test_layers_after_their_documents_do_not_wait(load_bytes: Load, store: Store) -> None:
    """Nor does anything in a file that can be read anywhere."""
    archive = as_tar(docker_archive(LAYERS), first=["manifest.json"])
    assert load_bytes(archive).waited == 0
    saved = Collected()
    save(store, SaveRequest(("example.org/app:1",), "oci-archive"), saved)
    store.wipe()
    assert load_bytes(bytes(saved.data), stream=True).waited == 0


def test_what_has_been_used_gives_its_space_back(load_bytes: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a layer is never on the disk twice but for the one that is being unpacked."""
    left: list[int] = []
    release = Part.release

    def watched(part: Part) -> None:
        release(part)
        left.append(os.fstat(part.fd).st_blocks * 512)

    monkeypatch.setattr(Part, "release", watched)
    members = docker_archive(LAYERS)
    load_bytes(as_tar(members, first=[name for name in members if name.endswith(".tar")]), stream=True)
    size = len(LAYERS[0])
    for place, found in enumerate(left, 1):
        assert found < (len(LAYERS) - place) * size + size // 2
    assert len(left) == len(LAYERS)


def test_a_file_system_that_cannot_free_a_part_is_no_obstacle(
    load_bytes: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest is freed at the end."""

    def refuse(fd: int, offset: int, size: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files, "punch_hole", refuse)
    assert load_bytes(as_tar(oci_layout(LAYERS)), stream=True).images


def test_an_image_is_loaded_from_any_source(store: Store, tmp_path: Path) -> None:
    """A path, bytes, a file, an object that reads; a directory by its path."""
    archive = as_tar(docker_archive(LAYERS[:2]))
    (tmp_path / "it.tar").write_bytes(archive)
    layout = as_directory(oci_layout(LAYERS[:2]), str(tmp_path / "layout"))
    for source in (tmp_path / "it.tar", str(tmp_path / "it.tar"), archive, io.BytesIO(archive), layout):
        loaded = load(store, source, LoadRequest())
        assert [image.names for image in loaded.images] == [("example.org/app:1",)]
        store.wipe()


@pytest.mark.parametrize(("form", "packing"), [("docker-archive", None), ("oci-archive", None), ("oci-dir", None)])
def test_saving_tells_what_it_has_read(
    store: Store, load_bytes: Load, tmp_path: Path, form: str, packing: None
) -> None:
    """From the first layer on, also while layers are compressed; at the end it is all there is, and never less."""
    load_bytes(as_tar(docker_archive(LAYERS)))
    request = SaveRequest(("example.org/app:1",), form, packing)
    told: list[int] = []
    if form == "oci-dir":
        save_directory(store, request, str(tmp_path / "layout"), told.append)
    else:
        save(store, request, Collected(), told.append)
    assert told == sorted(told)
    assert told[-1] == size_of_save(check_save(store, request)) == sum(map(len, LAYERS))
    assert len(told) > len(LAYERS) - 1


def test_loading_tells_what_it_has_read(store: Store, tmp_path: Path) -> None:
    """Never less than before, and at least the layers, whether they waited or not."""
    members = docker_archive(LAYERS)
    archive = as_tar(members, first=[name for name in members if name.endswith(".tar")])
    (tmp_path / "it.tar").write_bytes(archive)
    for source in (tmp_path / "it.tar", io.BytesIO(archive)):
        told: list[int] = []
        load(store, source, LoadRequest(), told.append)
        assert told == sorted(told)
        assert told[-1] >= sum(map(len, LAYERS))
        store.wipe()
