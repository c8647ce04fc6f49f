"""Errors about contents: the store is damaged, or the input is not a usable layer or image."""

from __future__ import annotations

from cstore.errors import CstoreError

# ── the store is damaged ──────────────────────────────────────────────────────────────────────────────────────────────


class Damage(CstoreError):
    """Something in the store is damaged; nothing was changed."""


class RecordsDamaged(Damage):
    """A record file exists but cannot be trusted. It is never overwritten."""

    def __init__(self, path: str, reason: str, *, offset: int | None = None) -> None:
        self.path, self.reason, self.offset = path, reason, offset
        place = "" if offset is None else f" at byte {offset}"
        super().__init__(
            f"the record file {path} is damaged{place}: {reason}",
            hint="nothing was changed; run cstore check, then cstore repair --dry-run",
            go_text=f'loading "{path}": {reason}',
        )


class RecordsChanged(Damage):
    """A record file is not the one that was read: a program changed it without holding its lock."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"a program without the lock changed the record file {path} meanwhile",
            hint="nothing was changed; run the command again",
        )


class UnsafeID(Damage):
    """A recorded ID that is unsafe in a path: it could lead out of its directory, or to a file of cstore."""

    def __init__(self, item: str, reason: str) -> None:
        self.item, self.reason = item, reason
        super().__init__(
            f"the store has a record with an unusable ID, {item!r}: {reason}",
            hint="cstore delete removes the record and leaves the data",
        )


class LayerMissing(Damage):
    """A record refers to a layer that does not exist."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(
            f"layer {layer} is missing",
            hint="see cstore check",
            go_text=f'locating layer with ID "{layer}": layer not known',
        )


class TarSplitDamaged(Damage):
    """A layer's tar-split file is missing, truncated or malformed."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"the tar-split file {path} is damaged: {reason}")


class ContentDamaged(Damage):
    """A file in a layer is not the one that was imported."""

    def __init__(self, layer: str, name: str, reason: str) -> None:
        self.layer, self.name, self.reason = layer, name, reason
        super().__init__(
            f"layer {layer} has changed since it was imported: {name!r} {reason}",
            hint="the original archive cannot be rebuilt; run cstore check",
            go_text=f'file integrity checksum failed for "{name}"',
        )


class QuarantineDamaged(Damage):
    """The journal of a quarantine case cannot be read; the files in the case are untouched."""

    def __init__(self, case: str, directory: str, reason: str) -> None:
        self.case, self.directory, self.reason = case, directory, reason
        super().__init__(
            f"quarantine case {case} cannot be undone: {reason}", hint=f"the case's files are in {directory}"
        )


class LayerNotVerified(Damage):
    """A layer was exported completely, but its digest is not the recorded one."""

    def __init__(self, layer: str, digest: str) -> None:
        self.layer, self.digest = layer, digest
        super().__init__(
            f"layer {layer} no longer matches the archive it was imported from, {digest}",
            hint="import the image again, or run cstore repair --from SOURCE",
            go_text=f"could not verify layer data for: {digest}. This may be because internal files in the layer store "
            "were modified. Re-pulling or rebuilding this image may resolve the issue",
        )


class ImageDamaged(Damage):
    """The config of an image in the store is missing, or does not match the image's ID."""

    def __init__(self, image: str, reason: str, *, go_text: str = "") -> None:
        self.image, self.reason = image, reason
        super().__init__(
            f"image {image} is damaged: {reason}",
            hint="import it again",
            go_text=go_text or f"failed to get digest {image}",
        )


