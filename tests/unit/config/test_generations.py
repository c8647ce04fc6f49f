"""The configuration as the Go tools print it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cstore.config.generations import go_view
from cstore.config.options import PullOptions, StoreConfig
from cstore.config.sources import load_file
from tests.unit.config.settings_files import ROOT

if TYPE_CHECKING:
    from tests.unit.config.settings_files import Machine

FULL = """
[storage]
driver = "vfs"
driver_priority = ["overlay", "vfs"]
runroot = "/run/containers/storage"
graphroot = "/srv/g"
imagestore = "/srv/i"
rootless_storage_path = "/srv/$UID/x"
transient_store = true
[storage.options]
root-auto-userns-user = "sto"
auto-userns-min-size = 10
auto-userns-max-size = 20
disable-volatile = true
pull_options = { foo = "bar", enable_partial_images = "true" }
[storage.options.vfs]
ignore_chown_errors = "true"
[storage.options.cstore]
sync = false
lock_timeout = 3
"""


def test_examples_of_the_specification(machine: Machine) -> None:
    """Keys stand in their order, empty ones are left out, settings of cstore's own are not shown."""
    bare = StoreConfig(graph_root="/var/lib/containers/storage", run_root="/run/containers/storage")
    assert json.dumps(go_view(bare), separators=(",", ":")) == (
        '{"runroot":"/run/containers/storage","root":"/var/lib/containers/storage","PullOptions":null}'
    )
    machine.write("etc/storage.conf", FULL)
    assert "RootlessStoragePath" not in go_view(machine.load(identity=ROOT))
    assert json.dumps(go_view(machine.load(identity=ROOT), "1.60"), separators=(",", ":")) == (
        '{"runroot":"/run/containers/storage","root":"/srv/g","imagestore":"/srv/i","RootlessStoragePath":"/srv/0/x",'
        '"driver":"vfs","driver-priority":["overlay","vfs"],"driver-options":["vfs.ignore_chown_errors=true"],'
        '"root_auto_ns_user":"sto","auto_userns_min_size":10,"auto_userns_max_size":20,'
        '"PullOptions":{"enable_partial_images":"true","foo":"bar"},"disable-volatile":true,"transient_store":true}'
    )


def test_empty_file(machine: Machine) -> None:
    """A file that says nothing shows the keys that are always there: one today, two up to 1.60."""
    config = load_file(machine.write("x.conf", ""), environ={})

    assert go_view(config) == {"PullOptions": None}
    assert go_view(config, "1.60") == {"RootlessStoragePath": "", "PullOptions": None}


@pytest.mark.parametrize("word", ["true", "TRUE", "True"])
def test_pull_options_that_mean_something(word: str) -> None:
    """They are true for `true` in any case only; the list of repositories is split."""
    table = {"enable_partial_images": word, "use_hard_links": "1", "ostree_repos": "/a:/b:", "foo": "bar"}

    pulling = StoreConfig(pull_options=table).pulling

    assert pulling == PullOptions(enable_partial_images=True, ostree_repos=("/a", "/b"))
    assert StoreConfig().pulling == PullOptions()


def test_the_view_is_at_the_door_every_time() -> None:
    """It is imported when it is first asked for, and a module of the same name does not take its place."""
    from cstore import config

    assert callable(config.go_view)
    assert callable(config.go_view)
