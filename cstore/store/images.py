"""The images of a store, as a library sees them: one method a verb, each a call to the module that knows the verb."""

from __future__ import annotations

from cstore.errors import ImageUnknown
from cstore.store.lookup import find_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.records.model import Image
    from cstore.store.context import Context
    from cstore.store.reading import Reader


class Images:
    """Images by ID, name or unique ID prefix (`word`). Reading takes no lock and leaves no trace."""

    def __init__(self, context: Context, reader: Reader) -> None:
        self._context = context
        self._reader = reader

    # ── looking ──

    def list(self) -> Sequence[Image]:
        """All images, in the order of their records, those of additional stores last."""
        extra = [image for store in self._reader.additional for image in store.images]
        return [*self._reader.images, *extra]

    def find(self, word: str) -> Image | None:
        """The image that answers to `word`, or None."""
        return find_image(self._reader, word)

    def get(self, word: str) -> Image:
        """The image that answers to `word`.

        Raises:
            ImageUnknown: none does, or more than one.
        """
        image = self.find(word)
        if image is None:
            raise ImageUnknown(word)
        return image
