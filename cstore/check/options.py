"""The options of a check."""

from __future__ import annotations

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 24 * 3600.0


class CheckOptions(Value):
    """The options of a check.

    Attributes:
        quick: do not compare the directories of layers with their archives; digests are still computed.
        layer_digests: rebuild the archive of each layer and compute its digest.
        layer_contents: also compare the directory of each layer with its archive; `quick` turns this off.
        layer_data, image_data, container_data: check data items; for images, also manifests and configs.
        layer_mountable: mount each layer and read it, in a mount that no other process sees.
        max_age: seconds until an unused layer becomes a finding (semantics 18.1).
        layers, images: check only these, by ID, name or unique ID prefix; an image includes all its layers. If both
            are empty, check everything.
        max_duration: seconds until the check stops reading contents; None for no limit. The layers that were read
            longest ago come first, so the next check continues where this one stopped.
        memory: path of a file that records when each layer was read; "" for none.
        workers: number of processes that read contents; 0 for one per core.
        progress: called repeatedly with the bytes read so far and the total.
    """

    quick: bool = False
    max_age: float = DAY
    layers: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    max_duration: float | None = None
    memory: str = ""
    workers: int = 0
    progress: Callable[[int, int], None] | None = None
    layer_digests: bool = True
    layer_contents: bool = True
    layer_data: bool = True
    image_data: bool = True
    container_data: bool = True
    layer_mountable: bool = False

    def data_of(self, kind: str) -> bool:
        """Return whether to check the data items of `kind`: `layer`, `image` or `container`."""
        return {"layer": self.layer_data, "image": self.image_data, "container": self.container_data}[kind]
