"""What is chosen of an archive, and that nothing else is judged."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cstore.errors import CstoreError, ImageArchiveError, MemberMissing, NoImage
from tests.unit.transfer.archives import (
    BASE,
    CHANGE,
    OCI,
    as_json,
    as_tar,
    config_of,
    descriptor,
    docker_archive,
    named,
    oci_image,
    platforms_layout,
    sha,
    with_index,
)

if TYPE_CHECKING:
    from typing import Any

    from cstore.store import Store
    from tests.unit.transfer.archives import Members
    from tests.unit.transfer.conftest import Load

pytestmark = pytest.mark.usefixtures("needs_root")

NAME = "example.org/app:1"


def artifact(members: Members, config: str, layer: str, **more: Any) -> dict[str, Any]:
    """Something that is stored like an image and is none."""
    manifest = {
        "schemaVersion": 2,
        "config": descriptor(members, config, b"{}"),
        "layers": [descriptor(members, layer, b"{}")],
        **more,
    }
    return descriptor(members, f"{OCI}.manifest.v1+json", as_json(manifest))


def others(members: Members) -> dict[str, dict[str, Any]]:
    """What may stand beside an image in an index."""
    nowhere = {"platform": {"os": "unknown", "architecture": "unknown"}}
    return {
        "unknown": descriptor(members, "application/x-zoo", b"{}"),
        "sbom": artifact(members, f"{OCI.replace('image', 'empty')}.v1+json", "application/spdx+json"),
        "named chart": named(artifact(members, "application/vnd.cncf.helm.config.v1+json", "x/y"), "example.org/c:1"),
        "attestation": {**artifact(members, f"{OCI}.config.v1+json", "application/vnd.in-toto+json"), **nowhere},
    }


@pytest.mark.parametrize("names", [(), (NAME,)])
@pytest.mark.parametrize("kind", ["unknown", "sbom", "named chart", "attestation"])
def test_what_is_no_image_is_passed_over(store: Store, load_bytes: Load, kind: str, names: tuple[str, ...]) -> None:
    """Beside an image, something else is no error; where nobody asked for one image, a note tells of it."""
    members: Members = {}
    entry = named(oci_image(members, (BASE,)), NAME)
    result = load_bytes(as_tar(with_index(members, others(members)[kind], entry)), names=names)

    assert [image.names for image in store.images.list()] == [(NAME,)]
    assert any("passed over" in warning for warning in result.warnings) == (not names)


def test_what_was_asked_for_must_be_an_image(load_bytes: Load) -> None:
    """A chart that is named is refused for what it is."""
    members: Members = {}
    entry = named(oci_image(members, (BASE,)), NAME)
    archive = as_tar(with_index(members, others(members)["named chart"], entry))

    with pytest.raises(NoImage, match="artifact"):
        load_bytes(archive, names=("example.org/c:1",))


def test_a_neighbor_is_not_judged(store: Store, load_bytes: Load) -> None:
    """An image that nobody asked for may be broken, or have a name that is none."""
    members: Members = {}
    entry = named(oci_image(members, (BASE,)), NAME)
    broken = {**oci_image(members, (CHANGE,)), "size": 3}
    load_bytes(as_tar(with_index(members, named(broken, "Bad Name"), entry)), names=(NAME,))
    assert [image.names for image in store.images.list()] == [(NAME,)]

    items = json.loads(docker_archive()["manifest.json"])
    items.insert(0, {"Config": "not-there.json", "RepoTags": ["UPPER:1"], "Layers": []})
    load_bytes(as_tar({**docker_archive(), "manifest.json": as_json(items)}), names=(NAME,))
    assert NAME in [name for image in store.images.list() for name in image.names]


@pytest.mark.parametrize("lost", ["manifest", "layer"])
def test_all_platforms_that_are_there(store: Store, load_bytes: Load, lost: str) -> None:
    """With --all, an absent platform is named in a note, and the others are loaded."""
    members = platforms_layout("amd64", "arm64")
    manifest = next(name for name, body in members.items() if sha_of_arch(body, members, "arm64"))
    layers = json.loads(members[manifest])["layers"]
    gone = manifest if lost == "manifest" else f"blobs/{layers[-1]['digest'].replace(':', '/')}"
    del members[gone]
    result = load_bytes(as_tar(members), all_platforms=True)

    assert len(store.images.list()) == 1
    assert any("passed over" in warning and "linux/arm64" in warning for warning in result.warnings)


def sha_of_arch(body: bytes, members: Members, architecture: str) -> bool:
    """Whether a member is the manifest of the image for an architecture."""
    if b'"config"' not in body or not body.startswith(b'{"schemaVersion"'):
        return False
    config = json.loads(body)["config"]["digest"].replace(":", "/")
    return bool(json.loads(members[f"blobs/{config}"])["architecture"] == architecture)


@pytest.mark.parametrize("stream", [False, True])
def test_names_of_the_index(store: Store, load_bytes: Load, *, stream: bool) -> None:
    """A docker-archive whose RepoTags are empty has the names that its index gives to its configs."""
    members: Members = {}
    entry = named(oci_image(members, (BASE,), zipped=False), NAME)
    with_index(members, entry)
    digest = sha(config_of((BASE,)))
    paths = [f"blobs/{one.replace(':', '/')}" for one in (digest, sha(BASE))]
    members["manifest.json"] = as_json([{"Config": paths[0], "RepoTags": None, "Layers": paths[1:]}])
    load_bytes(as_tar(members), stream=stream)

    assert [image.names for image in store.images.list()] == [(NAME,)]


def test_a_better_name(store: Store, load_bytes: Load) -> None:
    """--tag names an image that has no name, or only one that cannot be one; without it the latter is refused."""
    members: Members = {}
    with_index(members, named(oci_image(members, (BASE,)), "Bad Name"))
    with pytest.raises(ImageArchiveError) as caught:
        load_bytes(as_tar(members))
    assert "--tag" in caught.value.hint
    load_bytes(as_tar(members), tag=NAME)
    load_bytes(as_tar(docker_archive(tags=["UPPER"])), tag="example.org/other:1")

    assert {name for image in store.images.list() for name in image.names} == {NAME, "example.org/other:1"}


def test_an_image_without_a_name(store: Store, load_bytes: Load) -> None:
    """It loads all the same."""
    load_bytes(as_tar(docker_archive(tags=None)))
    assert [image.names for image in store.images.list()] == [()]


def test_a_layer_that_is_elsewhere(store: Store, load_bytes: Load) -> None:
    """A layer that archives need not hold is refused with its URL, and nothing is left."""
    members: Members = {}
    entry = oci_image(members, (BASE, CHANGE))
    document = json.loads(members.pop(f"blobs/{entry['digest'].replace(':', '/')}"))
    layer = document["layers"][1]
    del members[f"blobs/{layer['digest'].replace(':', '/')}"]
    kind = f"{OCI}.layer.nondistributable.v1.tar+gzip"
    document["layers"][1] = {**layer, "mediaType": kind, "urls": ["https://example.com/base"]}
    new = descriptor(members, entry["mediaType"], as_json(document))

    with pytest.raises(MemberMissing, match=r"https://example\.com/base"):
        load_bytes(as_tar(with_index(members, named(new, NAME))))
    assert not store.layers.list()


@pytest.mark.parametrize("algorithm", ["sha512", "sha384"])
def test_a_config_by_another_digest(store: Store, load_bytes: Load, algorithm: str) -> None:
    """A store names configs by sha256: an image that names its config otherwise is refused, and leaves nothing."""
    import hashlib

    members: Members = {}
    entry = oci_image(members, (BASE,))
    document = json.loads(members.pop(f"blobs/{entry['digest'].replace(':', '/')}"))
    raw = config_of((BASE,))
    digest = hashlib.new(algorithm, raw).hexdigest()
    members[f"blobs/{algorithm}/{digest}"] = raw
    document["config"]["digest"] = f"{algorithm}:{digest}"
    new = descriptor(members, entry["mediaType"], as_json(document))

    with pytest.raises(CstoreError, match=f"names its config by {algorithm}"):
        load_bytes(as_tar(with_index(members, named(new, NAME))))
    assert not store.layers.list()
