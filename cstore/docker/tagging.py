"""Names of images by Docker's rules: completed, moved from one image to another only if that is meant (docker 9.3)."""

from __future__ import annotations

from cstore.errors import InvalidName, NameTaken
from cstore.oci.names import DOCKER, parse_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.oci.names import ImageName
    from cstore.store import Store

_AMBIGUOUS = f"{DOCKER}/library/sha256"


def full_tag(text: str) -> ImageName:
    """Complete a name that an image is to get.

    Raises:
        InvalidName: it is not a valid name, or looks like a digest.
    """
    name = parse_name(text)
    if name.digest:
        raise _refused(text, "it names a digest", "refusing to create a tag with a digest reference")
    if name.repository == _AMBIGUOUS:
        go_text = "refusing to create an ambiguous tag using digest algorithm as name"
        raise _refused(text, "it could be taken for a digest", go_text)
    return name


def add_tag(store: Store, image: str, name: ImageName, *, force: bool = True) -> None:
    """Give an image a name; it stands first among its names.

    Args:
        store: where.
        image: its ID in the store.
        name: in full.
        force: take the name from another image that has it.

    Raises:
        NameTaken: another image has it, and `force` is off.
    """
    holder = next((other for other in store.images.list() if str(name) in other.names), None)
    if holder is not None and holder.id != image and not force:
        error = NameTaken("image", str(name), holder.id)
        error.go_text = f"tag {name} is already set to image sha256:{holder.id}, use the force option to replace it"
        raise error
    if holder is None or holder.id != image:
        store.add_names(image, [str(name)])


def _refused(text: str, reason: str, go_text: str) -> InvalidName:
    error = InvalidName(text, reason)
    error.go_text = go_text
    return error
