"""What is said of images that came in from an archive."""

from __future__ import annotations

from cstore.cli.output.structured import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from cstore.transfer import LoadedImage


def loaded(images: Iterable[LoadedImage]) -> Iterator[str]:
    """Plain lines as Docker and Podman print them: one a name, or one for an image without names."""
    for image in images:
        if not image.names:
            yield f"Loaded image ID: sha256:{image.id}"
        for name in image.names:
            yield f"Loaded image: {name}"


def loaded_document(images: Iterable[LoadedImage]) -> list[dict[str, Any]]:
    """The same and more, for programs."""
    return [
        {
            "version": VERSION,
            "id": image.id,
            "digest": image.digest,
            "names": list(image.names),
            "layers": list(image.layers),
            "new_layers": list(image.new_layers),
        }
        for image in images
    ]
