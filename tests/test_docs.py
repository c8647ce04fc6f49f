"""The documentation of commands is true: manual pages, completions, examples, exit codes."""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from cstore import errors
from cstore.cli import INTERRUPTED, reference
from cstore.cli.clicked import root
from cstore.cli.root import entries
from cstore.errors import contents, items, requests
from cstore.records.model import Container, Image, Layer, key_of

if TYPE_CHECKING:
    from cstore.records.model import Record
    from tests.conftest import Runner, StoreRoots

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILES = reference.files()
COMMANDS = list(reference.described())
EXAMPLES = [line for one in COMMANDS for line in one.command.example.splitlines()]


@pytest.mark.parametrize("path", FILES)
def test_generated_files_are_up_to_date(path: str) -> None:
    """Each file matches the command tree; `python -m cstore.cli.reference` generates them again."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        assert file.read() == FILES[path]


def test_no_page_outlives_its_command() -> None:
    """There is no manual page for a removed command."""
    pages = {f"man/{name}" for name in os.listdir(os.path.join(ROOT, "man")) if name.endswith(".1")}

    assert pages == {path for path in FILES if path.startswith("man/")}


@pytest.mark.parametrize("path", sorted(f"man/{name}" for name in os.listdir(os.path.join(ROOT, "man"))))
def test_manual_pages_are_sound(path: str) -> None:
    """`man` formats every page without a warning."""
    program = shutil.which("man")
    if program is None:
        pytest.skip("man is not installed")
    command = [program, "--warnings=w", "-E", "UTF-8", "-l", os.path.join(ROOT, path)]
    done = subprocess.run(
        command, capture_output=True, check=True, env={**os.environ, "MANPAGER": "cat", "MANWIDTH": "80"}
    )

    assert done.stderr == b""
    assert b"NAME" in done.stdout


@pytest.mark.parametrize("kind", [Layer, Image, Container])
def test_the_layout_page_names_every_key_of_a_record(kind: type[Record]) -> None:
    """cstore-layout(5) describes every key of a record."""
    with open(os.path.join(ROOT, "man", "cstore-layout.5"), encoding="utf-8") as file:
        text = file.read().replace("\\-", "-")

    assert [field for field in kind.field_names() if not re.search(rf"\b{re.escape(key_of(field))}\b", text)] == []


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_are_valid_command_lines(line: str) -> None:
    """Every example in a help text is a valid command line."""
    words = shlex.split(line, comments=True)
    words = words[words.index("cstore") + 1 :]
    end = next((place for place, word in enumerate(words) if word in {"|", "&&", ">"}), len(words))
    context = click.Context(root, info_name="cstore")
    name, command, rest = root.resolve_command(context, words[:end])

    assert command is not None
    assert command.make_context(name, list(rest), parent=context)


def test_every_option_says_what_it_is_for() -> None:
    """Every option has help, and none is hidden."""
    silent = [
        (one.entry.name, option.opts) for one in COMMANDS for option in one.options if not option.help or option.hidden
    ]

    assert silent == []


def test_every_exit_code_is_in_the_manual() -> None:
    """cstore(1) lists the exit code of every error."""
    every = [kind for module in (errors, contents, items, requests) for kind in vars(module).values()]
    family = [kind for kind in every if inspect.isclass(kind) and issubclass(kind, errors.CstoreError)]
    documented = {int(code) for codes, _ in reference.EXIT_CODES for code in codes.split(", ")}

    assert {kind.exit_code for kind in family} | {0, 2, INTERRUPTED} <= documented


# ── completions, in the shells themselves ──

NAMES = [entry.name for entry in entries()]
LINES = [
    ("cstore lay", {"layers", "layer", "layer-parent-owners"}),
    ("cstore --graph /x di", {"diff", "diffsize"}),
    ("cstore --graph=/x di", {"diff", "diffsize"}),
    ("cstore diff --un", {"--uncompressed", "--unshare"}),
    ("cstore wipe --j", {"--json"}),
    ("cstore docker-import LICEN", {"LICENSE"}),
    ("cstore save --format o", {"oci-archive", "oci-dir"}),
    ("cstore layers --progress j", {"json"}),
    ("cstore completion z", {"zsh"}),
]


def shell(program: str) -> str:
    """Find a shell, or skip the test."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def asked(*command: str, path: str = "") -> set[str]:
    """Return the completions that a shell offers. Programs in `path` come first."""
    environment = {**os.environ, "PATH": os.pathsep.join(filter(None, (path, os.environ["PATH"])))}
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment, cwd=ROOT)
    assert done.stderr == ""
    return {line.split("\t")[0] for line in done.stdout.splitlines()}


