"""One key of a configuration text is changed; comments and all other lines stay."""

from __future__ import annotations

import pytest

from cstore.config.editing import full_key, value_of, with_value, without
from cstore.config.parse import read_settings
from cstore.errors import ConfigError

DRIVER, MOUNTOPT = "storage.driver", "storage.options.overlay.mountopt"
STORES = "storage.options.additionalimagestores"


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("", DRIVER, "vfs", '[storage]\ndriver = "vfs"\n'),
        ("# c\n[storage]\n# d\n", DRIVER, "vfs", '# c\n[storage]\ndriver = "vfs"\n# d\n'),
        ("[storage]\ndriver='vfs' # why\n", DRIVER, "overlay", '[storage]\ndriver = "overlay"  # why\n'),
        ("[storage]\ndriver='v#f'\nrunroot='/r'\n", DRIVER, "vfs", "[storage]\ndriver = \"vfs\"\nrunroot='/r'\n"),
        ("storage.driver = 'vfs'\n", DRIVER, "overlay", 'storage.driver = "overlay"\n'),
        (
            "[storage]\noptions.overlay.mountopt = 'nodev'\n",
            MOUNTOPT,
            "nosuid",
            '[storage]\noptions.overlay.mountopt = "nosuid"\n',
        ),
        (
            "[storage.options]\nadditionalimagestores = [\n  '/a',\n  '/b',\n] # two\n[storage]\ndriver='vfs'\n",
            STORES,
            ["/c", {"append": True}],
            "[storage.options]\nadditionalimagestores = [\"/c\", {append = true}]  # two\n[storage]\ndriver='vfs'\n",
        ),
    ],
)
def test_only_the_line_of_the_key_changes(before: str, key: str, value: object, after: str) -> None:
    """The value is replaced where it stands, or added below its table; the comment behind it stays."""
    assert with_value("/x.conf", before, key, value) == after


@pytest.mark.parametrize(
    ("before", "key"),
    [
        ("[storage.options]\nadditionalimagestores = [\n  '/a', # first\n]\n", STORES),
        ("[storage]\noptions = {overlay = {mountopt = 'nodev'}}\n", MOUNTOPT),
    ],
)
def test_what_cannot_be_edited_by_line_is_left_to_an_editor(before: str, key: str) -> None:
    """Comments inside of an array and inline tables would be lost, so they are refused in a sentence."""
    with pytest.raises(ConfigError, match="without changing other lines"):
        with_value("/x.conf", before, key, value_of(key, "/b"))


def test_a_key_is_removed_with_all_of_its_lines() -> None:
    """`unset` leaves every other line alone; a key that is not there is an error."""
    text = "# c\n[storage.options]\nadditionalimagestores = [\n '/a',\n]\nmountopt='x'\n"

    assert without("/x.conf", text, STORES) == "# c\n[storage.options]\nmountopt='x'\n"
    with pytest.raises(ConfigError, match="the key is not in this file"):
        without("/x.conf", text, DRIVER)


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("storage.options.overlay.sync", "often", "often"),
        ("storage.options.btrfs.size", "much", "much"),
        ("storage.options.vfs.sync", "often", "often"),
        ("storage.transient_store", "maybe", "true or false"),
        ("storage.options.auto-userns-min-size", "-1", "is not an integer from 0"),
    ],
)
def test_a_value_that_the_key_does_not_take_is_refused(key: str, value: str, match: str) -> None:
    """Nothing is written that a driver or the next reader would refuse."""
    with pytest.raises(ConfigError, match=match):
        with_value("/x.conf", "", key, value_of(key, value))


def test_short_names_of_keys() -> None:
    """`storage.` and `storage.options.` need not be written; a name that is nearly one is answered with it."""
    assert full_key("driver") == DRIVER
    assert full_key("Overlay.MountOpt") == MOUNTOPT
    with pytest.raises(ConfigError) as caught:
        full_key("graphrot")
    assert caught.value.hint == "did you mean storage.graphroot?"


def test_lists_are_written_with_commas() -> None:
    """A list needs no brackets; with them it is TOML, and can append."""
    assert value_of(STORES, "/a, /b") == ["/a", "/b"]
    text = with_value("/x.conf", "", STORES, value_of(STORES, '["/a", {append=true}]'))
    assert read_settings("/x.conf", text).values[STORES] == ["/a"]
    assert "{append = true}" in text
