"""Imports the tar of a root file system as an image that can be run (docker import, podman import).

Layer ID, manifest, names and config are those that Podman gives to the same tar.
"""

from __future__ import annotations

from cstore import gojson
from cstore.arguments import checked
from cstore.digests import digest_of
from cstore.errors import ImageInvalid, InvalidOption
from cstore.oci.config import parse_config
from cstore.oci.instructions import changed
from cstore.oci.names import LOCAL, parse_name
from cstore.oci.platforms import wanted_platform
from cstore.records.codec import now
from cstore.store import NewImage, NewLayer
from cstore.store.applied_layer import id_by_contents
from cstore.transfer import media
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cstore.archive.apply import Applied
    from cstore.records.model import Image, Layer
    from cstore.store import Store
    from cstore.store.ends import Source
    from cstore.store.intents import Intent

METADATA = "{}"
_MESSAGE = "imported from a tarball"


class ImportRequest(Value):
    """What a caller asks for.

    Attributes:
        name: of the image, completed with `localhost` and `latest`; "" for none.
        changes: instructions such as `CMD /bin/sh`.
        config: an image config, or the run config in one, to begin with; b"" for an empty one.
        message: what the history of the image says of this step.
        platform: OS/ARCHITECTURE[/VARIANT]; "" takes what the config says, else this machine's.
        expect: the digest that the tar must have, compressed or uncompressed; "" takes any.
    """

    name: str = ""
    changes: tuple[str, ...] = ()
    config: bytes = b""
    message: str = _MESSAGE
    platform: str = ""
    expect: str = ""


@checked
def import_image(
    store: Store, source: Source, request: ImportRequest, progress: Callable[[int], None] | None = None
) -> Image:
    """Make an image of a root file system.

    Args:
        store: where it goes.
        source: the tar, compressed or not: a path, bytes, a descriptor, a file.
        request: what is asked for.
        progress: called now and then with the bytes read so far.

    Raises:
        ArchiveError: the tar cannot be a layer, or is empty; nothing of it remains.
        InvalidOption, InvalidName, ImageInvalid: the request makes no sense; nothing has been read then.
    """
    name = str(parse_name(request.name, home=LOCAL)) if request.name else ""
    if "@" in name:
        raise InvalidOption(f"{request.name!r} has a digest, which a new image cannot have")
    document = _document(request)
    wanted = NewLayer(by_contents=True, reuse=True, expect=request.expect, refuse_empty=True)
    with store.begin() as intent:

        def note_layer(applied: Applied) -> Applied:
            layer = id_by_contents("", applied)
            intent.note(**({"layers": [layer]} if store.layers.find(layer) is None else {"uses": layer}))
            return applied

        layer = store.layers.put(wanted, source, progress, note_layer)
        image = _create(store, layer, document, request.message, intent).id
        if name:
            intent.note(of=image, names=[name])
        intent.note(complete=True)
        if name:
            store.add_names(image, (name,))
    return store.images.get(image)


def _document(request: ImportRequest) -> dict[str, Any]:
    """Create the config, except for the fields of the layer."""
    given: dict[str, Any] = {}
    if request.config:
        import json

        try:
            given = json.loads(request.config)
        except (ValueError, RecursionError) as error:
            raise ImageInvalid(f"its config is not JSON: {error}") from None
        if not isinstance(given, dict):
            raise ImageInvalid("its config is not a JSON object")
        if given and not {"config", "rootfs", "architecture", "os", "history"} & given.keys():
            given = {"config": given}  # it is only what is under `config` in that of an image
    platform = wanted_platform(request.platform)
    said = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    kept = {key: value for key, value in given.items() if key not in {"rootfs", "history", "created"}}
    if not request.platform and kept.get("os") and kept.get("architecture"):
        said = {}
    elif request.platform:
        kept = {key: value for key, value in kept.items() if key not in {"variant", "os.version", "os.features"}}
    document = {**kept, **{key: value for key, value in said.items() if value}}
    config = document.pop("config", None) or {}
    if not isinstance(config, dict):
        raise ImageInvalid("'config' in its config is not an object")
    document["config"] = changed(config, request.changes)
    return document


def _create(store: Store, layer: Layer, document: dict[str, Any], message: str, intent: Intent) -> Image:
    created = now()
    step = {
        "created": created,
        "created_by": f"/bin/sh -c #(nop) ADD file:{layer.diff_digest.partition(':')[2]} in /",
        "comment": message,
    }
    config = parse_config(
        gojson.encode(
            {
                "created": created,
                **document,
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_digest]},
                "history": [{key: value for key, value in step.items() if value}],
            }
        )
    )
    manifest = gojson.encode(
        {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "config": {"mediaType": media.OCI_CONFIG, "digest": config.digest, "size": len(config.raw)},
            "layers": [{"mediaType": media.OCI_LAYER, "digest": layer.diff_digest, "size": layer.diff_size}],
        }
    )
    digest = digest_of(manifest)
    data = {config.digest: config.raw, f"manifest-{digest}": manifest, "manifest": manifest}
    if store.images.find(config.id) is None:
        intent.note(image=config.id)
    return store.images.create(
        NewImage(id=config.id, layer=layer.id, metadata=METADATA, digest=digest, created=created, data=data)
    )
