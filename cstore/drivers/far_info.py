"""What an additional layer store says of a layer: its file `info`, for whoever makes a record of it."""

from __future__ import annotations

import json
import os


def read_info(far: str) -> dict[str, object]:
    """What the far side says of a layer, in the fields of a record.

    Raises:
        OSError, ValueError: it cannot be read, or says something else.
    """
    with open(os.path.join(far, "info"), "rb") as file:
        info = json.loads(file.read(1 << 20))
    if not isinstance(info, dict):
        raise ValueError("its file info describes no layer")  # noqa: TRY004  - a file's contents, not an argument
    return info
