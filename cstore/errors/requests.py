"""Errors about requests that cannot be granted."""

from __future__ import annotations

from cstore.errors import CstoreError

# ── the request itself cannot be granted ──────────────────────────────────────────────────────────────────────────────


class Refused(CstoreError):
    """The request cannot be granted, regardless of the store's contents."""


class InvalidID(Refused):
    """An ID that is unsafe in a path."""

    def __init__(self, item: str, reason: str) -> None:
        self.item, self.reason = item, reason
        super().__init__(f"{item!r} cannot be an ID: {reason}", hint="use letters, digits, '.', '_' and '-'")


class InvalidName(Refused):
    """A name that cannot be stored in a record file."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name!r} cannot be a name: {reason}")


class InvalidDigest(Refused):
    """Text that is not a digest. `reason` is also the Go tool's text."""

    def __init__(self, digest: str, reason: str) -> None:
        self.digest, self.reason = digest, reason
        super().__init__(
            f"{digest!r} is not a digest: {reason}", hint="write it as sha256:<64 hex digits>", go_text=reason
        )


class InvalidDataName(Refused):
    """A data item's key that cannot be turned into a file name."""

    def __init__(self, noun: str, key: str, reason: str = "it is empty") -> None:
        self.key = key
        super().__init__(
            f"{key!r} cannot name a data item of {'an' if noun == 'image' else 'a'} {noun}: {reason}",
            go_text=f"can't set empty name for {noun} big data item: not a valid name for a big data item",
        )


class InvalidIDMap(Refused):
    """An ID map that cannot be parsed or contradicts itself."""

    def __init__(self, text: str, reason: str, *, hint: str = "write container:host:size", go_text: str = "") -> None:
        self.text, self.reason = text, reason
        super().__init__(f"ID map {text!r}: {reason}", hint=hint, go_text=go_text)


class IDNotMapped(InvalidIDMap):
    """An ID is in no range of an ID map. `side` is the side of the lookup: "container" or "host".

    `path` is a file with that owner, "" if unknown.
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
        """Return the same error for a file with that owner."""
        return IDNotMapped(self.text, self.noun, self.number, self.side, path=path)


class InvalidOption(Refused):
    """An option of a call or command that contradicts another one or has no meaning here."""


class UsageMistake(InvalidOption):
    """A request that makes no sense for any store; nothing was read or done."""

    exit_code = 2


class ReadOnlyStore(Refused):
    """A write to a store, or a part of one, that is read-only."""

    def __init__(self, action: str, path: str) -> None:
        self.action, self.path = action, path
        super().__init__(
            f"called a write method on a read-only store: cannot {action} at {path}",
            go_text=f'not allowed to {action} at "{path}": called a write method on a read-only store',
        )


class Unsupported(Refused):
    """Not possible with this driver, kernel or file."""


class InvalidTime(Refused):
    """Text that is not a time in the form that records use."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is not a time", hint="write it as 2026-11-21T18:30:00Z")


class InvalidDuration(UsageMistake):
    """Text that is not a duration."""

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
    """No ID map can be chosen: too few subordinate IDs are configured, or containers use them."""

    def __init__(self, noun: str, wanted: int, free: int) -> None:
        self.noun, self.wanted, self.free = noun, wanted, free
        super().__init__(
            f"the map needs {wanted} {noun}, but only {free} subordinate IDs are free",
            hint=f"add a range to /etc/sub{noun[:-1].lower()}, request a smaller map, or delete containers",
            go_text="not enough unused IDs in user namespace",
        )


class NotAgreed(Refused):
    """A repair has a plan, but there was nobody to confirm it."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        super().__init__(
            f"the plan has {steps} {'step' if steps == 1 else 'steps'}, but it was not confirmed; nothing was changed",
            hint="confirm it with --yes",
        )


class DoesNotFit(Refused):
    """The data to be written needs more space than is free; both are in bytes."""

    def __init__(self, what: str, path: str, needed: int, free: int) -> None:
        self.what, self.path, self.needed, self.free = what, path, needed, free
        super().__init__(
            f"{what} needs {needed} bytes at least, and {path} has {free} free",
            hint="cstore df shows what takes up the space, cstore prune frees some",
            go_text="no space left on device",
        )


class NoStore(Refused):
    """There is no store at the given or configured place."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"there is no store at {path}", hint="cstore config shows the configured place; --graph chooses another"
        )


class LayerNotRetained(Refused):
    """The reference to be released is not held, or no longer."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(f"this reference to layer {layer} is not held", go_text="layer not retained")


class ChainTooDeep(Refused):
    """A new layer would have more layers below it than allowed."""

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
    """The image is for another operating system."""

    def __init__(self, system: str) -> None:
        self.system = system
        super().__init__(
            f"the image is for {system}, which this system cannot run", go_text="operating system is not supported"
        )
