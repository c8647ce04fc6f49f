"""The command that copies files and directories into an item, or out of one."""

from __future__ import annotations

from cstore.cli.command import command, json_option, switch, text, word, words
from cstore.cli.session import Intent, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.store import LayerPath, Store


@command(
    "copy",
    example="cstore copy --chown 0:0 ./site app:/srv/www\ncstore copy base:/etc/passwd app:/etc/passwd\n"
    "cstore cp debian:/etc/passwd ./",
)
@words("sources", "[ITEM:]PATH")
@word("target", "[ITEM:]PATH")
@text("--chown", "-o", metavar="UID[:GID]", help="Owner of everything copied; a single number sets both.")
@switch("--no-verify", help="Do not compare files of imported layers with their archive first.")
@switch("-q", "--quiet", help="Show no progress.")
@json_option
def copy(session: Session, sources: tuple[str, ...], target: str, chown: str, no_verify: bool, quiet: bool) -> None:
    """Copy files into an item, or out of one.

    An item is a layer, an image (its top layer) or a container. Copies a file to the target path, or into the target
    under its own name if the target is a directory. Copies the contents of a directory into the target. A path in an
    item never leads out of it, whatever links it meets. A PATH without ITEM is on the host, and so is one that begins
    with / or . before its first colon. Copying into an imported layer changes the images that have it, and warns.

    Verifies files of imported layers first: if one differs from the archive that its layer came from, copies nothing.
    Exit status: 1 also if something was copied that could not be verified.
    """
    from cstore.cli.commands.contents import conclude
    from cstore.cli.output.progress import progress_bar

    owner = None
    if chown:
        uid, colon, gid = chown.partition(":")
        user = _number(uid, "UID")
        owner = user, _number(gid, "GID") if colon else user
    store = session.open(Intent.WRITE)
    unverified: list[str] = []
    with progress_bar("copying", None, quiet=quiet) as progress:
        places, into = [_layer_path(store, source) for source in sources], _layer_path(store, target)
        store.copy(places, into, owner, progress, verify=not no_verify, notice=unverified.append)
    conclude(session, unverified)
    if into.layer and store.layers.get(into.layer).diff_digest:
        session.warn([f"{into.item or into.layer} is no longer what its digest says, as cstore check will report"])


def _layer_path(store: Store, text: str) -> LayerPath:
    """Parse an argument as in the Go tool; if that gives no existing layer, as in the other commands of cstore."""
    from cstore.errors import AmbiguousItem, UnknownItem
    from cstore.store import LayerPath

    word, colon, path = text.partition(":")
    if text.startswith(("/", "./", "../")) or not colon:  # no tool creates such layer names
        return LayerPath(path=text)
    if store.layers.find(word) is not None:
        return LayerPath(path=path, layer=word)
    try:
        found = store.resolve_path(text, by_layer=True)
    except AmbiguousItem:
        raise
    except UnknownItem:
        return LayerPath(path=path, layer=word)
    return LayerPath(path=found.path, layer=store.layer_of(found.item).id, item=text.removesuffix(f":{found.path}"))


def _number(text: str, noun: str) -> int:
    from cstore.errors import InvalidOption
    from cstore.idmap import LARGEST_ID

    if text.isascii() and text.isdecimal() and int(text) < LARGEST_ID:
        return int(text)
    raise InvalidOption(
        f"--chown takes numbers, and {text!r} is not a {noun}",
        hint="write --chown UID or --chown UID:GID",
        go_text=f'bad {noun}: strconv.ParseUint: parsing "{text}": invalid syntax',
    )
