"""Saving: what the command line cannot show of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.archive.compression import Compression
from cstore.errors import ImageInvalid, ImageUnknown, InvalidOption
from cstore.store import NewImage
from tests.unit.transfer.archives import BASE, CHANGE, as_tar, config_of, docker_archive, oci_layout, sha

if TYPE_CHECKING:
    from cstore.store import Store
    from tests.unit.transfer.conftest import Load, Save

pytestmark = pytest.mark.usefixtures("needs_root")


def test_a_manifest_that_tells_the_truth_is_kept(store: Store, load_bytes: Load, save_bytes: Save) -> None:
    """An OCI image whose layers were not compressed goes out under the digest that it came with."""
    load_bytes(as_tar(oci_layout(zipped=False)))
    digest = store.images.list()[0].digest

    saved = save_bytes("example.org/app:1", format="oci-archive", compression=Compression.NONE)
    assert digest.encode() in saved[:4096]


def test_short_names_find_what_docker_and_podman_call_so(load_bytes: Load, save_bytes: Save) -> None:
    """With and without the domain; the full name is written."""
    load_bytes(as_tar(docker_archive(tags=("short:1", "localhost/mine:1"))))

    assert b"docker.io/library/short:1" in save_bytes("short:1")
    assert b"localhost/mine:1" in save_bytes("mine:1")
    with pytest.raises(ImageUnknown):
        save_bytes("other:1")


def test_a_name_with_a_digest_is_none_that_an_archive_could_hold(
    store: Store, load_bytes: Load, save_bytes: Save
) -> None:
    """The image goes out without a name."""
    image = load_bytes(as_tar(docker_archive())).images[0]
    name = f"example.org/app@{image.digest}"
    store.add_names(image.id, [name])

    assert b'"RepoTags":[]' in save_bytes(name)


def test_an_image_that_does_not_hold_together_is_not_saved(store: Store, load_bytes: Load, save_bytes: Save) -> None:
    """Its config names other layers than it has, or is another one."""
    load_bytes(as_tar(docker_archive()))
    config = config_of((CHANGE,))
    name = sha(config)[7:]
    store.images.create(NewImage(id=name, layer=sha(BASE)[7:], data={f"sha256:{name}": config}))
    store.images.create(NewImage(id="a" * 64, data={f"sha256:{'a' * 64}": config}))

    with pytest.raises(ImageInvalid, match="not those of its config"):
        save_bytes(name)
    with pytest.raises(ImageInvalid, match="does not have the digest"):
        save_bytes("a" * 64)


def test_requests_are_checked(load_bytes: Load, save_bytes: Save) -> None:
    """No images, or a format that is a directory."""
    load_bytes(as_tar(docker_archive()))
    with pytest.raises(InvalidOption):
        save_bytes()
    with pytest.raises(InvalidOption):
        save_bytes("example.org/app:1", format="oci-dir")
