"""The archives of `docker save`, Podman and skopeo: a `manifest.json` names configs and layers (docker 18.1, 19)."""

from __future__ import annotations

from contextlib import suppress

from cstore.digests import check_digest
from cstore.errors import ImageArchiveError, InvalidDigest
from cstore.oci.names import LOCAL
from cstore.transfer.manifests import LARGEST, load_json, urls_in
from cstore.transfer.members import get_part, plain_name
from cstore.transfer.oci_layout import INDEX, names_of_configs, require_digest
from cstore.transfer.plan import MOST_IMAGES, ImagePlan, LayerPlan, layer_count_differs, merge, read_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cstore.transfer.members import Members
    from cstore.transfer.plan import Naming

MANIFEST = "manifest.json"
REPOSITORIES = "repositories"
"""The file with the names of images in the oldest archives, which have no manifest; see v1_archive.py."""
_LARGEST_MANIFEST = 1 << 20
_BLOBS = "blobs/"
_KEYS = {key.lower(): key for key in ("Config", "RepoTags", "Layers", "LayerSources")}
"""In upper or lower case: Docker, Podman and skopeo accept both."""
_NO_NAME = "<none>:<none>"


def read_plans(members: Members, naming: Naming) -> list[ImagePlan]:
    """Read those images that are wanted.

    Raises:
        ImageArchiveError: a document is not what it should be, or names what is not there.
    """
    raw = get_part(members, MANIFEST, "the format").read(_LARGEST_MANIFEST)
    items = load_json(raw, MANIFEST)
    if items is None:
        go_text = "invalid manifest, manifest cannot be null (but can be [])"
        raise ImageArchiveError(MANIFEST, "expected a list of images, found null", go_text=go_text)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        hint = "skopeo copy converts a dir: directory to an OCI layout" if isinstance(items, dict) else ""
        raise ImageArchiveError(MANIFEST, "expected a list of JSON objects, one for each image", hint=hint)
    items = [{_KEYS.get(key.lower(), key): value for key, value in item.items()} for item in items]
    if len(items) > MOST_IMAGES:
        raise ImageArchiveError(MANIFEST, f"it names {len(items)} images, more than the allowed {MOST_IMAGES}")
    names = [_names(item, f"{MANIFEST}, image {place}", naming) for place, item in enumerate(items)]
    # Docker and containerd write an index as well, which may know a name that is missing here.
    indexed = {} if all(names) or members.find(INDEX) is None else names_of_configs(members, naming.with_(home=LOCAL))
    plans = []
    for place, (item, said) in enumerate(zip(items, names, strict=True)):
        config = str(item.get("Config")).lstrip("/").removeprefix(_BLOBS).removesuffix(".json")
        digest = config.replace("/", ":", 1) if "/" in config else f"sha256:{config}"
        known = said or indexed.get(digest, ())
        if naming.wants(known):
            plans.append(_plan(members, item, f"{MANIFEST}, image {place}", known))
    return merge(plans)


def _plan(members: Members, item: Mapping[str, Any], where: str, names: tuple[str, ...]) -> ImagePlan:
    config_name = item.get("Config")
    if not isinstance(config_name, str):
        raise ImageArchiveError(where, "expected the name of a config under 'Config'")
    layers = [plain_name(name, where) for name in _texts(item, "Layers", where)]
    described = get_part(members, config_name, where)
    raw = described.read(LARGEST)
    if described.name.startswith(_BLOBS):
        with suppress(InvalidDigest):  # what is not called by its digest cannot be held to its name
            digest = check_digest(described.name.removeprefix(_BLOBS).replace("/", ":", 1))
            require_digest(described.name, digest, raw)
    config = read_config(raw, described.name)
    diff_ids = config.rootfs.diff_ids
    if len(layers) != len(diff_ids):
        raise layer_count_differs(where, len(layers), len(diff_ids))
    sources = item.get("LayerSources")
    chain = []
    for member, diff_id in zip(layers, diff_ids, strict=True):
        part = members.find(member)  # if it is not there, that is told when it is needed
        source = sources.get(diff_id) if isinstance(sources, dict) else None
        urls = urls_in(source) if part is None and isinstance(source, dict) else ()
        chain.append(LayerPlan(member, diff_id, linked=part is not None and part.linked, urls=urls))
    return ImagePlan(where, config, tuple(chain), names)


def _texts(item: Mapping[str, Any], key: str, where: str) -> list[str]:
    found = item.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ImageArchiveError(where, f"expected a list of texts under {key!r}")
    return found


def _names(item: Mapping[str, Any], where: str, naming: Naming) -> tuple[str, ...]:
    """The names of an image in `RepoTags`."""
    names = []
    for text in _texts(item, "RepoTags", where):
        if text == _NO_NAME:
            continue
        if (":" not in text.rpartition("/")[2] or "@" in text) and not naming.forgiving and not naming.wanted:
            raise ImageArchiveError(
                where,
                f"{text!r} under 'RepoTags' has no tag",
                hint="--tag gives the image another name",
                go_text=f'invalid tag "{text}"',
            )
        names.append(naming.read(text, f"{where}: 'RepoTags'"))
    return tuple(filter(None, names))
