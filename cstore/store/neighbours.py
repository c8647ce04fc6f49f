"""Neighboring stores: stores of other drivers in the same root, and image stores whose disk is not mounted.

Opening a missing store succeeds and shows an empty one, so warnings tell the user about missing and unused stores. The
test takes a few stat(2) calls and writes nothing.
"""

from __future__ import annotations

import os

from cstore import presence
from cstore.errors import Unsupported
from cstore.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.config import StoreConfig


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")
"""Characters without a special meaning for a shell."""


def notices(layout: Layout, named: Sequence[str], used: Sequence[str]) -> Iterator[str]:
    """Yield warnings about a store's neighbors.

    Args:
        layout: the store.
        named: the configured additional image stores.
        used: those of them that are searched.
    """
    for store in named:
        if store not in used:
            yield f"the additional image store {store} is already in use; remove it from additionalimagestores"
    yield from _image_store_gone(layout)
    for store in used:
        if any(presence.is_there(os.path.join(store, f"{layout.driver}-{kind}")) for kind in ("layers", "images")):
            continue
        ways = list(_others(store, layout, "cstore images"))
        for way in ways:
            yield f"the additional image store {store} is not used: it has no {layout.driver} store, but {way}"
        if not ways:
            problem = f"holds no {layout.driver} store" if presence.is_directory(store) else "does not exist"
            yield (
                f"the additional image store {store} {problem}; "
                "if its disk is not mounted, mount it, or remove it from additionalimagestores"
            )


def shell_word(text: str) -> str:
    """Return a text as one word of a shell command."""
    if text and _PLAIN.issuperset(text):
        return text  # the usual case, without the slow import of `shlex`
    from shlex import quote

    return quote(text)


def command_in(layout: Layout, command: str) -> str:
    """Return a cstore command line for another store than the open one, whatever the configuration."""
    program, _, rest = command.partition(" ")
    return f"{program} --graph {shell_word(layout.graph_root)} --storage-driver {layout.driver} {rest}"


_STORE_OPTIONS = {
    "cstore": ("--graph", "--run", "--image-store"),
    "podman": ("--root", "--runroot", "--imagestore"),
    "buildah": ("--root", "--runroot", ""),
}
"""Each tool's options that name a store; other tools have none."""


def command_here(config: StoreConfig, layout: Layout, command: str) -> str:
    """Return a command line of cstore, Podman or Buildah with the options that name the open store."""
    program, _, rest = command.partition(" ")
    given = config.given
    paths = (
        given.graph_root and layout.graph_root, given.run_root and layout.run_root,
        given.image_store and layout.image_store,
    )  # fmt: skip
    if program not in _STORE_OPTIONS or not (any(paths) or given.driver or given.driver_options or given.config_file):
        return command
    named = zip(_STORE_OPTIONS[program], paths, strict=True)
    words = [f"{option} {shell_word(path)}" for option, path in named if option and path]
    words += [f"--storage-driver {layout.driver}"] if given.driver or given.graph_root else []
    words += [f"--storage-opt {shell_word(option)}" for option in given.driver_options]
    start = f"CONTAINERS_STORAGE_CONF={shell_word(os.path.abspath(given.config_file))} " if given.config_file else ""
    return f"{start}{' '.join([program, *words])} {rest}"


def passed_over(layout: Layout) -> Iterator[str]:
    """Yield notes about stores of other drivers in the same root, which a check of this store does not read."""
    if any(map(presence.is_there, (layout.stable_layers, layout.stable_images, layout.stable_containers))):
        for way in _others(layout.graph_root, layout, "cstore check"):
            yield f"only the {layout.driver} store in {layout.graph_root} was checked; there is {way}"


def require_image_store(layout: Layout) -> None:
    """Refuse if an image store is not mounted, because items in it would look missing.

    Raises:
        Unsupported: the image store does not exist.
    """
    for sentence in _image_store_gone(layout):
        raise Unsupported(sentence, hint="if it is permanently lost, open the store without it and repair the store")


def _others(root: str, layout: Layout, command: str) -> Iterator[str]:
    """Yield descriptions of stores of other drivers in a root, each with the command that inspects it."""
    from cstore.config import drivers_with_records
    from cstore.drivers.registry import DRIVERS

    for name in drivers_with_records(root):
        if name != layout.driver:
            other = Layout(root, layout.run_root, name)
            way = f"inspect it with: {command_in(other, command)}" if name in DRIVERS else "cstore cannot read it"
            article = "an" if name.startswith(("a", "o")) else "a"
            yield f"{article} {name} store; {way}"


def _image_store_gone(layout: Layout) -> Iterator[str]:
    """Yield a warning if the separate image store is missing, but the layers were once stored with it.

    Every process that locks the layers creates lock files in both places, so the lock files show it.
    """
    lock = layout.image_store and layout.image_store_layers_lock
    if not lock or any(map(presence.is_there, (lock, layout.images))) or not presence.is_there(layout.layers_lock):
        return
    problem = "holds no store" if presence.is_directory(layout.image_store) else "does not exist"
    yield (
        f"the image store {layout.image_store} {problem}, so its images and layers are missing; "
        "if its disk is not mounted, mount it before you write to the store"
    )
