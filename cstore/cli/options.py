"""Groups of options that several commands share, and the conversion of their values."""

from __future__ import annotations

from cstore.cli.command import switch, text, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from cstore import IDMap, NewLayer
    from cstore.idmap import IDRange

    F = TypeVar("F", bound=Callable[..., Any])


def _bundle(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Combine decorators; the first one comes first in the help text."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


id_map_options = _bundle(
    switch("--hostuidmap", help="Map no user IDs."),
    switch("--hostgidmap", help="Map no group IDs."),
    text("--uidmap", metavar="C:H:SIZE[:...]", help="Map user IDs: container ID, host ID, count."),
    text("--gidmap", metavar="C:H:SIZE[:...]", help="Map group IDs: container ID, host ID, count."),
    text("--subuidmap", metavar="USER", help="Map to USER's ranges in /etc/subuid; ALL uses every range."),
    text("--subgidmap", metavar="GROUP", help="Map to GROUP's ranges in /etc/subgid; ALL uses every range."),
)

tree_options = _bundle(
    text("-i", "--id", help="ID of the new layer (default: random)."),
    text("-l", "--label", help="SELinux label for its mounts."),
    switch("-r", "--readonly", help="Make it read-only; stored in the image store if there is one."),
    id_map_options,
)

layer_options = _bundle(
    texts("-n", "--name", metavar="NAME", help="Name of the new layer; may be repeated."),
    tree_options,
)


kind_option = text(
    "--kind",
    metavar="KIND",
    help="What ITEM is, if it could be several: layer, image or container.",
    choices=("layer", "image", "container"),
)


def new_layer(parent: str, wanted: dict[str, Any]) -> NewLayer:
    """Convert the values of `layer_options` or `tree_options` to a request.

    Raises:
        InvalidIDMap: an ID map is not valid.
        InvalidOption: an option for an ID map contradicts another, or a user has no ranges.
    """
    from cstore import NewLayer

    return NewLayer(
        parent=parent,
        id=wanted["id"],
        names=tuple(wanted.get("name", ())),
        mount_label=wanted["label"],
        read_only=wanted["readonly"],
        id_map=requested_map(wanted),
        host_uids=wanted["hostuidmap"],
        host_gids=wanted["hostgidmap"],
    )


def requested_map(wanted: dict[str, Any]) -> IDMap | None:
    """Return the ID map of the options; None if no option sets one."""
    from cstore.idmap import IDMap, parse_ranges

    for kind, sub, noun in (("uidmap", "subuidmap", "uid"), ("gidmap", "subgidmap", "gid")):
        if wanted[f"host{kind}"] and (wanted[kind] or wanted[sub]):
            from cstore.errors import InvalidOption

            raise InvalidOption(
                f"--host{kind} excludes --{kind} and --sub{kind}",
                hint="give only one of them",
                go_text=f"host {noun} map specified along with {noun.upper()} mapping",
            )
    uids: tuple[IDRange, ...] = ()
    gids: tuple[IDRange, ...] = ()
    if wanted["subuidmap"] or wanted["subgidmap"]:
        from cstore.config import sub_id_map

        granted = sub_id_map(wanted["subuidmap"], wanted["subgidmap"])
        uids, gids = granted.uids, granted.gids
    uids += parse_ranges(wanted["uidmap"], "uid")
    gids += parse_ranges(wanted["gidmap"], "gid")
    return IDMap(uids, gids) if uids or gids else None
