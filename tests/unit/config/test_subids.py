"""IDs that the system has set aside for a user."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from cstore.config.subids import read_ranges, sub_id_map
from cstore.errors import ConfigError, InvalidIDMap
from cstore.idmap import IDRange

if TYPE_CHECKING:
    from tests.unit.config.settings_files import Machine


def test_ranges_are_sorted_and_packed(machine: Machine) -> None:
    """All lines of one owner, lowest first, become one map from 0 upward."""
    users = machine.write("subuid", "# note\n\nu:300000:10\nother:1:1\nu:100000:65536\nuu:5:5\n")
    groups = machine.write("subgid", "g:7:3\n")

    found = sub_id_map("u", "g", user_file=users, group_file=groups)

    assert found.uids == (IDRange(0, 100000, 65536), IDRange(65536, 300000, 10))
    assert found.gids == (IDRange(0, 7, 3),)


def test_one_name_stands_for_both(machine: Machine) -> None:
    """If only a user or only a group is named, it is looked for in both files."""
    users, groups = machine.write("subuid", "u:10:1\n"), machine.write("subgid", "u:20:1\n")

    for names in (("u", ""), ("", "u")):
        found = sub_id_map(*names, user_file=users, group_file=groups)
        assert (found.uids[0].host_id, found.gids[0].host_id) == (10, 20)


def test_owner_may_be_a_number(machine: Machine) -> None:
    """A line can name its owner by user ID, and so can the caller."""
    name, number = pwd.getpwuid(os.getuid()).pw_name, os.getuid()
    path = machine.write("subuid", f"{number}:1:1\n{name}:2:1\n")

    assert read_ranges(name, path) == read_ranges(str(number), path) == ((1, 1), (2, 1))


def test_all_means_every_line(machine: Machine) -> None:
    """`ALL` is everybody."""
    assert read_ranges("ALL", machine.write("subuid", "a:5:1\nb:1:1\n")) == ((1, 1), (5, 1))


def test_nothing_set_aside(machine: Machine) -> None:
    """No line and no file are told with the line to add, and in the words of the Go tools."""
    users, missing = machine.write("subuid", "u:1:1\n"), str(machine.root / "absent")

    with pytest.raises(InvalidIDMap) as caught:
        sub_id_map("nobody-here", user_file=users, group_file=users)
    assert caught.value.go_text == f'no subuid ranges found for user "nobody-here" in {users}'
    with pytest.raises(InvalidIDMap) as caught:
        sub_id_map("u", user_file=users, group_file=missing)
    assert caught.value.go_text == f'no subgid ranges found for group "u" in {missing}'


@pytest.mark.parametrize("line", ["u:1", "u:1:2:3", "u:x:1", "u:1:0", "u:4294967295:2", "u:-1:5", "u::"])
def test_line_that_makes_no_sense_is_named(machine: Machine, line: str) -> None:
    """A broken line of this owner is an error with its number; those of others do not matter."""
    path = machine.write("subuid", f"ok:1:1\n{line}\n")

    with pytest.raises(ConfigError) as caught:
        read_ranges("u", path)

    assert (caught.value.source, caught.value.line) == (path, 2)
    assert read_ranges("ok", path) == ((1, 1),)
