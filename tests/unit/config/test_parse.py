"""Reading one file: every complaint names the file, the line and the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.config import keys
from cstore.config.parse import nearest_key, parse_seconds, read_file
from cstore.errors import ConfigError

if TYPE_CHECKING:
    from tests.unit.config.settings_files import Machine


def refused(machine: Machine, text: str) -> ConfigError:
    """The error that a file of this text raises; it always names the file."""
    path = machine.write("storage.conf", text)
    with pytest.raises(ConfigError) as caught:
        read_file(path)
    assert caught.value.source == path
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("[storage]\ndriver = 5\n", 2, "storage.driver", "a string, not an integer"),
        ("[storage]\ndriver = true\n", 2, "storage.driver", "a string, not a boolean"),
        ("[storage]\ndriver = 1979-05-27\n", 2, "storage.driver", "a string, not a date"),
        ("[storage]\n\ntransient_store = 'true'\n", 3, "storage.transient_store", "without quotes, not a string"),
        ("[storage]\ndriver_priority = 'vfs'\n", 2, "storage.driver_priority", "array of strings, not a string"),
        ("[storage]\ndriver_priority = [\n'vfs', 1]\n", 2, "storage.driver_priority", "not an array of anything else"),
        ("storage = 1\n", 1, "storage", "a table, not an integer"),
        ("[[storage]]\ndriver = 'vfs'\n", 1, "storage", "a table, not an array"),
        ("storage.options.size = 1.5\n", 1, "storage.options.size", "a string, not a float"),
        ("[storage.options]\n# no\nforce_mask = '755'\n", 3, "storage.options.force_mask", "integer from 0"),
        ("[storage.options]\nforce_mask = true\n", 2, "storage.options.force_mask", "not a boolean"),
        ("[storage]\noptions = { auto-userns-min-size = -1 }\n", 2, keys.AUTO_MIN_SIZE, "-1 is not"),
        ("[storage.options]\nauto-userns-max-size = 4294967296\n", 2, keys.AUTO_MAX_SIZE, "4294967296 is not"),
        ("[storage.options.pull_options]\na = 'b'\nc = true\n", 3, f"{keys.PULL_OPTIONS}.c", "not a boolean"),
        ("[storage.options]\npull_options = 'x'\n", 2, keys.PULL_OPTIONS, "a table of strings, not a string"),
        ("[storage.options.cstore]\nsync = 0\n", 2, keys.SYNC, "true or false"),
        ("[storage.options.cstore]\nlock_timeout = 'soon'\n", 2, keys.LOCK_TIMEOUT, "not a duration"),
        ("[storage.options.cstore]\nlock_timeout = -1\n", 2, keys.LOCK_TIMEOUT, "-1 is not"),
        ("[storage.options.cstore]\nlock_timeout = nan\n", 2, keys.LOCK_TIMEOUT, "nan is not"),
        ("[storage.options.cstore]\nlock_timeout = true\n", 2, keys.LOCK_TIMEOUT, "not a boolean"),
        ("[storage.options]\nthinpool = 3\n", 2, "storage.options.thinpool", "a table, not an integer"),
        ('[storage]\ngraphroot = "/a\\u0000b"\n', 2, keys.GRAPH_ROOT, "NUL"),
    ],
)
def test_wrong_value_is_named_with_its_line(machine: Machine, text: str, line: int, key: str, words: str) -> None:
    """A value that a key does not take is an error that names the place and both types."""
    error = refused(machine, text)

    assert (error.line, error.key) == (line, key)
    assert words in error.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[storage.options]\nskip_mount_home = true\n", 'skip_mount_home = "true"'),
        ("[storage]\ntransient_store = 'True'\n", "transient_store = true"),
        ("[storage.options]\nforce_mask = '0755'\n", "force_mask = 0o755"),
        ("[storage.options]\nauto-userns-min-size = '10'\n", "auto-userns-min-size = 10"),
        ("[storage.options]\nadditionalimagestores = '/srv'\n", 'additionalimagestores = ["/srv"]'),
        ("[storage.options.pull_options]\nuse_hard_links = true\n", 'use_hard_links = "true"'),
    ],
)
def test_wrong_type_comes_with_the_right_spelling(machine: Machine, text: str, hint: str) -> None:
    """Where the meaning is clear, the error shows what to write."""
    assert hint in refused(machine, text).hint


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[storage]\ndriver = \n", 2),
        ("[storage]\n\n[storage\n", 3),
        ("[storage]\ndriver = 'a'\ndriver = 'b'\n", 3),
        ("[storage]\ndriver = '''a\n\n", 3),
        ("x = [1,\n2,\n", 2),
    ],
)
def test_broken_toml_is_named_with_its_line(machine: Machine, text: str, line: int) -> None:
    """A file that is not TOML is an error that names the line, also when the file ends too early."""
    error = refused(machine, text)

    assert abs(error.line - line) <= 1
    assert error.line


def test_text_that_is_not_utf8_is_named_with_its_line(machine: Machine) -> None:
    """A stray byte is an error, and its line is told."""
    path = machine.root / "storage.conf"
    path.write_bytes(b"[storage]\n# caf\xe9\n")

    with pytest.raises(ConfigError, match="line 2: is not UTF-8"):
        read_file(str(path))


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000])
def test_absurd_toml_is_an_error_and_no_crash(machine: Machine, text: str) -> None:
    """A value nested thousands deep or thousands of digits long is refused in one sentence."""
    assert "TOML" in refused(machine, text).message or refused(machine, text).line


def test_file_without_end_is_refused(machine: Machine) -> None:
    """Only so much is read."""
    assert "1 MiB" in refused(machine, "# " + "x" * (1 << 20)).message


def test_file_that_cannot_be_read_is_named(machine: Machine) -> None:
    """A missing file and a directory are told apart."""
    with pytest.raises(ConfigError, match="No such file"):
        read_file(str(machine.root / "absent"))
    with pytest.raises(ConfigError, match="Is a directory"):
        read_file(str(machine.root))


def test_two_spellings_of_one_key_are_refused(machine: Machine) -> None:
    """Names that differ in case only are the same name, so one file may not have both."""
    error = refused(machine, "[storage]\nDriver = 'vfs'\ndriver = 'overlay'\n")

    assert "storage.Driver" in error.message
    assert "storage.driver" in error.message


def test_case_of_names_does_not_matter(machine: Machine) -> None:
    """Tables and keys are found in any case, and values keep theirs."""
    path = machine.write("s", "[Storage]\nGRAPHROOT = '/Srv'\n[STORAGE.Options.Pull_Options]\nKeepMe = 'Yes'\n")

    settings = read_file(path)

    assert settings.string(keys.GRAPH_ROOT) == "/Srv"
    assert settings.table(keys.PULL_OPTIONS) == {"KeepMe": "Yes"}
    assert settings.remarks == ()


def test_byte_order_mark_and_windows_lines_are_fine(machine: Machine) -> None:
    """A file from a Windows editor is read like any other."""
    path = machine.root / "storage.conf"
    path.write_bytes(b"\xef\xbb\xbf[storage]\r\ndriver = 'vfs'\r\n")

    assert read_file(str(path)).string(keys.DRIVER) == "vfs"


@pytest.mark.parametrize(
    ("text", "line", "key", "hint"),
    [
        ("[storage]\ndrvier = 'vfs'\n", 2, "storage.drvier", "storage.driver?"),
        ("driver = 'vfs'\n", 1, "driver", "storage.driver?"),
        ("[storage.options]\ngraphroot = '/x'\n", 2, "storage.options.graphroot", "storage.graphroot?"),
        ("[storage]\ntransient-store = true\n", 2, "storage.transient-store", "storage.transient_store?"),
        ("[storage.options]\nostree_repo = '/r'\n", 2, "storage.options.ostree_repo", "ostree_repos"),
        ("[storage.options.thinpool]\nsize = '1'\n", 2, "storage.options.thinpool.size", "device mapper"),
        ("[storage]\n[storage.options.cstore]\nsnyc = true\n", 3, "storage.options.cstore.snyc", "cstore.sync?"),
        ("[wholly.other]\nthing = 1\n", 1, "wholly", ""),
    ],
)
def test_unknown_key_is_a_remark_with_a_guess(machine: Machine, text: str, line: int, key: str, hint: str) -> None:
    """An unknown key stops nobody; it is told once, with its line and with the name that was likely meant."""
    path = machine.write("storage.conf", text)

    (remark,) = read_file(path).remarks

    assert (remark.source, remark.line, remark.key) == (path, line, key)
    assert hint in remark.hint


def test_guess_needs_some_likeness() -> None:
    """Nothing is suggested for a word like no other."""
    assert nearest_key("storage.colour") == ""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("30s", 30),
        (" 1.5m ", 90),
        ("2h", 7200),
        ("250ms", 0.25),
        (".5", 0.5),
        ("0", 0),
        ("inf", float("inf")),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number, with or without a unit."""
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1 d", "1m30s", "1e3", "nan", "٣"])
def test_what_is_no_duration(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_seconds(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("'30s'", 30.0), ("2", 2.0), ("0.5", 0.5), ("inf", None), ("'inf'", None), ("0", 0.0)]
)
def test_lock_timeout_is_read_in_seconds(machine: Machine, text: str, seconds: float | None) -> None:
    """Numbers are seconds, strings may carry a unit, and infinity means no limit."""
    path = machine.write("storage.conf", f"[storage.options.cstore]\nlock_timeout = {text}\n")

    assert read_file(path).seconds(keys.LOCK_TIMEOUT) == seconds


def test_settings_refuse_the_wrong_question(machine: Machine) -> None:
    """Asking for a key as something that it is not is a mistake in the program, found at once."""
    settings = read_file(machine.write("storage.conf", ""))

    with pytest.raises(TypeError, match="takes a string"):
        settings.flag(keys.DRIVER)
    with pytest.raises(KeyError):
        settings.string("storage.nonsense")
