"""The storage option that limits the size of a layer, for drivers that support it."""

from __future__ import annotations

from cstore.errors import DriverError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def limit_in(driver: str, options: Mapping[str, str]) -> int | None:
    """Read the option `size` in bytes; None if it is not set.

    Raises:
        DriverError: an option is unknown, or the size is invalid.
    """
    from cstore.config.driver_options import parse_size

    size = None
    for key, value in options.items():
        if key.lower() != "size":
            raise DriverError(driver, f"it has no storage option {key!r}", go_text=f"unknown option {key}")
        try:
            size = parse_size(value)
        except ValueError as error:
            raise DriverError(driver, f"storage option size: {error}") from None
    return size