def bash_offers(line: str, path: str = "") -> set[str]:
    """Call the bash function as if TAB were pressed at the end of `line`."""
    script = """
        source completions/cstore.bash
        compopt() { :; }
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _cstore
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    words = line.replace("=", " = ").split(" ")  # as its COMP_WORDBREAKS splits it
    return asked(shell("bash"), "--norc", "-c", script, "bash", *words, path=path)


def zsh_offers(line: str, path: str = "") -> set[str]:
    """Do the same for zsh, with replacements for two builtins that only work at a prompt."""
    script = """
        compdef() { : }
        compset() { : }
        compadd() { while [[ $1 != -- ]] { shift }; shift; print -rl -- ${(M)@:#$word*} }
        _describe() { local -a found=(${(P)4}); found=(${found%%:*}); print -rl -- ${(M)found:#$word*} }
        _files() { local -a found=(*(N)); print -rl -- ${(M)found:#$word*} }
        source completions/_cstore
        words=("$@") CURRENT=$#
        _cstore
    """
    return asked(shell("zsh"), "-f", "-c", script, "zsh", *line.split(" "), path=path)


def fish_offers(line: str, path: str = "") -> set[str]:
    """Do the same for fish, which has a command for it."""
    return asked(
        shell("fish"),
        "--no-config",
        "-c",
        f"source completions/cstore.fish; complete -C {shlex.quote(line)}",
        path=path,
    )


OFFERS = {"bash": bash_offers, "zsh": zsh_offers, "fish": fish_offers}


@pytest.mark.parametrize("name", OFFERS)
@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_completions_offer_commands_and_options(name: str, line: str, expected: set[str]) -> None:
    """Commands, their options and the global ones are offered without running cstore."""
    assert OFFERS[name](line) == expected


@pytest.mark.parametrize("name", OFFERS)
def test_completions_offer_items_to_options_that_take_one(
    name: str, run: Runner, store_roots: StoreRoots, tmp_path: object
) -> None:
    """Options that take a layer offer layers, and those that take an image offer images."""
    shell(name)
    run("create-layer", "--name", "xlayer").ok()
    run("create-image", "--name", "ximage").ok()
    program = cstore_on(store_roots, f"{tmp_path}/bin")

    assert OFFERS[name]("cstore check --layer xl", program) == {"xlayer"}
    assert OFFERS[name]("cstore check --image xi", program) == {"ximage"}
    assert {offer.rpartition("=")[2] for offer in OFFERS[name]("cstore check --layer=xl", program)} == {"xlayer"}


@pytest.mark.parametrize("name", OFFERS)
@pytest.mark.parametrize("joint", [" ", "="])
def test_completions_ask_the_store_on_the_line(
    name: str, joint: str, run: Runner, store_roots: StoreRoots, private_config: str, tmp_path: object
) -> None:
    """Global options before the command select the store to list."""
    shell(name)
    run("create-layer", "--name", "xlayer").ok()
    folder = f"{tmp_path}/bin"
    os.mkdir(folder)
    with open(f"{folder}/cstore", "w", encoding="utf-8") as file:
        settings = f"CONTAINERS_STORAGE_CONF={shlex.quote(private_config)}"
        file.write(f'#!/bin/sh\nexport {settings}\nexec {shlex.quote(sys.executable)} -m cstore "$@"\n')
    os.chmod(f"{folder}/cstore", 0o700)
    options = f"--graph{joint}{store_roots.graph} --run{joint}{store_roots.run}"

    assert OFFERS[name](f"cstore {options} diff xl", folder) == {"xlayer"}


@pytest.mark.parametrize("name", OFFERS)
def test_completions_offer_data_items_and_quarantine_cases(
    name: str, run: Runner, store_roots: StoreRoots, tmp_path: object
) -> None:
    """The second argument completes to data items of the first, with or without options between; --undo to cases."""
    shell(name)
    run("create-layer", "--id", "l1", "--name", "xlayer").ok()
    run("create-layer", "--id", "l2").ok()
    note = f"{tmp_path}/note"
    with open(note, "w", encoding="utf-8") as file:
        file.write("text")
    run("set-layer-data", "-f", note, "xlayer", "sbom").ok()
    run("rm", "--keep", "3", "--yes", "l2").ok()
    (case,) = json.loads(run("repair", "--list", "--json").ok().stdout)
    program = cstore_on(store_roots, f"{tmp_path}/bin")

    assert OFFERS[name]("cstore get-layer-data xl", program) == {"xlayer"}
    assert OFFERS[name]("cstore get-layer-data xlayer s", program) == {"sbom"}
    assert OFFERS[name]("cstore get-layer-data -f out xlayer s", program) == {"sbom"}
    assert OFFERS[name](f"cstore repair --undo {case['id'][:4]}", program) == {case["id"]}


def test_completions_offer_names_before_ids(run: Runner, store_roots: StoreRoots, tmp_path: object) -> None:
    """Names come first, because users look for names."""
    shell("bash")
    for one in ("b", "a"):
        run("create-layer", "--id", f"0{one}", "--name", f"name-{one}").ok()
    program = cstore_on(store_roots, f"{tmp_path}/bin")
    script = "source completions/cstore.bash; _cstore_items layers"
    environment = {**os.environ, "PATH": os.pathsep.join((program, os.environ["PATH"]))}
    listed = subprocess.check_output(["bash", "-c", script], text=True, env=environment, cwd=ROOT)

    assert listed.split() == ["name-b", "name-a", "0b", "0a"]


@pytest.mark.parametrize(("name", "path"), [("bash", "cstore.bash"), ("zsh", "_cstore"), ("fish", "cstore.fish")])
def test_the_program_prints_its_completions(run: Runner, name: str, path: str) -> None:
    """It prints the shipped files, and refuses other shells."""
    assert run("completion", name).ok().stdout == FILES[f"completions/{path}"]
    refused = run("completion", "tcsh")
    assert (refused.code, refused.stdout) == (2, "")
    assert "bash, zsh, fish" in refused.stderr


def cstore_on(roots: StoreRoots, folder: str) -> str:
    """Create a directory with a program `cstore` that uses the store; returns the directory."""
    os.mkdir(folder)
    with open(f"{folder}/cstore", "w", encoding="utf-8") as file:
        file.write(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cstore {shlex.join(roots.options)} "$@"\n')
    os.chmod(f"{folder}/cstore", 0o700)
    return folder


@pytest.mark.parametrize("name", OFFERS)
def test_completions_offer_items_and_run_nothing_they_are_called(
    name: str, run: Runner, store_roots: StoreRoots, tmp_path: object
) -> None:
    """IDs and names of the store are offered; the shell does not run one that looks like a command."""
    shell(name)
    trap = f"x$(touch {tmp_path}/trap)"
    run("create-layer", "--id", "xl1", "--name", "xbase", "--name", trap).ok()
    program = cstore_on(store_roots, f"{tmp_path}/bin")

    offered = OFFERS[name]("cstore delete-layer x", program)

    assert {"xl1", "xbase"} <= offered
    assert len(offered) == 3
    assert not os.path.exists(f"{tmp_path}/trap")


# ── the page of the library ──


def test_the_page_of_the_library_is_up_to_date() -> None:
    """The page is what `python -m tests.api` generates in a process without other imports."""
    done = subprocess.run(
        [sys.executable, "-c", "from tests.api import page; import sys; sys.stdout.write(page())"],
        capture_output=True, check=True, text=True, cwd=ROOT,
    )  # fmt: skip

    with open(os.path.join(ROOT, "docs", "api.md"), encoding="utf-8") as file:
        assert file.read() == done.stdout


def test_methods_name_the_errors_of_the_functions_behind_them() -> None:
    """The help of a method names all errors to catch, and each of them exists."""
    import cstore
    from tests.api import errors_behind, errors_told

    silent = []
    for kind in (cstore.Store, cstore.Layers, cstore.Images, cstore.Containers, cstore.Quarantine):
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            text = inspect.getdoc(method) or ""
            told = errors_told(text)
            silent += [f"{kind.__name__}.{name}: {error}" for error in sorted(errors_behind(text) - told)]
            silent += [f"{kind.__name__}.{name}: no {one}" for one in sorted(told) if not hasattr(cstore.errors, one)]
            assert text or name.startswith("_"), name

    assert silent == []


def test_the_page_shows_nothing_internal() -> None:
    """No documented call needs a type that is not exported, and no request shows a field for internal use."""
    from cstore import NewLayer, Store
    from tests.api import internal_parameters, page

    calls = re.findall(r"```python\n(.*?)\n```", page(), re.DOTALL)
    assert [call for call in calls if re.search(r"\b(Context|Reader|_[A-Z]\w+)\b", call)] == []
    assert internal_parameters(NewLayer) == ["far"]
    assert internal_parameters(Store) == ["context"]


def test_what_the_go_library_has_is_found() -> None:
    """Each row names existing methods and a command."""
    import cstore
    from tests.api import interface

    commands = {entry.name for entry in entries()} | {"-"}
    for go, python, shell in interface():
        for each in python.split(", "):
            owner, _, name = each.partition(".")
            assert hasattr(getattr(cstore, owner), name), (go, each)
        assert shell in commands
