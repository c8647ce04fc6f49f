"""One declaration, two readers: the quick one declines, or says exactly what click says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cstore.cli.clicked import HELP, VERSION, understand
from cstore.cli.command import COMMAND, SWITCH, Command, Option
from cstore.cli.reading import Line, read
from cstore.cli.root import GLOBAL_OPTIONS, entries, find

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS: dict[str, Command] = {
    name: command
    for entry in entries()
    for name in (entry.name, *entry.aliases)
    if (command := find(entry.name)) is not None
}


# ── lines made from the declarations ──

TEXTS = [
    "",
    "a",
    "b c",
    "-x",
    "--",
    "-",
    "=",
    "a=b",
    "'q'",
    '"',
    "é",
    "\udcff",
    "1",
    "2.5",
    "nan",
    "inf",
    "-1",
    "1_0",
    " 1 ",
]
WORDS = ["true", "false", "T", "0", "maybe", "", "--json", "-j", "-q", "--help", "-help", "--version", "layers", "x\ny"]
texts = st.sampled_from(TEXTS) | st.text(max_size=4)
truths = st.sampled_from(["1", "t", "true", "TRUE", "0", "F", "False", '"false"', "maybe", ""])


@st.composite
def spelt(draw: st.DrawFn, option: Option) -> list[str]:
    """One option as somebody may write it: short or long, with a value or without, right or wrong."""
    spelling = draw(st.sampled_from(option.spellings))
    if option.takes == SWITCH:
        return [spelling if draw(st.booleans()) else f"{spelling}={draw(truths)}"]
    value = draw(st.sampled_from(["1", "2.5", "inf"]) | texts)
    return draw(st.sampled_from([[spelling, value], [f"{spelling}={value}"], [f"{spelling}={value}"], [spelling]]))


@st.composite
def bundles(draw: st.DrawFn, options: Sequence[Option]) -> list[str]:
    """Several short options in one word, and what may be the value of one of them."""
    letters = [spelling[1] for option in options for spelling in option.spellings if len(spelling) == 2]
    bundle = "-" + "".join(draw(st.lists(st.sampled_from(letters), min_size=1, max_size=3)))
    return [bundle, *draw(st.lists(texts, max_size=1))]


def options_among(options: Sequence[Option]) -> st.SearchStrategy[list[str]]:
    """Any number of options, some of them mistyped."""
    near = st.sampled_from(options).map(lambda option: [option.spellings[0][:-1]])
    one = st.sampled_from(options).flatmap(spelt) | bundles(options) | near | st.just(["--"])
    usual = st.sampled_from(options).flatmap(spelt)
    return st.lists(st.one_of(usual, usual, usual, one), max_size=4).map(
        lambda parts: [word for part in parts for word in part]
    )


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A command line: global options, a command, options, words; any part may be missing or wrong."""
    name = draw(st.sampled_from([*COMMANDS]))
    command = COMMANDS[name]
    before = draw(st.just([]) | options_among([*GLOBAL_OPTIONS, HELP, VERSION]))
    after = draw(options_among([*command.options, *GLOBAL_OPTIONS, HELP]))
    words = draw(st.lists(st.sampled_from(WORDS) | texts, max_size=3))
    return [*before, *draw(st.sampled_from([[name]] * 15 + [[], [name[:-1]]])), *after, *words]


@settings(max_examples=600, deadline=None)
@given(lines())
@example(["layers", "--help=false"])
@example(["--", "layers", "--", "-j"])
@example(["--storage-opt=a", "layers", "--storage-opt", "b"])
@example(["--lock-timeout=soon", "--lock-timeout=1", "layers"])
@example(["-DD=false", "layers", "-D=0"])
@example(["mount", "-o", "a", "-o=b", "x"])
@example(["create-layer", "-n", "", "--name=", ""])
@example(["diff", "--bz2", "-b=false", "x"])
def test_the_quick_reader_declines_or_agrees_with_click(words: list[str]) -> None:
    """Whatever stands on the line."""
    quick = read(words)

    if quick is not None:
        assert understand(words) == quick


@st.composite
def sound_lines(draw: st.DrawFn) -> list[str]:
    """A command line without a mistake."""
    name = draw(st.sampled_from([*COMMANDS]))
    command = COMMANDS[name]
    written: list[str] = []
    for option in draw(st.lists(st.sampled_from([*command.options, *GLOBAL_OPTIONS]), max_size=4)):
        value = draw(
            st.sampled_from(option.choices or (["1.5"] if option.takes == "seconds" else ["v", "", "a=b", "-x"]))
        )
        written.append(option.spellings[-1] + ("" if option.takes == SWITCH else f"={value}"))
    count = len(command.words) + (draw(st.integers(0, 2)) if any(word.many for word in command.words) else 0)
    given = ["w"] * count
    return [name, *given, *written] if command.options_anywhere and draw(st.booleans()) else [name, *written, *given]


@settings(deadline=None)
@given(sound_lines())
def test_a_line_in_order_never_needs_click(words: list[str]) -> None:
    """The quick reader serves it."""
    assert read(words) is not None


# ── what the readers say ──


def understood(*words: str) -> Line:
    """A line that the quick reader serves."""
    line = read(words)
    assert line is not None
    return line


def test_what_is_left_out_has_its_default() -> None:
    """Functions get a value for each of their parameters; the session only what was said."""
    line = understood("import-layer")

    assert line.values["parent"] == line.values["file"] == ""
    assert line.values["name"] == ()
    assert line.values["quiet"] is False
    assert line.settings == {}


def test_every_function_is_called_with_its_parameters() -> None:
    """No declaration forgets one, or names one that the function does not have."""
    for command in COMMANDS.values():
        code = command.function.__code__
        own = set(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
        told = {option.name for option in command.options if option.tells == COMMAND}
        told |= {word.name for word in command.words}

        assert told == own or (own < told and code.co_flags & 0x08), command.name


def test_settings_keep_the_last_value_and_all_driver_options() -> None:
    """Wherever they stand, before the command or after it."""
    line = understood("-g", "a", "--storage-opt=x", "--storage-opt=y", "layers", "--graph=b", "--storage-opt=z")

    assert line.settings == {"graph": "b", "storage_opt": ("x", "y", "z")}


@pytest.mark.parametrize(
    "words",
    [[], ["layers", "-h"], ["--version"], ["laers"], ["layer"], ["layers", "x"], ["layers", "-z"], ["-g", "layers"]],
    ids=" ".join,
)
def test_help_and_mistakes_are_left_to_click(words: list[str]) -> None:
    """The quick reader has nothing to say about them."""
    assert read(words) is None


@pytest.mark.parametrize("value", ["nan", "-0.1", "-inf", "soon", ""])
def test_a_lock_timeout_must_be_a_number_of_seconds(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """NaN compares with nothing, so it would neither end a wait nor let it go on."""
    words = [f"--lock-timeout={value}", "layers"]

    assert read(words) is None
    assert understand(words) == 2
    assert "--lock-timeout" in capsys.readouterr().err
