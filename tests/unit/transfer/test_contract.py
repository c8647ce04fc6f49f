"""Images of an archive are sources as any other, and the store is a sink for several images as for one."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ImageArchiveError
from cstore.transfer import CopyRequest, LoadRequest, StoreSink
from cstore.transfer.archive_images import ArchiveImages
from cstore.transfer.sinks import LayoutSink
from tests.builders import make_tar, regular
from tests.unit.transfer.archives import as_tar, docker_archive, oci_layout
from tests.unit.transfer.conftest import load_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cstore.store import Store
    from cstore.transfer.archive_images import ArchiveSource
    from cstore.transfer.contract import Arrivals

pytestmark = pytest.mark.usefixtures("needs_root")

LAYERS = (make_tar(regular("below", b"1")), make_tar(regular("above", b"2" * 5000)))
ARCHIVES = {
    "docker": as_tar(docker_archive(LAYERS)),
    "oci": as_tar(oci_layout(LAYERS)),
    "plain-oci": as_tar(oci_layout(LAYERS, zipped=False)),
}


class Never:
    """Takes nothing on arrival."""

    def arrived(self, *_: object) -> bool:
        """Leave it."""
        return False


class Several:
    """The images of several archives, to be taken together."""

    warnings: tuple[str, ...] = ()

    def __init__(self, *paths: str) -> None:
        self._paths = paths

    @contextmanager
    def opened(self, store: Store, taker: Arrivals, tell: Callable[[int], None]) -> Iterator[list[ArchiveSource]]:
        """Open all of them."""
        with ExitStack() as stack:
            found = []
            for path in self._paths:
                file = stack.enter_context(open(path, "rb"))
                images = ArchiveImages(file.fileno(), path, LoadRequest())
                found += stack.enter_context(images.opened(store, taker, tell))
            yield found


def written(folder: Path, name: str, archive: bytes) -> str:
    """Write an archive."""
    path = folder / name
    path.write_bytes(archive)
    return str(path)


@pytest.mark.parametrize("form", ARCHIVES)
def test_the_images_of_an_archive_go_into_any_sink(store: Store, tmp_path: Path, form: str) -> None:
    """With the manifest of the archive, or one that describes its layers as the sink has them, and every blob."""
    path = written(tmp_path, "archive.tar", ARCHIVES[form])
    layout = str(tmp_path / "layout")
    with Several(path).opened(store, Never(), lambda _: None) as sources:
        (copied,) = LayoutSink(layout, None, sync=False).take_all(sources, CopyRequest(), lambda _: None)
    (direct,) = load_path(store, path).images
    store.wipe()
    (through,) = load_path(store, layout).images

    assert (through.id, through.layers, through.names) == (direct.id, direct.layers, direct.names)
    assert copied.digest == through.digest
    assert through.digest == direct.digest or form != "oci"


def test_a_store_takes_several_images_or_none(store: Store, tmp_path: Path) -> None:
    """Whatever they come from: if one layer is not what it should be, nothing of any image stays."""
    good = written(tmp_path, "good.tar", ARCHIVES["plain-oci"])
    other = oci_layout((LAYERS[1],), zipped=False)
    bad = written(tmp_path, "bad.tar", as_tar(other).replace(b"2" * 5000, b"3" * 5000))

    with pytest.raises(ImageArchiveError):
        StoreSink(store).take_all(Several(good, bad))
    assert not store.images.list()
    assert not store.layers.list()

    taken = StoreSink(store).take_all(Several(good, written(tmp_path, "other.tar", as_tar(other))))
    assert len({image.id for image in taken.images}) == 2
