"""Flags over environment over file over defaults, for every combination; and every path comes out plain."""

from __future__ import annotations

import os
import tempfile

import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from cstore.config.environment import expand, plain_path
from cstore.config.keys import all_keys, all_tables
from cstore.config.options import Overrides
from cstore.config.parse import nearest_key, read_file
from cstore.config.rootless import Identity
from cstore.config.sources import load_config
from cstore.errors import ConfigError

ROOT = Identity(uid=0, gid=0, seen_uid=0, rootless=False, per_user=False)
DRIVERS = ("", "vfs", "overlay", "btrfs", "zfs")
PLACES = ("", "/p/a", "/p/b", "/p/c")
LISTS = st.lists(st.sampled_from(["k=1", "k=2", "l=3"]), max_size=2).map(tuple)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


def write(text: str) -> str:
    """Put a text into a new file."""
    descriptor, path = tempfile.mkstemp(suffix=".conf")
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return path


@settings(max_examples=150)
@given(
    file=st.tuples(st.sampled_from(PLACES), st.sampled_from(DRIVERS), st.booleans()),
    variables=st.tuples(st.none() | st.sampled_from(DRIVERS), st.none() | LISTS),
    flags=st.tuples(st.sampled_from(PLACES), st.sampled_from(DRIVERS), st.none() | st.booleans(), LISTS),
)
def test_the_nearest_word_wins(
    file: tuple[str, str, bool],
    variables: tuple[str | None, tuple[str, ...] | None],
    flags: tuple[str, str, bool | None, tuple[str, ...]],
) -> None:
    """Each field takes the first of flag, variable, file and default that says anything, whatever the others do."""
    path = write(tomli_w.dumps({"storage": {"graphroot": file[0], "driver": file[1], "transient_store": file[2]}}))
    environ = {"CONTAINERS_STORAGE_CONF": path}
    if variables[0] is not None:
        environ["STORAGE_DRIVER"] = variables[0]
    if variables[1] is not None:
        environ["STORAGE_OPTS"] = ",".join(variables[1])

    overrides = Overrides(graph_root=flags[0], driver=flags[1], transient_store=flags[2], driver_options=flags[3])
    config = load_config(overrides, environ=environ, identity=ROOT)
    os.unlink(path)

    assert config.graph_root == (flags[0] or file[0] or os.path.realpath("/var/lib/containers/storage"))
    assert config.driver == (flags[1] or variables[0] or file[1])
    assert config.transient_store == (file[2] if flags[2] is None else flags[2])
    assert config.driver_options == (variables[1] or ()) + flags[3]


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(sorted(all_keys())), SCALARS, max_size=4))
def test_any_value_is_read_or_refused_with_its_line(values: dict[str, object]) -> None:
    """A value of any type is either accepted or named by key and line; nothing else is raised."""
    given_values = {key: value for key, value in values.items() if value is not None}
    path = write("".join(tomli_w.dumps({"x": value}).replace("x", key, 1) for key, value in given_values.items()))
    error = None
    try:
        read = read_file(path).values
    except ConfigError as refusal:
        error = refusal
    os.unlink(path)

    if error is None:
        assert read.keys() == given_values.keys()
    else:
        assert (error.source, error.key in given_values) == (path, True)
        assert list(given_values).index(error.key) < error.line


@given(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=30))
def test_expansion_leaves_no_variable(text: str) -> None:
    """With nothing set, all that is left of a dollar sign is one that names nothing; without one, nothing changes."""
    result, unset = expand(text, {}, 0)

    assert "$" in text or (result, unset) == (text, [])
    assert len(result) <= len(text) or "$UID" in text


@given(st.text(st.sampled_from("/.ab"), min_size=1, max_size=20))
def test_plain_paths_stay_plain(path: str) -> None:
    """A plain path is absolute and tidy, and making it plain again changes nothing."""
    plain = plain_path("/absent/" + path)

    assert plain.startswith("/")
    assert not plain.startswith("//")
    assert plain_path(plain) == plain


@given(st.text(max_size=20))
def test_guesses_are_known_names(word: str) -> None:
    """What is suggested exists."""
    assert nearest_key(word) in {"", *all_keys(), *all_tables()}
