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
