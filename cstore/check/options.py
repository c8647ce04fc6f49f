"""How a check is made."""

from __future__ import annotations

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 24 * 3600.0


class CheckOptions(Value):
    """How a check is made.

    Attributes:
        quick: do not hold the directories of layers against their archives; digests are still taken.
        layer_digests: put the archives of layers together again and take their digests.
        layer_contents: hold the directories of layers against these archives, too; `quick` is without.
        layer_data, image_data, container_data: look at data items, and what manifests and configs say.
        layer_mountable: mount each layer to read it, where no other process sees it.
        max_age: seconds after which a layer that nothing uses is worth a finding (semantics 18.1).
        layers, images: look at these alone, by ID, name or prefix; an image stands for all its layers. None: at all.
        max_duration: seconds after which no more contents are read. The layers that were read longest ago come first,
            so that the next check goes on where this one stopped. None: as long as it takes.
        memory: a file that remembers when each layer was read; "" for none.
        workers: processes that read contents; 0 for one a core.
        progress: called with the bytes read so far and all that will be, now and then.
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
        """Whether to look at the data items of a layer, an image or a container."""
        return {"layer": self.layer_data, "image": self.image_data, "container": self.container_data}[kind]
