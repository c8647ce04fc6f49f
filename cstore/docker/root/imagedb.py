"""Read the images of a data root (docker 8)."""

from __future__ import annotations

import os
import re

from cstore.docker.root import files
from cstore.docker.root.names import read_names
from cstore.errors import DockerRootDamaged, ImageInvalid, InvalidName
from cstore.oci.config import ImageConfig, parse_config
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.docker.root.layerdb import Layers
    from cstore.docker.root.place import Place

_HEX = re.compile(r"[0-9a-f]{64}")


class DockerImage(Value):
    """An image: its config, its familiar names, its digest references, and other facts that Docker records.

    Attributes:
        id: 64 hex digits.
        parent: the ID of the image that it was made from, or "".
        last_updated: the time when it was tagged, RFC 3339, or "".
        size: the recorded size of all its layers, in bytes.
    """

    id: str
    config: ImageConfig
    names: tuple[str, ...]
    digests: tuple[str, ...]
    parent: str
    last_updated: str
    built_locally: bool
    size: int


def read_images(place: Place, layers: Layers) -> tuple[dict[str, DockerImage], list[DockerRootDamaged]]:
    """Read all images; return those with a valid config and all layers, by ID, and the errors of the others."""
    content = os.path.join(place.records, "imagedb", "content", "sha256")
    found: dict[str, DockerImage] = {}
    flaws: list[DockerRootDamaged] = []
    try:
        references = read_names(place)
    except DockerRootDamaged as flaw:
        references = {}  # the images can still be found by ID
        flaws.append(flaw)
    for name in files.names(content):
        if not _HEX.fullmatch(name):
            continue
        path = os.path.join(content, name)
        try:
            raw = files.read(path)
            if raw is not None:
                found[name] = _image(place, path, raw, references.get(f"sha256:{name}", []), layers)
        except DockerRootDamaged as flaw:
            flaws.append(flaw)
    return found, flaws


def _image(place: Place, path: str, raw: bytes, references: list[str], layers: Layers) -> DockerImage:
    try:
        config = parse_config(raw)
        config.check_diff_ids()
    except ImageInvalid as error:
        raise DockerRootDamaged(path, error.reason) from None
    if config.id != os.path.basename(path):
        raise DockerRootDamaged(path, "its digest does not match its name")
    chain = config.rootfs.chain_id
    if chain and chain not in layers.by_chain:
        raise DockerRootDamaged(path, f"its layers are missing: {chain}")
    facts = os.path.join(place.records, "imagedb", "metadata", "sha256", config.id)
    return DockerImage(
        id=config.id,
        config=config,
        names=tuple(name for name in references if "@" not in name),
        digests=tuple(name for name in references if "@" in name),
        parent=files.read_text(os.path.join(facts, "parent")).removeprefix("sha256:"),
        last_updated=files.read_text(os.path.join(facts, "lastUpdated")),
        built_locally=files.read(os.path.join(facts, "builtLocally")) == b"\x01",
        size=sum(layer.size for layer in layers.line(chain)),
    )


def find_image(images: Mapping[str, DockerImage], ref: str) -> DockerImage | None:
    """Return the image with that name, familiar or full, else the one whose ID has that prefix; None if there is none.

    Raises:
        AmbiguousImageID: several IDs have that prefix.
    """
    from cstore.docker.partial_id import resolve
    from cstore.errors import AmbiguousImageID, ImageUnknown

    named = next((image for image in images.values() if names_meant(image, ref)), None)
    if named is not None:
        return named
    try:
        return images[resolve(ref, images)]
    except AmbiguousImageID:
        raise
    except ImageUnknown:
        return None


def names_meant(image: DockerImage, ref: str) -> tuple[str, ...]:
    """Return the names of an image that equal `ref`, familiar or full; none if `ref` is not one of its names."""
    from cstore.docker.root.names import full_name

    try:
        wanted = full_name(ref)
    except InvalidName:  # it may still be an ID
        return ()
    return tuple(name for name in image.names if full_name(name) == wanted)
