"""A terminal interface for a store: lists, files, holders of items, and deletion with a preview.

Owns the screen and the keys. Must not know how the command line formats values; it receives the formatters as `Texts`.
Only this room imports Textual, which the extra `cstore[browse]` installs. `run` is the only entry point.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.browse.texts import Texts
    from cstore.store import Store

__all__ = ["Texts", "run"]


def run(store: Store, texts: Texts) -> None:
    """Show a store until the user quits.

    Raises:
        ModuleNotFoundError: Textual is not installed.
    """
    from cstore.browse.app import Browser

    Browser(store, texts).run()


def __getattr__(name: str) -> object:
    """Import names at first use (PEP 562)."""
    if name != "Texts":
        raise AttributeError(f"module 'cstore.browse' has no attribute {name!r}")
    from cstore.browse.texts import Texts

    return Texts
