"""Confirmation of irreversible deletions; prompts appear on terminals only."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def can_ask() -> bool:
    """Return whether a prompt is possible: standard input and standard error are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def answer(question: str) -> str:
    """Print a question on standard error, and return the answer from standard input."""
    sys.stdout.flush()
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def agreed(question: str) -> bool:
    """Ask a yes/no question, and return whether the answer is yes; any other answer is a no."""
    return answer(f"{question} [y/N] ").lower() in {"y", "yes"}


def may_delete(kind: str, items: Sequence[str], *, yes: bool) -> bool:
    """Return whether items may be deleted: `yes` is set, there is no terminal, or the user agrees."""
    from cstore.cli.output.text import visible

    if yes or not can_ask():
        return True
    noun = kind if len(items) == 1 else f"{kind}s"
    return agreed(f"Delete {noun} {', '.join(map(visible, items))}, and everything that becomes unused?")
