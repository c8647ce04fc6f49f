"""Limit the memory for a decoder's window, because xz and zstd streams themselves determine how much they need."""

from __future__ import annotations

from contextlib import suppress

from cstore.errors import CompressionFailed

USUAL_WINDOW = 1 << 27
"""Bytes that a decoder may always use for its window: enough for `xz -9` and `zstd --long=27`."""

_LARGEST_WINDOW = 1 << 31
"""Bytes in the largest window of any zstd stream (`zstd --long=31`)."""


def largest_window() -> int:
    """Return the bytes that a decoder may use for its window: up to 2 GiB, limited by free memory.

    The memory is that of the system and of this process's control group.
    """
    free = [0]
    with suppress(OSError, ValueError), open("/proc/meminfo") as lines:
        free = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")] or [0]
    with suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max") as limit:
        most = int(limit.read())
        with open("/sys/fs/cgroup/memory.current") as used:
            free.append(most - int(used.read()))
    return max(USUAL_WINDOW, min(_LARGEST_WINDOW, *free))


def window_failure(label: str, window: int) -> CompressionFailed:
    """Return the error for a stream whose window needs more memory than the decoder may use.

    Args:
        label: the name of the compression.
        window: the limit that the user set, in bytes; 0 if the system's memory is the limit.
    """
    reason = f"its window needs more memory than the {(window or largest_window()) >> 20} MiB that may be used here"
    hint = "recompress it with a smaller window"
    return CompressionFailed(
        label, reason, hint=f"allow more with --memory, for example 2g, or {hint}" if window else hint
    )
