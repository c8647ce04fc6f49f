"""Confirmation before irreversible deletions; scripts are never asked."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def can_ask() -> bool:
    """Whether there is a person to ask: standard input and standard error are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def answer(question: str) -> str:
    """Ask a person, and return what they typed."""
    sys.stdout.flush()
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def agreed(question: str) -> bool:
    """Ask a person; anything but a yes is a no."""
    return answer(f"{question} [y/N] ").lower() in {"y", "yes"}


def may_delete(kind: str, items: Sequence[str], *, yes: bool) -> bool:
    """Whether items may be deleted: `yes` was given, there is no terminal, or the user agrees."""
    from cstore.cli.output.text import visible

    if yes or not can_ask():
        return True
    noun = kind if len(items) == 1 else f"{kind}s"
    return agreed(f"Delete {noun} {', '.join(map(visible, items))}, and everything that becomes unused?")
