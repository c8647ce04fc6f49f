"""Determine which tool created a container, because that tool's command removes everything that belongs to it."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore import presence
from cstore.errors import UnsafeID
from cstore.records.shapes import load
from cstore.store.context import context_of
from cstore.store.neighbours import command_here, shell_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.records.model import Container
    from cstore.store.context import Context
    from cstore.store.store import Store


MAKERS = {"podman": "Podman", "buildah": "Buildah", "crio": "CRI-O", "": "unknown"}
"""The names of the tools. A container of cstore, or of another program with the Go library, cannot be identified."""


def maker_of(context: Context, container: Container) -> str:
    """Return the name of the tool that created a container; `unknown` if it cannot be identified."""
    return MAKERS[_maker(context, container)]


def unmount_command(context: Context, container: Container) -> str:
    """Return the command that removes a mount of a container, for the tool that created it."""
    known = {"podman": "podman unmount", "buildah": "buildah umount"}
    return command_of(context, f"{known.get(_maker(context, container), 'cstore unmount')} {_word(container)}")


def removal_command(context: Context, container: Container) -> str:
    """Return the command that removes a container: `podman rm NAME`, or that of the tool that created it."""
    word = _word(container)
    command = {"podman": "podman rm", "buildah": "buildah rm", "crio": "crictl rm"}.get(_maker(context, container))
    return command_of(context, f"{command or 'cstore delete-container'} {word}")


def stop_command(context: Context, container: Container) -> str:
    """Return the command that stops the processes in a container; "" if none is known."""
    command = {"podman": "podman stop", "crio": "crictl stop"}.get(_maker(context, container), "")
    return command and command_of(context, f"{command} {_word(container)}")


def command_of(store: Store | Context, command: str) -> str:
    """Return a command line of cstore, Podman or Buildah with the options that name an open store."""
    context = context_of(store)
    return command_here(context.config, context.layout, command)


def _word(container: Container) -> str:
    """Return the container's name, quoted for a shell."""
    return shell_word(container.names[0] if container.names else container.id)


def _maker(context: Context, container: Container) -> str:
    facts: Any = {}
    with suppress(ValueError):
        facts = load(container.metadata.encode()) if container.metadata else {}
    if not isinstance(facts, dict):
        facts = {}
    if facts.get("pod-id"):
        return "crio"
    with suppress(UnsafeID):
        if presence.is_there(os.path.join(context.layout.container_directory(container.id), "buildah.json")):
            return "buildah"
    return "podman" if facts.keys() & {"image-name", "image-id", "created-at"} else ""
