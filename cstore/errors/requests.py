"""Errors about requests that cannot be granted, and about drivers and programs that cannot do it here."""

from __future__ import annotations

from cstore.errors import DriverError, Refused, SystemFailure, UsageMistake

# ── the request itself cannot be granted ──────────────────────────────────────────────────────────────────────────────


class InvalidTime(Refused):
    """Text that is not a time as records spell it."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is not a time", hint="write it as 2026-11-21T18:30:00Z")


class InvalidDuration(UsageMistake):
    """A duration that is none."""

    def __init__(self, text: str, reason: str = "", *, go_text: str = "") -> None:
        self.text = text
        why = f": {reason}" if reason else ""
        super().__init__(f"{text!r} is not a duration{why}", hint="write it as 90s, 1h30m or 24h", go_text=go_text)


class LayerNotMounted(Refused):
    """The operation needs a mounted layer."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(f"layer is not mounted: {layer}", hint=f"cstore mount {layer}", go_text="layer is not mounted")


class NoFreeIDs(Refused):
    """An ID map was to choose itself, and other containers have the IDs already, or none are set aside."""

    def __init__(self, noun: str, wanted: int, free: int) -> None:
        self.noun, self.wanted, self.free = noun, wanted, free
        super().__init__(
            f"the map needs {wanted} {noun}, but only {free} subordinate IDs are free",
            hint=f"add a range to /etc/sub{noun[:-1].lower()}, request a smaller map, or delete containers",
            go_text="not enough unused IDs in user namespace",
        )


class NotAgreed(Refused):
    """A repair has a plan, and there is nobody to ask whether it shall be carried out."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        super().__init__(
            f"the plan has {steps} {'step' if steps == 1 else 'steps'}, and nobody confirmed it; nothing was changed",
            hint="confirm it with --yes",
        )


class DoesNotFit(Refused):
    """What is to be brought needs more space than there is; both in bytes."""

    def __init__(self, what: str, path: str, needed: int, free: int) -> None:
        self.what, self.path, self.needed, self.free = what, path, needed, free
        super().__init__(
            f"{what} needs {needed} bytes at least, and {path} has {free} free",
            hint="cstore df shows what takes up the space, cstore prune frees some",
            go_text="no space left on device",
        )


class NoStore(Refused):
    """There is no store where one was to be."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"there is no store at {path}", hint="cstore config shows the configured place; --graph chooses another"
        )


class LayerNotRetained(Refused):
    """A reference was to be released that is not held, or no longer."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(f"this reference to layer {layer} is not held", go_text="layer not retained")


class ChainTooDeep(Refused):
    """A layer would have more layers below it than are allowed."""

    def __init__(self, parent: str, limit: int) -> None:
        self.parent, self.limit = parent, limit
        super().__init__(
            f"layer {parent} is already {limit} layers deep, the longest chain allowed",
            hint="raise the limit with --max-depth; Docker accepts 125",
            go_text="max depth exceeded",
        )


class NotAnAncestor(Refused):
    """A layer was to be compared with one that is not below it."""

    def __init__(self, ancestor: str, layer: str) -> None:
        self.ancestor, self.layer = ancestor, layer
        super().__init__(
            f"layer {ancestor} is not an ancestor of layer {layer}",
            go_text=f"layer ID '{ancestor}' is not a parent of the specified layer: cannot provide diff to non-parent",
        )


class WrongSystem(Refused):
    """An image is for another operating system."""

    def __init__(self, system: str) -> None:
        self.system = system
        super().__init__(
            f"the image is for {system}, which this system cannot run", go_text="operating system is not supported"
        )


# ── configuration, drivers, locks, the system ─────────────────────────────────────────────────────────────────────────


class DriverUnusable(DriverError):
    """The driver exists, but not on this kernel or file system."""


class ProgramMissing(SystemFailure):
    """A program that was to be run is not there. The exit code is a shell's."""

    exit_code = 127


class ProgramRefused(SystemFailure):
    """A program that was to be run is there, and cannot be run. The exit code is a shell's."""

    exit_code = 126
