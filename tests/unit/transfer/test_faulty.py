"""Faulty archives: each is refused in one sentence that names what is at fault, and the store stays as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ArchiveError, CstoreError, IDTaken, ImageArchiveError, TopLayerDiffers
from cstore.store import NewImage, NewLayer
from tests.unit.transfer.archives import BASE, CHANGE, TOP, as_directory, as_tar, docker_archive, oci_layout, sha
from tests.unit.transfer.conftest import contents, load_path
from tests.unit.transfer.faulty import FAULTS

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.store import Store
    from tests.unit.transfer.conftest import Load
    from tests.unit.transfer.faulty import Fault

pytestmark = pytest.mark.usefixtures("needs_root")

OTHER = as_tar(docker_archive((TOP,), ("example.org/other:1",)))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("stream", [False, True], ids=["file", "stream"])
def test_a_faulty_archive_changes_nothing(
    fault: Fault, *, stream: bool, store: Store, load_bytes: Load, graph: str
) -> None:
    """One sentence that names member and expectation; not a layer, image, name or data item more or less."""
    load_bytes(OTHER)
    before = contents(graph)

    with pytest.raises(ArchiveError) as told:
        load_bytes(fault.build(), stream=stream)

    for words in fault.told:
        assert words in told.value.message
    assert "\n" not in told.value.message
    assert contents(graph) == before
    assert [image.names for image in store.images.list()] == [("example.org/other:1",)]


@pytest.mark.parametrize("kind", [docker_archive, oci_layout])
def test_rubbish_in_place_of_a_layer_that_is_there_is_found(kind: object, load_bytes: Load, graph: str) -> None:
    """Docker and skopeo do not look; what an archive brings is verified even if it is not needed."""
    members = kind() if callable(kind) else {}
    load_bytes(as_tar(members))
    before = contents(graph)
    name = next(name for name, body in members.items() if body[:2] == b"\x1f\x8b" or body == BASE)

    for rubbish in (bytes(len(members[name])), TOP, b"no tar"):
        with pytest.raises(ImageArchiveError, match=name):
            load_bytes(as_tar({**members, name: rubbish}))

    assert contents(graph) == before


def test_a_failure_at_the_last_layer_takes_the_others_back(store: Store, load_bytes: Load) -> None:
    """Layers of this run are removed, those that were there before stay."""
    load_bytes(as_tar(docker_archive((BASE,), ("example.org/base:1",))))
    broken = docker_archive((BASE, CHANGE, TOP))
    broken[f"{sha(TOP)[7:]}.tar"] = CHANGE

    with pytest.raises(ImageArchiveError, match=sha(TOP)):
        load_bytes(as_tar(broken))

    assert [layer.id for layer in store.layers.list()] == [sha(BASE)[7:]]


def test_a_failure_in_the_second_image_takes_the_first_back(store: Store, load_bytes: Load) -> None:
    """An archive is loaded whole or not at all."""
    one, two = docker_archive(), docker_archive((TOP,), ("example.org/two:1",))
    items = [json.loads(members["manifest.json"])[0] for members in (one, two)]
    two[f"{sha(TOP)[7:]}.tar"] = CHANGE

    with pytest.raises(ImageArchiveError):
        load_bytes(as_tar({**two, **one, "manifest.json": json.dumps(items).encode()}))

    assert store.layers.list() == []
    assert store.images.list() == []


def test_an_id_that_means_something_else_here_is_refused(store: Store, load_bytes: Load) -> None:
    """A layer of other contents, or an image of other layers, under the ID that the archive gives."""
    stranger = store.layers.create(NewLayer(id=sha(BASE)[7:]))
    with pytest.raises(IDTaken):
        load_bytes(as_tar(docker_archive()))
    store.layers.delete(stranger.id)

    result = load_bytes(as_tar(docker_archive()))
    store.images.delete(result.images[0].id)
    top = store.layers.create(NewLayer())
    store.images.create(NewImage(id=result.images[0].id, layer=top.id))
    with pytest.raises(TopLayerDiffers, match="another top layer") as told:
        load_bytes(as_tar(docker_archive()))
    assert "uses a different top layer" in told.value.go_text
    assert [layer.id for layer in store.layers.list()] == [top.id]


def test_links_in_a_directory_are_not_followed(store: Store, tmp_path: Path) -> None:
    """A layout may come from anywhere; a link in it may lead anywhere."""
    layout = as_directory(oci_layout(), str(tmp_path / "layout"))
    index = tmp_path / "layout" / "index.json"
    index.rename(tmp_path / "elsewhere")
    index.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(CstoreError, match="symbolic link"):
        load_path(store, layout)


def test_a_mistake_of_the_disk_at_the_last_step_leaves_nothing_half_done(
    store: Store, load_bytes: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All items are there when the names are to be given: the failed load is finished, not half taken back."""
    with monkeypatch.context() as broken:
        broken.setattr(type(store), "add_names", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
        with pytest.raises(OSError, match="no space"):
            load_bytes(as_tar(docker_archive()))

    (image,) = store.images.list()
    assert image.names == ("example.org/app:1",)
    assert load_bytes(as_tar(docker_archive())).images[0].id == image.id
    store.delete(image.id)
