"""Check everything but the contents of layers: fast enough to run twice, the second time under the locks."""

from __future__ import annotations

from itertools import chain

from cstore.check.driver_state import driver_findings
from cstore.check.items import item_findings, manifest_findings
from cstore.check.layer_jobs import tar_split_findings
from cstore.check.leftovers import leftover_findings, mount_findings
from cstore.check.places import place_findings, thing_findings
from cstore.check.record_files import record_findings
from cstore.check.references import reference_findings
from cstore.errors import ImageUnknown, LayerUnknown
from cstore.store.lookup import find_image, find_layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.check.findings import Finding
    from cstore.check.options import CheckOptions
    from cstore.check.snapshot import StoreSnapshot

_OF_ALL = "records-"
"""The prefix of kinds that concern every scope, because a damaged record file may have hidden any item."""


class Scope:
    """The scope of a check: everything, or some layers, and images with all their layers."""

    def __init__(self, snapshot: StoreSnapshot, options: CheckOptions) -> None:
        """Look up the references in `options`.

        Raises:
            LayerUnknown, ImageUnknown: a reference matches no item.
        """
        self.everything = not (options.layers or options.images)
        self._wanted: set[tuple[str, str]] = set()
        for ref in options.layers:
            layer = find_layer(snapshot, ref) or snapshot.layers.get(ref)
            if layer is None:
                raise LayerUnknown(ref)
            self._wanted.add(("layer", layer.id))
        for ref in options.images:
            image = find_image(snapshot, ref)
            if image is None:
                raise ImageUnknown(ref)
            self._wanted.add(("image", image.id))
            for top in filter(None, (image.layer, *image.mapped_layers)):
                self._wanted.update(("layer", layer) for layer in snapshot.chain(top))

    def wants(self, kind: str, identifier: str) -> bool:
        """Return whether an item is in the scope."""
        return self.everything or (kind, identifier) in self._wanted

    def heeds(self, finding: Finding) -> bool:
        """Return whether a finding concerns the scope."""
        return finding.kind.startswith(_OF_ALL) or self.wants(finding.subject.kind, finding.subject.name)


def survey(snapshot: StoreSnapshot, scope: Scope, options: CheckOptions) -> list[Finding]:
    """Find everything that can be found without reading the contents of layers. Each finding is returned once.

    Raises:
        SystemFailure: this process may not read something.
    """
    looks = [
        record_findings(snapshot),
        reference_findings(snapshot, options.max_age),
        driver_findings(snapshot, scope.wants),
        tar_split_findings(snapshot, scope.wants),
        item_findings(snapshot, lambda kind, item: options.data_of(kind) and scope.wants(kind, item)),
    ]
    if options.image_data:
        looks.append(manifest_findings(snapshot, scope.wants))
    if scope.everything:
        looks += [
            mount_findings(snapshot), leftover_findings(snapshot), place_findings(snapshot), thing_findings(snapshot),
        ]  # fmt: skip
    found: dict[tuple[str, str, str, str], Finding] = {}
    for finding in chain.from_iterable(looks):
        if scope.heeds(finding):
            found.setdefault(finding.key, finding)
    return list(found.values())
