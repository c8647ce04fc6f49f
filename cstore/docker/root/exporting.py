"""Export an image of a data root as a docker-archive for Docker, Podman, skopeo and `cstore load` (docker 18.1)."""

from __future__ import annotations

from cstore import gojson
from cstore.archive.tar.writer import END, REGULAR, Entry, header_blocks, padding
from cstore.docker.root.names import full_name
from cstore.store.ends import opened_sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.streams import Sink
    from cstore.docker.root.dataroot import DockerRoot
    from cstore.docker.root.imagedb import DockerImage
    from cstore.store.ends import Target

_MODE = 0o444


def write_image(root: DockerRoot, image: DockerImage, sink: Target) -> None:
    """Write an image with its names: each layer once, the config, and the manifest. The output is reproducible.

    Raises:
        ContentDamaged, TarSplitDamaged, LayerNotVerified: a layer has changed; the output is incomplete or invalid.
    """
    with opened_sink(sink) as opened:
        _write_image(root, image, opened)


def _write_image(root: DockerRoot, image: DockerImage, sink: Sink) -> None:
    line = root.line(image.config.rootfs.chain_id)
    written: set[str] = set()
    for layer in line:
        name = f"{layer.diff_id[7:]}.tar"
        if name in written:
            continue
        written.add(name)
        size = root.layer_length(layer.chain_id)
        sink.write(_header(name, size))
        root.write_layer(layer.chain_id, sink)
        sink.write(padding(size))
    config = f"{image.id}.json"
    _add(sink, config, image.config.raw)
    item = {
        "Config": config,
        "RepoTags": [full_name(name) for name in image.names],
        "Layers": [f"{layer.diff_id[7:]}.tar" for layer in line],
    }
    _add(sink, "manifest.json", gojson.encode([item]))
    sink.write(END)


def _add(sink: Sink, name: str, data: bytes) -> None:
    sink.write(_header(name, len(data)))
    sink.write(data)
    sink.write(padding(len(data)))


def _header(name: str, size: int) -> bytes:
    return header_blocks(Entry(name.encode(), REGULAR, _MODE, 0, 0, size=size))
