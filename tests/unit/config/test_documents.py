"""The example file and the manual say what the program does."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore.config.keys import Kind, all_keys
from cstore.config.lines import key_lines
from cstore.config.options import DriverChoice, Overrides
from cstore.config.parse import read_file
from tests.unit.config.settings_files import ROOT, USER

if TYPE_CHECKING:
    from cstore.config.options import StoreConfig
    from tests.unit.config.settings_files import Machine

HOUSE = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
EXAMPLE = os.path.join(HOUSE, "storage.conf.example")
MANUAL = os.path.join(HOUSE, "man", "cstore-storage.conf.5")
PULL_KEYS = (
    "enable_partial_images",
    "convert_images",
    "use_hard_links",
    "ostree_repos",
    "insecure_allow_unpredictable_image_contents",
)


def essence(config: StoreConfig) -> StoreConfig:
    """What a configuration means, without where it comes from."""
    return config.with_(source="", warnings=(), pull_options=None, choice=DriverChoice())


def test_example_has_every_key_and_no_other() -> None:
    """Each known key stands in the example once, as a key and not as a comment."""
    settings = read_file(EXAMPLE)

    assert settings.remarks == ()
    assert set(settings.values) == set(all_keys())
    assert set(settings.table("storage.options.pull_options") or {}) == set(PULL_KEYS)


def test_example_changes_nothing(machine: Machine) -> None:
    """Its values are the defaults, for root and for users, with any driver, and it asks for no option in vain."""
    for driver in ("vfs", "overlay", "btrfs", "zfs"):
        for environ, identity in ((machine.system(), ROOT), (machine.user(), USER)):
            overrides = Overrides(driver=driver)
            with_example = {**environ, "CONTAINERS_STORAGE_CONF": EXAMPLE}
            bare = {**environ, "CONTAINERS_STORAGE_CONF": os.devnull}
            example = machine.load(with_example, identity, overrides=overrides)
            default = machine.load(bare, identity, overrides=overrides)

            assert essence(example) == essence(default)
            assert example.pulling == default.pulling
            assert example.warnings == ()


def test_example_says_why_each_key_is_there() -> None:
    """Each key outside the drivers' tables has a comment above it, or above the key above it."""
    with open(EXAMPLE, encoding="utf-8") as file:
        lines = file.read().splitlines()
    for path, line in key_lines("\n".join(lines)).items():
        key = ".".join(path)
        if all_keys().get(key, Kind.EMPTY_TABLE) is not Kind.EMPTY_TABLE and len(path) == 3 and path[1] == "options":
            assert lines[line - 2].startswith("#") or lines[line - 3].startswith("#"), key
    assert max(map(len, lines)) <= 120


def test_manual_names_every_key() -> None:
    """Whoever adds a key adds it to the manual."""
    with open(MANUAL, encoding="utf-8") as file:
        text = file.read().replace("\\-", "-")
    names = {key.rpartition(".")[2] for key in all_keys()} | set(PULL_KEYS)

    assert sorted(name for name in names if name not in text) == []


def test_manual_is_sound() -> None:
    """The typesetter has nothing to complain about."""
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not installed")

    done = subprocess.run([groff, "-man", "-ww", "-Tutf8", "-z", MANUAL], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
