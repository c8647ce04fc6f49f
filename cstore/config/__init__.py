"""Configuration: which store, driver and options to use. Reads files and the environment; changes nothing.

Owns storage.conf, the environment variables, the precedence of options, environment and files, and the identity of the
user. Must not know what a store or driver does with a setting, nor create, open or change a store.
"""

from __future__ import annotations

from cstore.config.driver_options import with_driver
from cstore.config.options import Overrides, PullOptions, StoreConfig
from cstore.config.rootless import Identity, drivers_with_records, rootless_identity, user_runtime_directory
from cstore.config.sources import load_config, load_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.config import keys
    from cstore.config.driver_options import ignores_owners, parse_size
    from cstore.config.editing import check_options, full_key, value_of, with_value, without
    from cstore.config.environment import read_environment
    from cstore.config.files import DROP_INS, MAIN, user_directory
    from cstore.config.generations import FORMATS, go_view
    from cstore.config.keys import kind_of
    from cstore.config.meanings import default_of, meaning_of, since, starting_text
    from cstore.config.origins import Origin, origins_of
    from cstore.config.parse import read_named
    from cstore.config.rootless import Places
    from cstore.config.subids import sub_id_map

__all__ = [
    "DROP_INS",
    "FORMATS",
    "MAIN",
    "Identity",
    "Origin",
    "Overrides",
    "Places",
    "PullOptions",
    "StoreConfig",
    "check_options",
    "default_of",
    "drivers_with_records",
    "full_key",
    "go_view",
    "ignores_owners",
    "keys",
    "kind_of",
    "load_config",
    "load_file",
    "meaning_of",
    "origins_of",
    "parse_size",
    "read_environment",
    "read_named",
    "rootless_identity",
    "since",
    "starting_text",
    "sub_id_map",
    "user_directory",
    "user_runtime_directory",
    "value_of",
    "with_driver",
    "with_value",
    "without",
]

_HOMES = {
    "DROP_INS": "files",
    "FORMATS": "generations",
    "MAIN": "files",
    "Origin": "origins",
    "Places": "rootless",
    "check_options": "editing",
    "default_of": "meanings",
    "full_key": "editing",
    "ignores_owners": "driver_options",
    "keys": "keys",
    "kind_of": "keys",
    "meaning_of": "meanings",
    "origins_of": "origins",
    "parse_size": "driver_options",
    "go_view": "generations",
    "read_environment": "environment",
    "read_named": "parse",
    "since": "meanings",
    "starting_text": "meanings",
    "sub_id_map": "subids",
    "user_directory": "files",
    "value_of": "editing",
    "with_value": "editing",
    "without": "editing",
}


def __getattr__(name: str) -> object:
    """Import what only the configuration commands need at first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'cstore.config' has no attribute {name!r}")
    module = __import__(f"cstore.config.{_HOMES[name]}", fromlist=[name])
    found = module if name == "keys" else getattr(module, name)
    globals()[name] = found  # otherwise the name could mean a submodule from now on
    return found
