"""Which tool made a container, told by what each keeps with it: its own command removes all that it has elsewhere."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.errors import UnsafeID
from cstore.records.scanner import load
from cstore.store.context import context_of
from cstore.store.neighbours import command_here, shell_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.records.model import Container
    from cstore.store.context import Context
    from cstore.store.store import Store


MAKERS = {"podman": "Podman", "buildah": "Buildah", "crio": "CRI-O", "": "unknown"}
"""Their names for people. Containers of cstore, or of other programs with the Go library, have no mark."""


def maker_of(context: Context, container: Container) -> str:
    """The tool that made a container, as people call it; `unknown` if it left no mark."""
    return MAKERS[_maker(context, container)]


def unmount_command(context: Context, container: Container) -> str:
    """The command that takes back a mount of a container, of the tool that made it."""
    known = {"podman": "podman unmount", "buildah": "buildah umount"}
    return command_of(context, f"{known.get(_maker(context, container), 'cstore unmount')} {_word(container)}")


def removal_command(context: Context, container: Container) -> str:
    """The command that removes a container: `podman rm NAME`, or that of the tool which made it."""
    word = _word(container)
    command = {"podman": "podman rm", "buildah": "buildah rm", "crio": "crictl rm"}.get(_maker(context, container))
    return command_of(context, f"{command or 'cstore delete-container'} {word}")


def stop_command(context: Context, container: Container) -> str:
    """The command that ends what runs in a container; "" if no tool of ours knows one."""
    command = {"podman": "podman stop", "crio": "crictl stop"}.get(_maker(context, container), "")
    return command and command_of(context, f"{command} {_word(container)}")


def command_of(store: Store | Context, command: str) -> str:
    """A command line of cstore, Podman or Buildah that works on an open store, in the way in which that was named."""
    context = context_of(store)
    return command_here(context.config, context.layout, command)


def _word(container: Container) -> str:
    """A name to type in a shell; names that need quoting are left out."""
    return shell_word(container.names[0] if container.names else container.id)


def _maker(context: Context, container: Container) -> str:
    facts = _facts(container.metadata)
    if facts.get("pod-id"):
        return "crio"
    with suppress(UnsafeID):
        if os.path.lexists(os.path.join(context.layout.container_directory(container.id), "buildah.json")):
            return "buildah"
    return "podman" if facts.keys() & {"image-name", "image-id", "created-at"} else ""


def _facts(metadata: str) -> dict[str, Any]:
    try:
        found = load(metadata.encode()) if metadata else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
