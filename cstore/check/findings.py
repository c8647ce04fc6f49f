"""The kinds of findings, in one table, and the finding itself.

A kind has a stable name that programs may rely on. A finding has a kind, a subject and evidence; repair needs no other
evidence.
"""

from __future__ import annotations

from enum import Enum

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

REPAIR = "cstore repair"
REPAIR_FROM = "cstore repair --from SOURCE"
GC = "cstore gc"


class Severity(Enum):
    """The severity of a finding, worst first. `DATA` and `RECORDS` are damage.

    Attributes:
        meaning: a sentence that explains the severity; all commands use it.
    """

    DATA = "data", "Stored data is gone or changed."
    RECORDS = "records", "Records or driver files are gone, wrong or contradictory; the data may be whole."
    EXPORT = "export", "A layer cannot be exported byte for byte; its data is neither proven nor refuted."
    LEFTOVER = "leftover", "Something belongs to nothing, is used by nothing, or hinders another program."
    COSMETIC = "cosmetic", "Nothing is lost, and nothing is in the way."

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Create a member whose value is its name."""
        member = object.__new__(cls)
        member._value_, member.meaning = value, meaning
        return member

    @property
    def rank(self) -> int:
        """The position in the order of severities; 0 is the worst."""
        return list(Severity).index(self)

    @property
    def counts(self) -> bool:
        """Whether a check with such a finding exits with 1."""
        return self is not Severity.COSMETIC

    @property
    def is_serious(self) -> bool:
        """Whether it is damage, or a layer that cannot be exported; leftovers and cosmetic findings are not."""
        return self.rank <= Severity.EXPORT.rank


class Remedy(Value):
    """The remedy for a finding: a sentence, and a command ("" if a person must decide)."""

    sentence: str
    command: str = ""


class Subject(Value):
    """The subject of a finding. `kind` is `layer`, `image` or `container`, with `id`; or `store`, with `path`."""

    kind: str
    id: str = ""
    path: str = ""

    @property
    def name(self) -> str:
        """The ID or the path."""
        return self.id or self.path


class Kind(Value):
    """A kind of finding: its name (`word`), severity, meaning and default remedy."""

    word: str
    severity: Severity
    meaning: str
    remedy: Remedy


_REBUILD = Remedy("rebuild the record from what the store has", REPAIR)
_REFILL = Remedy("recover the lost data from an archive, or from another store that has the layer", REPAIR_FROM)
_REWRITE = Remedy("rebuild the archive from the files; if that fails, give the original archive", REPAIR)
_RESTORE = Remedy("restore what the archive says", REPAIR)
_MODE = Remedy("set its mode to 0700", REPAIR)
_CLOSE = Remedy("run `chmod 0700` on it, unless others are meant to read it")
_OWN = Remedy("give it to the user who owns the store", REPAIR)
_RELINK = Remedy("rewrite the driver's files from the records", REPAIR)
_SNAPSHOT = Remedy("convert it to a subvolume with the same files", REPAIR)
_IMAGE_AGAIN = Remedy("pull the image again, or recover it from an archive or another store", REPAIR_FROM)
_ASIDE = Remedy("move it into quarantine", REPAIR)
_SWEEP = Remedy("remove it", GC)
_ANEW = Remedy("another program unpacked it differently; import the archive with cstore for the specified view")
_DECIDE = Remedy("inspect it, and delete it if nobody needs it")


def _kind(word: str, severity: Severity, meaning: str, remedy: Remedy) -> tuple[str, Kind]:
    return word, Kind(word, severity, meaning, remedy)


_DATA, _RECORDS, _EXPORT, _LEFTOVER, _COSMETIC = Severity

KINDS: dict[str, Kind] = dict(
    (
        # ── record files ──
        _kind("records-damaged", _RECORDS, "a record file is truncated, overwritten or malformed", _REBUILD),
        _kind("records-empty", _RECORDS, "a record file is empty, but its items exist", _REBUILD),
        _kind("records-missing", _RECORDS, "a record file is missing, but its items exist", _REBUILD),
        _kind("layer-record-lost", _RECORDS, "a layer lost its record with a damaged record file", _REBUILD),
        _kind("image-record-lost", _RECORDS, "an image lost its record with a damaged record file", _REBUILD),
        _kind("container-record-lost", _RECORDS, "a container lost its record with a damaged record file", _REBUILD),
        _kind("duplicate-id", _RECORDS, "two records have the same ID; one of them hides the other", _REBUILD),
        _kind(
            "duplicate-name", _RECORDS, "two items of a kind have the same name; the name finds the later one", _REBUILD
        ),
        _kind("unsafe-id", _RECORDS, "an ID leads out of the store, or to another item's files", _DECIDE),
        _kind("layer-cycle", _RECORDS, "a layer is its own ancestor", _REBUILD),
        _kind("parent-missing", _RECORDS, "a layer's parent has no record", _REBUILD),
        _kind("digest-invalid", _RECORDS, "a digest in a layer's record is invalid", _REBUILD),
        _kind("mount-table-damaged", _RECORDS, "the mount table is truncated, overwritten or malformed", _REBUILD),
        # ── layers ──
        _kind("layer-tree-missing", _DATA, "a recorded layer has no directory in the storage driver", _REFILL),
        _kind("layer-unfinished", _LEFTOVER, "a layer was never completed; the next change removes it", _SWEEP),
        _kind("layer-unfinished-in-use", _RECORDS, "a layer is marked incomplete, but something uses it", _REBUILD),
        _kind("layer-data-missing", _DATA, "a data item of a layer is missing", _REFILL),
        _kind("layer-data-unreadable", _DATA, "a data item of a layer cannot be read", _REFILL),
        _kind(
            "tar-split-missing", _EXPORT, "a layer cannot be exported byte for byte: its tar-split is missing", _REWRITE
        ),
        _kind("tar-split-damaged", _EXPORT, "a layer's tar-split is truncated, unreadable or invalid", _REWRITE),
        _kind(
            "layer-digest", _RECORDS, "all files match, but the archive has another digest than the record", _REBUILD
        ),
        _kind("layer-size", _RECORDS, "the archive has another length than the record", _REBUILD),
        _kind("layer-unreadable", _DATA, "a layer's directory cannot be read", _REFILL),
        _kind("layer-view", _COSMETIC, "a mount shows a layer differently from the image specification", _ANEW),
        _kind("layer-unreferenced", _LEFTOVER, "no image and no container uses a layer", _DECIDE),
        _kind("layer-unaccounted", _LEFTOVER, "the storage driver has a layer that no record describes", _SWEEP),
        # ── files in layers ──
        _kind("file-missing", _DATA, "a file of a layer is missing", _REFILL),
        _kind("file-changed", _DATA, "the contents of a file differ from the archive", _REFILL),
        _kind("file-attributes", _DATA, "type, mode, owner, link target or attributes of a file differ", _RESTORE),
        _kind("file-time", _RECORDS, "only the time of a file differs", _RESTORE),
        _kind("file-unexpected", _DATA, "a file in a layer is not in its archive", _ASIDE),
        _kind("files-more", _DATA, "a layer has more such files than are listed", _REFILL),
        # ── overlay ──
        _kind("overlay-diff", _DATA, "a layer's diff directory is missing or not a directory", _REFILL),
        _kind("overlay-link", _RECORDS, "a layer's link file is missing or wrong", _RELINK),
        _kind("overlay-short-link", _RECORDS, "a layer's short link is missing or leads elsewhere", _RELINK),
        _kind("overlay-lower", _RECORDS, "the list of a layer's ancestors is missing or wrong", _RELINK),
        _kind("overlay-work", _RECORDS, "a layer's work directory is missing or not a directory", _RELINK),
        _kind("overlay-stray-link", _LEFTOVER, "a short link belongs to no layer", _ASIDE),
        # ── btrfs ──
        _kind("btrfs-subvolume", _RECORDS, "a layer is an ordinary directory instead of a subvolume", _SNAPSHOT),
        # ── images ──
        _kind("image-layer-missing", _DATA, "a layer of an image has no record", _IMAGE_AGAIN),
        _kind("image-data-missing", _DATA, "a data item of an image is missing", _IMAGE_AGAIN),
        _kind("image-data-size", _DATA, "a data item of an image has another size than recorded", _IMAGE_AGAIN),
        _kind("image-data-digest", _DATA, "a data item of an image has another digest than recorded", _IMAGE_AGAIN),
        _kind("image-data-unreadable", _DATA, "a data item of an image cannot be read", _IMAGE_AGAIN),
        _kind("image-manifest-missing", _RECORDS, "an image has data but no manifest", _IMAGE_AGAIN),
        _kind("image-without-data", _LEFTOVER, "an image has no manifest: Podman lists none of this store", _DECIDE),
        _kind("image-manifest-broken", _DATA, "an image's manifest is invalid", _IMAGE_AGAIN),
        _kind("image-config-missing", _DATA, "the config that an image's manifest names is missing", _IMAGE_AGAIN),
        _kind("image-config-broken", _DATA, "an image's config is invalid", _IMAGE_AGAIN),
        _kind("image-layers-differ", _RECORDS, "an image's config names other layers than the image has", _IMAGE_AGAIN),
        # ── containers ──
        _kind("container-layer-missing", _DATA, "a container's own layer has no record", _REBUILD),
        _kind("container-image-missing", _RECORDS, "a container's image has no record", _REBUILD),
        _kind("container-data-missing", _DATA, "a data item of a container is missing", _REBUILD),
        _kind("container-data-size", _DATA, "a data item of a container has another size than recorded", _REBUILD),
        _kind("container-data-digest", _DATA, "a data item of a container has another digest than recorded", _REBUILD),
        _kind("container-data-unreadable", _DATA, "a data item of a container cannot be read", _REBUILD),
        # ── mounts ──
        _kind("mount-gone", _LEFTOVER, "a layer counts as mounted, but is not", _RELINK),
        _kind("mount-uncounted", _LEFTOVER, "a layer is mounted, but not counted", _RELINK),
        # ── leftovers ──
        _kind("leftover-staging", _LEFTOVER, "a killed process left a directory it was creating or removing", _SWEEP),
        _kind("leftover-temporary", _LEFTOVER, "a killed process left a file it never renamed into place", _SWEEP),
        _kind("leftover-tar-split", _LEFTOVER, "a tar-split file that no layer owns", _SWEEP),
        _kind("leftover-data", _LEFTOVER, "a directory of data items that nothing owns", _SWEEP),
        # ── the store's own directories ──
        _kind("lock-missing", _RECORDS, "a lock file is missing; the next change creates it", _RELINK),
        _kind("lock-wrong", _RECORDS, "a lock file is something else", _RELINK),
        _kind("thing-wrong", _RECORDS, "a file is a link, FIFO, device or the like", _ASIDE),
        _kind("place-wrong", _RECORDS, "a directory of the store is something else", _DECIDE),
        _kind("place-mode", _RECORDS, "a directory of the store is writable by others, or not by its owner", _MODE),
        _kind("place-open", _COSMETIC, "a directory of the store is readable by others", _CLOSE),
        _kind("place-owner", _RECORDS, "a directory of the store has another owner", _OWN),
    )
)
"""All kinds by name, in the order of the manual page."""


class Finding(Value):
    """One problem that a check found.

    Attributes:
        kind: a key of `KINDS`.
        subject: the item or path that has the problem.
        sentence: a description; it does not repeat the subject.
        evidence: found and expected values by name, of JSON types. Paths in layers are text; bytes that are not UTF-8
            are surrogate escapes.
        go_text: the lines that the Go tools print for the problem, separated by newlines, without leading blanks; ""
            if they do not detect it.
        read_only: the subject belongs to an additional store, which is never changed.
        store: the graph root of that additional store; "" for the store itself.
        advice: a remedy for this finding; if its sentence is empty, `remedy` is that of the kind.
    """

    kind: str
    subject: Subject
    sentence: str
    evidence: Mapping[str, Any] = {}
    go_text: str = ""
    read_only: bool = False
    store: str = ""
    advice: Remedy = Remedy("")

    @property
    def remedy(self) -> Remedy:
        """The remedy: `advice` if it has a sentence, else the remedy of the kind."""
        return self.advice if self.advice.sentence else KINDS[self.kind].remedy

    @property
    def severity(self) -> Severity:
        """The severity of the kind."""
        return KINDS[self.kind].severity

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The identity of the finding across checks: kind, kind and name of the subject, and part."""
        return self.kind, self.subject.kind, self.subject.name, str(self.evidence.get("part", ""))

    def document(self) -> dict[str, Any]:
        """Return the finding as a JSON document."""
        return {
            "kind": self.kind,
            "severity": self.severity.value,
            "subject": {name: text for name, text in self.subject.as_dict().items() if text},
            "sentence": self.sentence,
            "evidence": dict(self.evidence),
            "remedy": self.remedy.as_dict(),
            "peer": self.go_text,
            "read_only": self.read_only,
            **({"store": self.store} if self.store else {}),
        }


def of_layer(kind: str, layer: str, sentence: str, **more: Any) -> Finding:
    """Return a finding about a layer."""
    return _about(kind, Subject("layer", layer), sentence, more)


def of_image(kind: str, image: str, sentence: str, **more: Any) -> Finding:
    """Return a finding about an image."""
    return _about(kind, Subject("image", image), sentence, more)


def of_container(kind: str, container: str, sentence: str, **more: Any) -> Finding:
    """Return a finding about a container."""
    return _about(kind, Subject("container", container), sentence, more)


def of_store(kind: str, path: str, sentence: str, **more: Any) -> Finding:
    """Return a finding about a path of the store that belongs to no item."""
    return _about(kind, Subject("store", path=path), sentence, more)


def _about(kind: str, subject: Subject, sentence: str, more: dict[str, Any]) -> Finding:
    """Create a finding; pass its fields from `more`, and the rest as evidence."""
    own = {name: more.pop(name) for name in ("go_text", "read_only", "advice") if name in more}
    return Finding(kind, subject, sentence, more, **own)
