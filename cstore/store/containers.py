"""The containers of a store, as a library sees them: one method a verb, each a call to its module."""

from __future__ import annotations

from cstore.errors import ContainerUnknown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.records.model import Container
    from cstore.store.context import Context
    from cstore.store.reading import Reader


class Containers:
    """Containers by ID, name, layer or unique ID prefix (`word`). Reading takes no lock and leaves no trace."""

    def __init__(self, context: Context, reader: Reader) -> None:
        self._context = context
        self._reader = reader

    # ── looking ──

    def list(self) -> Sequence[Container]:
        """All containers, in the order of their records."""
        return list(self._reader.containers)

    def find(self, word: str) -> Container | None:
        """The container that answers to `word`, or None."""
        return self._reader.containers.resolve(word)

    def get(self, word: str) -> Container:
        """The container that answers to `word`.

        Raises:
            ContainerUnknown: none does, or more than one.
        """
        container = self.find(word)
        if container is None:
            raise ContainerUnknown(word)
        return container