class DockerRootDamaged(Damage):
    """A part of a Docker data root cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} in the Docker data root is damaged: {reason}")


class NotChecked(CstoreError):
    """A check did not finish, so the state of the store is unknown."""

    exit_code = 3

    def __init__(self, cause: CstoreError) -> None:
        self.cause = cause.kind
        super().__init__(f"the store could not be checked: {cause.message}", hint=cause.hint, go_text=cause.go_text)


# ── the input is not a usable layer or image ──────────────────────────────────────────────────────────────────────────


class ArchiveError(CstoreError):
    """The input is not a layer or image that cstore can store."""


class ArchiveMalformed(ArchiveError):
    """The input is not a tar stream, or a broken one. `offset` counts uncompressed bytes."""

    def __init__(self, reason: str, offset: int = 0, *, go_text: str = "archive/tar: invalid tar header") -> None:
        self.reason, self.offset = reason, offset
        super().__init__(f"the archive is not a valid tar at byte {offset}: {reason}", go_text=go_text)


class ArchiveTruncated(ArchiveError):
    """The stream ends too early. `offset` counts uncompressed bytes."""

    def __init__(self, where: str, offset: int = 0) -> None:
        self.where, self.offset = where, offset
        super().__init__(
            f"unexpected EOF: the archive ends at byte {offset}, {where}",
            hint="fetch the archive again",
            go_text="unexpected EOF",
        )


class ArchiveForeign(ArchiveError):
    """The input is another format than tar: `found` names it."""

    def __init__(self, found: str, hint: str = "") -> None:
        self.found = found
        super().__init__(
            f"the archive is not a tar: it is {found}", hint=hint, go_text="archive/tar: invalid tar header"
        )


class ArchiveUnexpected(ArchiveError):
    """A valid archive, but not the requested one. `digest` is that of the input, `diff_digest` that of its tar."""

    def __init__(self, expected: str, digest: str, diff_digest: str, size: int) -> None:
        self.expected, self.digest, self.diff_digest, self.size = expected, digest, diff_digest, size
        found = f"it has digest {digest}" + (f", uncompressed {diff_digest}" if diff_digest != digest else "")
        if not size:
            found = "it is empty"
        wanted = f", expected {expected}" if expected else ""
        hint = "check whether the program that writes it failed" if not size else "fetch the archive again"
        super().__init__(f"cannot accept the archive: {found}{wanted}", hint=hint)


class ArchiveHostile(ArchiveError):
    """An entry tries to leave the layer, or has a name or type that no layer may contain."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"cannot accept the archive entry {name!r}: {reason}")


class EntryFailed(ArchiveError):
    """A valid entry that this system cannot create. `owner` is the user and group that it needs, if that is the reason.

    `needs` says where that owner is missing: in "the ID map" or in "the user namespace".
    """

    def __init__(
        self, name: str, reason: str, *, hint: str = "", owner: tuple[int, int] | None = None, needs: str = ""
    ) -> None:
        self.name, self.reason = name, reason
        if owner is not None:
            self.owner, self.needs = owner, needs
        super().__init__(f"cannot create the archive entry {name!r}: {reason}", hint=hint)


class CompressionFailed(ArchiveError):
    """The compressed stream is broken."""

    def __init__(self, compression: str, reason: str, *, hint: str = "fetch it again") -> None:
        self.compression, self.reason = compression, reason
        super().__init__(f"cannot read the {compression} stream: {reason}", hint=hint, go_text="unexpected EOF")


class ImageInvalid(ArchiveError):
    """The image's config or manifest is invalid."""

    def __init__(self, reason: str, *, go_text: str = "") -> None:
        self.reason = reason
        super().__init__(f"the image is not valid: {reason}", go_text=go_text)


class SourceUnusable(ArchiveError):
    """A source of lost bytes for a repair cannot be read."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"cannot repair from {path}: {reason}")


class ImageArchiveError(ArchiveError):
    """An image archive is invalid. `member` is the part at fault."""

    def __init__(self, member: str, reason: str, *, hint: str = "", go_text: str = "") -> None:
        self.member, self.reason = member, reason
        super().__init__(f"{member}: {reason}", hint=hint, go_text=go_text or reason)


class NoImage(ImageArchiveError):
    """A part of an archive that is not an image. It is skipped if it is beside an image."""


class MemberMissing(ImageArchiveError):
    """A file that the archive refers to but does not contain."""
