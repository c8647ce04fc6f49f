"""Questions before something goes that nobody can bring back; scripts are never asked."""

from __future__ import annotations

import sys


def can_ask() -> bool:
    """Whether there is a person to ask: standard input and standard error are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def agreed(question: str) -> bool:
    """Ask a person; anything but a yes is a no."""
    sys.stdout.flush()
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
