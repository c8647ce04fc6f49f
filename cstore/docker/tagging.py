"""Tag images by Docker's rules: complete names, and move them between images only with force (docker 9.3)."""

from __future__ import annotations

from cstore.errors import InvalidName, NameTaken
from cstore.oci.names import DOCKER, parse_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.oci.names import ImageName
    from cstore.store import Store

_AMBIGUOUS = f"{DOCKER}/library/sha256"


def full_tag(text: str) -> ImageName:
    """Complete a name for an image.

    Raises:
        InvalidName: it is not a valid name, or could be mistaken for a digest.
    """
    name = parse_name(text)
    if name.digest:
        raise _refused(text, "it names a digest", "refusing to create a tag with a digest reference")
    if name.repository == _AMBIGUOUS:
        go_text = "refusing to create an ambiguous tag using digest algorithm as name"
        raise _refused(text, "it could be taken for a digest", go_text)
    return name


def add_tag(store: Store, image: str, name: ImageName, *, force: bool = True) -> None:
    """Add a name to an image, before its other names.

    Args:
        store: the store.
        image: the image's ID in the store.
        name: the complete name.
        force: remove the name from another image that has it.

    Raises:
        NameTaken: another image has it, and `force` is false.
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
