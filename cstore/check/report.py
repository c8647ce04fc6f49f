"""The result of a check: sorted findings, and the groups in which the Go tools print them."""

from __future__ import annotations

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cstore.check.findings import Finding

GROUPS = (
    ("Layers", "layer", False),
    ("ROLayers", "layer", True),
    ("Images", "image", False),
    ("ROImages", "image", True),
    ("Containers", "container", False),
)
"""The Go tool's groups in its order: key in its JSON, kind of subject, whether read-only (cli 10.1)."""
_ORDER = {"layer": 0, "image": 1, "container": 2, "store": 3}
EXPECTED = frozenset({"image-without-data"})
"""What create-image creates, as in the Go tool. It hinders Podman, so it is not cosmetic, but the store is sound."""


class Report(Value):
    """The result of a check.

    Attributes:
        findings: in the order of the Go tool's groups, then by ID or path, then worst first.
        examined: IDs of the layers whose contents were read.
        unexamined: IDs of the layers that the time limit left unread.
        notes: sentences about what the check could not do.
        layers_of_images: image ID → IDs of its layers, topmost first.
        images_of_containers: container ID → image ID, for containers that have an image.
        read_only: layers and images of additional stores, as (kind, ID).
    """

    findings: tuple[Finding, ...] = ()
    examined: tuple[str, ...] = ()
    unexamined: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    layers_of_images: Mapping[str, tuple[str, ...]] = {}
    images_of_containers: Mapping[str, str] = {}
    read_only: frozenset[tuple[str, str]] = frozenset()

    @property
    def serious(self) -> tuple[Finding, ...]:
        """The findings that set the exit status and appear in the Go tool's lines.

        Cosmetic findings do not, nor does an image without a manifest, which `create-image` creates.
        """
        found = (finding for finding in self.findings if finding.severity.counts)
        return tuple(finding for finding in found if finding.kind not in EXPECTED)

    @property
    def clean(self) -> bool:
        """Whether no finding sets the exit status."""
        return not self.serious

    def of(self, kind: str, identifier: str) -> list[Finding]:
        """Return the findings whose subject is this item (or, for kind `store`, this path)."""
        return [item for item in self.findings if (item.subject.kind, item.subject.name) == (kind, identifier)]

    def groups(self) -> Iterator[tuple[str, dict[str, list[str]]]]:
        """Yield the Go tool's groups: the key, and the lines by ID.

        An image repeats the lines of its layers, a container those of its image. Findings that the Go tool does not
        detect get lines in the same form.
        """
        layers = {**self._lines("layer", read_only=False), **self._lines("layer", read_only=True)}
        own = {**self._lines("image", read_only=False), **self._lines("image", read_only=True)}
        images = _with_copies(own, self.layers_of_images, layers)
        containers = _with_copies(
            self._lines("container", read_only=False),
            {container: (image,) for container, image in self.images_of_containers.items()},
            images,
        )
        everything = {"layer": layers, "image": images, "container": containers}
        for key, kind, read_only in GROUPS:
            found = everything[kind]
            names = [name for name in sorted(found) if ((kind, name) in self.read_only) == read_only]
            yield key, {name: found[name] for name in names}

    def _lines(self, kind: str, *, read_only: bool) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for finding in self.serious:
            if finding.subject.kind == kind and finding.read_only == read_only:
                found.setdefault(finding.subject.id, []).extend(lines_of(finding))
        return found

    @property
    def others(self) -> dict[str, list[str]]:
        """The lines about the store itself, by path; the Go tool has no group for them."""
        found: dict[str, list[str]] = {}
        for finding in self.serious:
            if finding.subject.kind == "store":
                found.setdefault(finding.subject.path, []).append(finding.sentence)
        return found


def lines_of(finding: Finding) -> list[str]:
    """Return the Go tool's lines for a finding, or a line in its form."""
    who = f"{'read-only ' if finding.read_only else ''}{finding.subject.kind} {finding.subject.name}: "
    return finding.go_text.split("\n") if finding.go_text else [who + finding.sentence]


def _with_copies(
    own: dict[str, list[str]], parts: Mapping[str, tuple[str, ...]], lines: Mapping[str, list[str]]
) -> dict[str, list[str]]:
    found = {name: list(texts) for name, texts in own.items()}
    for name, of_parts in parts.items():
        for part in of_parts:
            if lines.get(part):
                found.setdefault(name, []).extend(lines[part])
    return found


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """Sort findings into the order of `Report.findings`."""
    return tuple(
        sorted(
            findings,
            key=lambda item: (
                _ORDER[item.subject.kind], item.read_only, item.subject.name, item.severity.rank, item.key
            ),
        )
    )  # fmt: skip
