"""Read the file `info` with which an additional layer store describes a layer."""

from __future__ import annotations

import json
import os


def read_info(far: str) -> dict[str, object]:
    """Return the description of a layer in the far side, by names of record fields.

    Raises:
        OSError, ValueError: the file cannot be read, or is not a JSON object.
    """
    with open(os.path.join(far, "info"), "rb") as file:
        info = json.loads(file.read(1 << 20))
    if not isinstance(info, dict):
        raise ValueError("its file info describes no layer")  # noqa: TRY004  - a file's contents, not an argument
    return info
