"""How much memory the window of a decoder may take: xz and zstd streams say themselves how much they need."""

from __future__ import annotations

from contextlib import suppress

from cstore.errors import CompressionFailed

USUAL_WINDOW = 1 << 27
"""Bytes a decoder may use for its window in any case: enough for `xz -9` and `zstd --long=27`."""

_LARGEST_WINDOW = 1 << 31
"""Bytes in the largest window of any zstd stream (`zstd --long=31`)."""


def largest_window() -> int:
    """Bytes a decoder may use for its window here: up to 2 GiB, if that much memory is free."""
    return max(USUAL_WINDOW, min(_LARGEST_WINDOW, _free_memory()))


def _free_memory() -> int:
    """Bytes that the system, and the control group that this process may be confined to, can still give."""
    free = [0]
    with suppress(OSError, ValueError), open("/proc/meminfo") as lines:
        free = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")] or [0]
    with suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max") as limit:
        most = int(limit.read())
        with open("/sys/fs/cgroup/memory.current") as used:
            free.append(most - int(used.read()))
    return min(free)


def window_failure(label: str, window: int) -> CompressionFailed:
    """Return the error for a stream whose window needs more memory than the decoder may use.

    Args:
        label: the compression's.
        window: the limit that somebody set, in bytes; 0 if it is what this system can give.
    """
    reason = f"its window needs more memory than the {(window or largest_window()) >> 20} MiB that may be used here"
    hint = "recompress it with a smaller window"
    return CompressionFailed(
        label, reason, hint=f"allow more with --memory, for example 2g, or {hint}" if window else hint
    )
