"""Errors about requests that cannot be granted."""

from __future__ import annotations

from cstore.errors import CstoreError

# ── the request itself cannot be granted ──────────────────────────────────────────────────────────────────────────────


class Refused(CstoreError):
    """The request cannot be granted, regardless of the store's contents."""


class InvalidID(Refused):
    """An ID that could not safely be part of a path."""

    def __init__(self, item: str, reason: str) -> None:
        self.item, self.reason = item, reason
        super().__init__(f"{item!r} cannot be an ID: {reason}", hint="use letters, digits, '.', '_' and '-'")


class InvalidName(Refused):
    """A name that no record file can hold."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name!r} cannot be a name: {reason}")


class InvalidDigest(Refused):
    """Text that is not a digest. `reason` is the Go tool's text as well."""

    def __init__(self, digest: str, reason: str) -> None:
        self.digest, self.reason = digest, reason
        super().__init__(
            f"{digest!r} is not a digest: {reason}", hint="write it as sha256:<64 hex digits>", go_text=reason
        )


class InvalidDataName(Refused):
    """A data item needs a name that makes a file name."""

    def __init__(self, noun: str, key: str, reason: str = "it is empty") -> None:
        self.key = key
        super().__init__(
            f"{key!r} cannot name a data item of {'an' if noun == 'image' else 'a'} {noun}: {reason}",
            go_text=f"can't set empty name for {noun} big data item: not a valid name for a big data item",
        )


class InvalidIDMap(Refused):
    """An ID map that cannot be read or does not hold together."""

    def __init__(self, text: str, reason: str, *, hint: str = "write container:host:size", go_text: str = "") -> None:
        self.text, self.reason = text, reason
        super().__init__(f"ID map {text!r}: {reason}", hint=hint, go_text=go_text)


class IDNotMapped(InvalidIDMap):
    """An ID is in none of the ranges of an ID map. `side` is where the map was asked from: "container" or "host".

    `path` is a file that belongs to the ID, "" if that is not known.
    """

    def __init__(self, text: str, noun: str, number: int, side: str, *, path: str = "") -> None:
        reason = f"no range contains {side} {noun} {number}"
        other = "host" if side == "container" else "container"
        go_text = f"{side} ID {number} cannot be mapped to a {other} ID"
        super().__init__(text, reason, hint=f"add a range that covers {number}", go_text=go_text)
        self.noun, self.number, self.side, self.path = noun, number, side, path
        if path:
            self.message = f"{path} needs {side} {noun} {number}, which no range of ID map {text!r} contains"

    def at(self, path: str) -> IDNotMapped:
        """The same about a file that belongs to the ID."""
        return IDNotMapped(self.text, self.noun, self.number, self.side, path=path)


class InvalidOption(Refused):
    """An option of a call or command that contradicts another or has no meaning here."""


class UsageMistake(InvalidOption):
    """The request makes no sense, regardless of the store's contents; nothing was read or changed."""

    exit_code = 2


class ReadOnlyStore(Refused):
    """A write was asked of a store, or of a part of it, that is only read."""

    def __init__(self, action: str, path: str) -> None:
        self.action, self.path = action, path
        super().__init__(
            f"called a write method on a read-only store: cannot {action} at {path}",
            go_text=f'not allowed to {action} at "{path}": called a write method on a read-only store',
        )


class Unsupported(Refused):
    """Not possible with this driver, kernel or file."""


class InvalidTime(Refused):
    """Text that is not a time as records spell it."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is not a time", hint="write it as 2026-11-21T18:30:00Z")


class InvalidDuration(UsageMistake):
    """A text is not a duration."""

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
    """A repair has a plan, but there is no terminal to ask for confirmation."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        super().__init__(
            f"the plan has {steps} {'step' if steps == 1 else 'steps'}, but it was not confirmed; nothing was changed",
            hint="confirm it with --yes",
        )


class DoesNotFit(Refused):
    """The data to be stored needs more space than there is; both in bytes."""

    def __init__(self, what: str, path: str, needed: int, free: int) -> None:
        self.what, self.path, self.needed, self.free = what, path, needed, free
        super().__init__(
            f"{what} needs {needed} bytes at least, and {path} has {free} free",
            hint="cstore df shows what takes up the space, cstore prune frees some",
            go_text="no space left on device",
        )


class NoStore(Refused):
    """There is no store in the expected place."""

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
