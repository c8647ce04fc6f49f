"""The description of a layer in an additional layer store: its file `info`, as record fields."""

from __future__ import annotations

import json
import os


def read_info(far: str) -> dict[str, object]:
    """Return the record fields in a layer's `info` file.

    Raises:
        OSError, ValueError: it cannot be read, or says something else.
    """
    with open(os.path.join(far, "info"), "rb") as file:
        info = json.loads(file.read(1 << 20))
    if not isinstance(info, dict):
        raise ValueError("its file info describes no layer")  # noqa: TRY004  - a file's contents, not an argument
    return info
