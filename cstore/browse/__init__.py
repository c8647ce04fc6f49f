"""A store on a terminal, to look around in with keys: lists, files, holders, and deletion with a preview.

Owns: what is on the screen, and what each key does. Must not know: how the command line words things; it is handed that
as `Texts`. Only this room imports Textual, which the extra `cstore[browse]` installs. `run` is the one way in.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.browse.texts import Texts
    from cstore.store import Store

__all__ = ["Texts", "run"]


def run(store: Store, texts: Texts) -> None:
    """Show a store until the user leaves it.

    Raises:
        ModuleNotFoundError: Textual is not installed.
    """
    from cstore.browse.app import Browser

    Browser(store, texts).run()


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for (PEP 562)."""
    if name != "Texts":
        raise AttributeError(f"module 'cstore.browse' has no attribute {name!r}")
    from cstore.browse.texts import Texts

    return Texts
