"""The error for a layer that has a record but no directory."""

from __future__ import annotations

from cstore import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def directory_lost(driver: str, layer: str, searched: Sequence[str], go_text: str) -> errors.DriverError:
    """Create the error.

    Args:
        driver: the driver's name.
        layer: the layer's ID.
        searched: the paths where its directory was searched, the store's own first. With more than one, the record may
            belong to an additional store, which is read-only.
        go_text: the Go tool's message.
    """
    hint = "its contents are lost; cstore delete-layer removes the record"
    if len(searched) > 1:
        hint = "its contents are lost; cstore repair --dry-run names the store and the remedy"
    return errors.DriverError(
        driver, f"layer {layer} has no directory in {' or '.join(searched)}", hint=hint, go_text=go_text
    )
