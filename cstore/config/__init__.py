"""Configuration: which store, which driver, which options. Files and environment are read; nothing is changed.

Owns storage.conf, the environment variables, the order in which flags, environment and file count, and who the user is.
Must not know what a store or a driver does with a setting, nor touch, create or open one.
"""

from __future__ import annotations

from cstore.config.driver_options import with_driver
from cstore.config.options import Overrides, PullOptions, StoreConfig
from cstore.config.rootless import Identity, drivers_with_records, rootless_identity, user_runtime_directory
from cstore.config.sources import load_config, load_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.config.peer_view import peer_view

__all__ = [
    "Identity",
    "Overrides",
    "PullOptions",
    "StoreConfig",
    "drivers_with_records",
    "load_config",
    "load_file",
    "peer_view",
    "rootless_identity",
    "user_runtime_directory",
    "with_driver",
]


def __getattr__(name: str) -> object:
    """Import what only `cstore config` prints when it is first asked for (PEP 562)."""
    if name != "peer_view":
        raise AttributeError(f"module 'cstore.config' has no attribute {name!r}")
    from cstore.config.peer_view import peer_view

    globals()[name] = peer_view  # else the name means the module from now on
    return peer_view
