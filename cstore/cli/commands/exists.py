"""The command `exists`, which checks whether layers, images or containers exist."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, words
from cstore.cli.session import Intent, Session, View


@command("exists", example="cstore exists --quiet base && echo there")
@words("items", "ITEM")
@switch("-q", "--quiet", help="Print nothing; only set the exit status.")
@switch("-l", "--layer", help="Count layers only.")
@switch("-i", "--image", help="Count images only.")
@switch("-c", "--container", help="Count containers only.")
@json_option
def exists(session: Session, items: tuple[str, ...], quiet: bool, layer: bool, image: bool, container: bool) -> None:
    """Check whether layers, images or containers exist.

    The exit status is 0 if all items exist. With several of --layer, --image and --container, each ITEM must be all of
    these kinds.
    """
    store = session.open(Intent.RECORDS)
    asked = {"layer": layer, "image": image, "container": container}
    kinds = {kind for kind, wanted in asked.items() if wanted}
    results = {item: (found := store.find(item)) is not None and kinds <= {found.kind} for item in items}
    lines = () if quiet else (f"{item}: {'true' if there else 'false'}" for item, there in results.items())
    session.show(View(lambda: _mapping(results), lambda: lines))
    session.failed |= not all(results.values())


def _mapping(results: dict[str, bool]) -> dict[str, bool]:
    from cstore.gojson import mapping

    return mapping(results)
