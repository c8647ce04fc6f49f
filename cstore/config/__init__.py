"""Configuration: which store, which driver, which options. Files and environment are read; nothing is changed.

Owns storage.conf, the environment variables, the order in which flags, environment and file count, and who the user is.
Must not know what a store or a driver does with a setting, nor touch, create or open one.
"""

from __future__ import annotations

from cstore.config.driver_options import with_driver
from cstore.config.options import Overrides, PullOptions, StoreConfig
from cstore.config.peer_view import peer_view
from cstore.config.rootless import Identity, drivers_with_records, rootless_identity, user_runtime_directory
from cstore.config.sources import load_config, load_file

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
