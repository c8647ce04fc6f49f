"""The error for a layer that has a record but no directory."""

from __future__ import annotations

from cstore import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def directory_lost(driver: str, layer: str, searched: Sequence[str], go_text: str) -> errors.DriverError:
    """Make it.

    Args:
        driver: the driver's name.
        layer: the layer's ID.
        searched: the places searched for its directory, the store's own first. With several, the record may belong to
            an additional store, from which nothing is deleted.
        go_text: what the Go tools say.
    """
    hint = "its contents are lost; cstore delete-layer removes the record"
    if len(searched) > 1:
        hint = "its contents are lost; cstore repair --dry-run says in which store, and what helps"
    return errors.DriverError(
        driver, f"layer {layer} has no directory in {' or '.join(searched)}", hint=hint, go_text=go_text
    )
