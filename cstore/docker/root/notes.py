"""Copy Docker's facts about an image to a store into which the image was imported."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.docker.root.imagedb import DockerImage
    from cstore.store import Store


def import_notes(image: DockerImage, store: Store) -> None:
    """Record Docker's facts about an imported image: its parent, if the store has it, when it was tagged, where built.

    Raises:
        ImageUnknown: the store does not have the image.
    """
    from cstore.docker.facts import Facts

    facts = Facts(store)
    if image.parent and store.images.find(image.parent) is not None:
        facts.set_parent(image.id, image.parent)
    if image.last_updated:
        facts.set_last_updated(image.id, image.last_updated)
    if image.built_locally:
        facts.set_built_locally(image.id)
