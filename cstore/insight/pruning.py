"""Selection of images to delete by rules: unused, unnamed, by age, beyond a number, or over a budget.

An image in use is never selected: one that a container or a mount uses, or an image without names on which another
image is built.

No record contains the last use of an image. But a tool that creates a container reads the config of the image, and the
file system records the time: if nothing has read an image for a period, nothing has used it. Lists of images read
configs, too, so the real last use may be earlier. cstore itself reads without updating access times.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from cstore.arguments import checked
from cstore.errors import Unsupported
from cstore.insight.accounting import file_system, files_of
from cstore.insight.needs import Needs
from cstore.insight.removing import Plan, Removal, everything, measured, mounted_at, trusted
from cstore.oci.names import repository_of
from cstore.store.context import context_of
from cstore.store.lookup import Item
from cstore.store.places import ItemKind
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.records.model import Image
    from cstore.store.context import Context
    from cstore.store.reading import Snapshot
    from cstore.store.store import Store

_DAY = 86_400.0
_HOMES = ("docker.io/library/", "docker.io/", "localhost/")


class Rules(Value):
    """The rules for deleting images; an image must match all of them.

    Attributes:
        dangling: select only images without names.
        older_than: the minimum age in seconds; -1 for any age.
        unused_for: the minimum time in seconds since a data item was read or written; -1 for any time.
        keep: patterns of names, with or without host and tag, of images to keep.
        keep_last: the number of newest images to keep of each repository.
        max_size: delete, oldest first, only until all images together take at most this number of bytes; -1 for no
            limit.
        free: delete likewise, until the file system has this number of available bytes; -1 for no limit.
    """

    dangling: bool = True
    older_than: float = -1
    unused_for: float = -1
    keep: Sequence[str] = ()
    keep_last: int = 0
    max_size: int = -1
    free: int = -1


class Pruning(Value):
    """The plan, and the number of bytes by which it misses the budget although it deletes all permitted images."""

    plan: Plan
    missing: int = 0


@checked
def plan_prune(store: Store | Context, rules: Rules, *, now: float | None = None) -> Pruning:
    """Plan the deletion of images by rules, and compute the bytes freed. Reads only; `remove` executes the plan.

    Raises:
        RecordsDamaged: a record file is damaged, so it is unknown what is used.
        Unsupported: a rule depends on the last use of images, and their file system does not record access times.
        SystemFailure: the records cannot be read.
    """
    context = context_of(store)
    tables = trusted(context)
    needs = Needs(context, tables)
    moment = datetime.now(UTC).timestamp() if now is None else now
    chosen = _chosen(context, tables, needs, rules, moment)
    if rules.max_size < 0 and rules.free < 0:
        found = Pruning(measured(context, tables, _removal(context, tables, needs, chosen)))
    else:
        found = _within_budget(context, tables, needs, rules, chosen)
    return found.with_(plan=found.plan.with_(problems=(*needs.problems, *found.plan.problems)))


def _removal(context: Context, tables: Snapshot, needs: Needs, images: Sequence[Image]) -> Removal:
    removal = Removal(context, tables, needs)
    removal.take([Item(ItemKind.IMAGES, image.id) for image in images], force=False)
    return removal


# ── rules ──


def _chosen(context: Context, tables: Snapshot, needs: Needs, rules: Rules, now: float) -> list[Image]:
    """Return the images that the rules select, least recently used or oldest first."""
    kept = _last(needs, rules.keep_last)
    mounts = Removal(context, tables, needs).mounts
    may = {
        image.id: image
        for image in needs.images.values()
        if image.id not in needs.used_images
        and image.id not in kept
        and not (rules.dangling and image.names)
        and not any(_matches(name, pattern) for name in image.names for pattern in rules.keep)
        and (rules.older_than < 0 or now - created(image) >= rules.older_than)
        and not mounted_at(context, mounts, (image.layer, *image.mapped_layers))
    }
    last = {image: _last_read(context, image) for image in may} if rules.unused_for >= 0 else {}
    may = {key: image for key, image in may.items() if not last or 0 < last[key] <= now - rules.unused_for}
    _spare_built_upon(needs, may)
    return sorted(may.values(), key=lambda image: (last.get(image.id, 0.0), created(image), image.id))


def _last_read(context: Context, image: str) -> float:
    """Return the latest possible access or modification time of an image's data items; 0 if unknown.

    Raises:
        Unsupported: the file system does not record access times.
    """
    folder = context.layout.image_data(image)
    try:
        flags = os.statvfs(folder).f_flag
        found = [entry.stat(follow_symlinks=False) for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        return 0.0
    if flags & (os.ST_NOATIME | os.ST_RDONLY):
        how = "read-only" if flags & os.ST_RDONLY else "with noatime"
        raise Unsupported(
            f"cstore cannot tell when images were last used: {context.layout.images} is mounted {how}",
            hint="choose by age instead: --older-than",
        )
    # With relatime, the kernel updates an access time only if it is a day old, so a later access may be missing.
    slack = _DAY if flags & os.ST_RELATIME else 0
    return max((max(each.st_atime + slack, each.st_mtime) for each in found), default=0.0)


def _spare_built_upon(needs: Needs, may: dict[str, Image]) -> None:
    """Keep unnamed images on which a remaining image is built, because builds use them as a cache."""
    while True:
        above = {
            image.id
            for image in may.values()
            if not image.names
            for child in needs.children.get(image.layer, ())
            for kind, user in needs.users[child]
            if kind == "image" and user not in may and user != image.id and image.layer
        }
        if not above:
            return
        for image in above:
            del may[image]


def _last(needs: Needs, count: int) -> set[str]:
    """Return the newest images of each repository."""
    repositories: dict[str, set[str]] = {}
    for image in needs.images.values():
        for name in image.names:
            repositories.setdefault(repository_of(name), set()).add(image.id)
    found: set[str] = set()
    for images in repositories.values() if count else ():
        newest = sorted(images, key=lambda image: (created(needs.images[image]), image), reverse=True)
        found.update(newest[:count])
    return found


def _matches(name: str, pattern: str) -> bool:
    short = next((name.removeprefix(home) for home in _HOMES if name.startswith(home)), name)
    forms = (name, repository_of(name), short, repository_of(short))
    return any(fnmatchcase(form, pattern) for form in forms)


def created(image: Image) -> float:
    """Return the time of creation of an image, in seconds since 1970; 0 if its record has none."""
    try:
        return datetime.fromisoformat(image.created[:19]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


# ── budgets ──


def _within_budget(context: Context, tables: Snapshot, needs: Needs, rules: Rules, chosen: Sequence[Image]) -> Pruning:
    """Plan the deletion of the fewest selected images, oldest first, that meet the budget, or of all of them."""
    tally = everything(context, tables)
    wanted = 0  # bytes to free
    if rules.max_size >= 0:
        layers = {layer for image in needs.images for layer in needs.of("image", image)}
        keys = [key for image in needs.images for key in files_of("image", image)]
        keys += [key for layer in layers for key in files_of("layer", layer)]
        wanted = max(wanted, tally.all_of(keys) - rules.max_size)
    if rules.free >= 0:
        room = file_system(context.layout.graph_root)
        wanted = max(wanted, rules.free - (0 if room is None else room.available))

    def freed(count: int) -> int:
        going = _removal(context, tables, needs, chosen[:count]).going.values()
        return tally.freed_by([key for each in going for key in files_of(each.kind, each.id)])

    least, most = 0, len(chosen)
    while least < most:  # deleting more images never frees less
        middle = (least + most) // 2
        if freed(middle) >= wanted:
            most = middle
        else:
            least = middle + 1
    plan = measured(context, tables, _removal(context, tables, needs, chosen[:least]), tally)
    return Pruning(plan, max(wanted - plan.freed, 0))
