"""What `docker save`, Podman and skopeo write: a `manifest.json` that names configs and layers (docker 18.1, 19)."""

from __future__ import annotations

from cstore.digests import check_digest, digest_of
from cstore.errors import ImageArchiveError, InvalidDigest, InvalidName
from cstore.oci.names import parse_name
from cstore.transfer.manifests import LARGEST, load_json
from cstore.transfer.members import get_part, plain_name
from cstore.transfer.plan import MOST_IMAGES, ImagePlan, LayerPlan, layer_count_differs, merge, read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cstore.oci.config import ImageConfig
    from cstore.transfer.members import Members

MANIFEST = "manifest.json"
_LARGEST_MANIFEST = 1 << 20
_BLOBS = "blobs/"


def read_plans(members: Members, home: str) -> list[ImagePlan]:
    """Read what images there are. `home` is the domain of names without one.

    Raises:
        ImageArchiveError: a document is not what it should be, or names what is not there.
    """
    raw = get_part(members, MANIFEST, "the format").read(_LARGEST_MANIFEST)
    items = load_json(raw, MANIFEST)
    if items is None:
        peer = "invalid manifest, manifest cannot be null (but can be [])"
        raise ImageArchiveError(MANIFEST, "expected a list of images, found null", peer=peer)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        hint = "skopeo copy makes an OCI layout of a dir: directory" if isinstance(items, dict) else ""
        raise ImageArchiveError(MANIFEST, "expected a list of JSON objects, one for each image", hint=hint)
    if len(items) > MOST_IMAGES:
        raise ImageArchiveError(MANIFEST, f"it names {len(items)} images, and may name {MOST_IMAGES}")
    return merge([_plan(members, item, place, home) for place, item in enumerate(items)])


def _plan(members: Members, item: Mapping[str, Any], place: int, home: str) -> ImagePlan:
    where = f"{MANIFEST}, image {place}"
    config_name = item.get("Config")
    if not isinstance(config_name, str):
        raise ImageArchiveError(where, "expected the name of a config under 'Config'")
    names = tuple(_name(text, where, home) for text in _texts(item, "RepoTags", where))
    layers = [plain_name(name, where) for name in _texts(item, "Layers", where)]
    config = _config(members, config_name, where)
    diff_ids = config.rootfs.diff_ids
    if len(layers) != len(diff_ids):
        raise layer_count_differs(where, len(layers), len(diff_ids))
    chain = tuple(_layer(members, *layer) for layer in zip(layers, diff_ids, strict=True))
    return ImagePlan(where, config, chain, names)


def _layer(members: Members, member: str, diff_id: str) -> LayerPlan:
    part = members.find(member)  # if it is not there, that is told when it is needed
    return LayerPlan(member, diff_id, linked=part is not None and part.linked)


def _texts(item: Mapping[str, Any], key: str, where: str) -> list[str]:
    found = item.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ImageArchiveError(where, f"expected a list of texts under {key!r}")
    return found


def _name(text: str, where: str, home: str) -> str:
    if ":" not in text.rpartition("/")[2] or "@" in text:
        raise ImageArchiveError(where, f"{text!r} under 'RepoTags' has no tag", peer=f'invalid tag "{text}"')
    try:
        return str(parse_name(text, home=home))
    except InvalidName as error:
        raise ImageArchiveError(where, f"under 'RepoTags', {error.message}", peer=error.peer) from None


def _config(members: Members, name: str, where: str) -> ImageConfig:
    part = get_part(members, name, where)
    raw = part.read(LARGEST)
    check_blob_name(part.name, raw)
    return read_config(raw, part.name)


def check_blob_name(name: str, raw: bytes) -> None:
    """Hold a member that is called by its digest to its name.

    Raises:
        ImageArchiveError: it has another digest.
    """
    if not name.startswith(_BLOBS):
        return
    said = name.removeprefix(_BLOBS).replace("/", ":", 1)
    try:
        check_digest(said)
    except InvalidDigest:
        return
    if said.startswith("sha256:") and digest_of(raw) != said:
        raise ImageArchiveError(
            name, f"expected digest {said}, and it has {digest_of(raw)}", peer=f"Digest did not match, expected {said}"
        )
