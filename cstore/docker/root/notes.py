"""Docker's notes on an image, for a store into which the image was imported."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.docker.root.imagedb import DockerImage
    from cstore.store import Store


def import_notes(image: DockerImage, store: Store) -> None:
    """Record of an imported image what Docker noted of it: its parent, if that is in the store; when it was tagged.

    Raises:
        ImageUnknown: the image is not there.
    """
    from cstore.docker.facts import Facts

    facts = Facts(store)
    if image.parent and store.images.find(image.parent) is not None:
        facts.set_parent(image.id, image.parent)
    if image.last_updated:
        facts.set_last_updated(image.id, image.last_updated)
    if image.built_locally:
        facts.set_built_locally(image.id)
