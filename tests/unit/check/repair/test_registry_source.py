"""An image of a registry as a source: its documents, its layers by DiffID, and what is no image beside it."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Self

import pytest

from cstore.check.repair.registry_source import RegistryImage
from cstore.digests import digest_of
from cstore.errors import SourceUnusable
from cstore.registry.errors import RegistryFailed
from cstore.registry.manifests import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, SECOND = (f"sha256:{digit * 64}" for digit in "12")
LAYER = b"a layer"


class Documents:
    """What a repository answers: `manifests` and `blobs` by digest, "" for the image that was asked for."""

    def __init__(self, blobs: dict[str, bytes], manifests: dict[str, bytes]) -> None:
        self.blobs, self.manifests = blobs, manifests

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def manifest(self, reference: str = "") -> Manifest:
        """See `Repository.manifest`."""
        if reference not in self.manifests:
            raise RegistryFailed("registry", "no such manifest", 404)
        return Manifest(self.manifests[reference], "", reference)

    def read_blob(self, digest: str, size: int) -> bytes:
        """See `Repository.read_blob`."""
        del size
        return self.blobs[digest]

    @contextmanager
    def blob(self, digest: str, size: int) -> Iterator[io.BytesIO]:
        """See `Repository.blob`."""
        yield io.BytesIO(self.blobs[digest][:size])


def image(monkeypatch: pytest.MonkeyPatch, blobs: dict[str, bytes], manifests: dict[str, bytes]) -> RegistryImage:
    """The image of such a repository."""
    monkeypatch.setattr(
        "cstore.check.repair.registry_source.open_repository", lambda *_, **__: Documents(blobs, manifests)
    )
    return RegistryImage("docker://x", None)


def config(*diff_ids: str) -> bytes:
    """A config that names layers."""
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()


def manifest(raw: bytes, *layers: Any) -> bytes:
    """A manifest that names a config and layers."""
    return json.dumps({"config": {"digest": digest_of(raw), "size": len(raw)}, "layers": layers}).encode()


BLOB = {"digest": digest_of(LAYER), "size": len(LAYER)}
CONFIG = config(FIRST)
BLOBS = {digest_of(CONFIG): CONFIG, digest_of(LAYER): LAYER}


def append(file: IO[bytes], data: memoryview) -> None:
    """Write to a file."""
    file.write(data)


def test_an_image_has_its_documents_and_its_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    found = image(monkeypatch, BLOBS, {"": manifest(CONFIG, BLOB)})

    assert found.documents == [manifest(CONFIG, BLOB), CONFIG]
    assert (found.has(FIRST), found.has(SECOND)) == (True, False)
    into = io.BytesIO()
    found.fetch(FIRST, into, append)
    assert into.getvalue() == LAYER


def test_another_blob_than_was_asked_for_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    found = image(monkeypatch, {**BLOBS, digest_of(LAYER): b"another"}, {"": manifest(CONFIG, BLOB)})

    with pytest.raises(SourceUnusable, match="another blob"):
        found.fetch(FIRST, io.BytesIO(), append)


def test_an_index_has_all_of_its_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what lies beside them, such as an attestation, hurts nobody."""
    other = config(SECOND)
    rows = [{"digest": "one"}, {"digest": "two"}, {"digest": "attestation"}]
    manifests = {
        "": json.dumps({"manifests": rows}).encode(), "one": manifest(CONFIG, BLOB), "two": manifest(other, BLOB),
        "attestation": manifest(b"no config", BLOB),
    }  # fmt: skip

    found = image(monkeypatch, {**BLOBS, digest_of(other): other, digest_of(b"no config"): b"no config"}, manifests)
    assert found.has(FIRST)
    assert found.has(SECOND)


ODD_LAYERS = {"digest": FIRST}, {"digest": FIRST, "size": "1"}, {"digest": 1, "size": 1}, {"digest": FIRST, "size": -1}


@pytest.mark.parametrize("layer", ODD_LAYERS)
def test_a_layer_without_digest_or_size_cannot_be_had(monkeypatch: pytest.MonkeyPatch, layer: Any) -> None:
    assert not image(monkeypatch, BLOBS, {"": manifest(CONFIG, layer)}).has(FIRST)


NO_IMAGES: list[dict[str, bytes]] = [{}, {"": b"[]"}, {"": b"{"}, {"": b'{"manifests":[{"digest":"gone"}]}'}]


@pytest.mark.parametrize("manifests", NO_IMAGES)
def test_what_is_no_image_cannot_be_used(monkeypatch: pytest.MonkeyPatch, manifests: dict[str, bytes]) -> None:
    """The source is named, whatever the registry said."""
    with pytest.raises(SourceUnusable, match="docker://x"):
        image(monkeypatch, BLOBS, manifests)
