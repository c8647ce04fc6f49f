"""At a terminal, somebody who mistypes a name or gives too few digits is told what may have been meant."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots


@pytest.fixture
def typed(store_roots: StoreRoots, private_config: str) -> Callable[..., str]:
    """Run a command whose stderr is a terminal and return what the terminal shows."""

    def run(*words: str) -> str:
        ours, theirs = pty.openpty()
        subprocess.run(
            [sys.executable, "-m", "cstore", *store_roots.options, *words],
            stdout=subprocess.DEVNULL,
            stderr=theirs,
            check=False,
            timeout=60,
            env={**os.environ, "CONTAINERS_STORAGE_CONF": private_config},
        )
        os.close(theirs)
        shown = os.read(ours, 1 << 16).decode()
        os.close(ours)
        return shown

    return run


def test_a_mistyped_name_is_guessed(cli: CommandLine, typed: Callable[..., str]) -> None:
    """The nearest name of that kind of item is offered."""
    cli("create-layer", "-i", "l1", "-n", "debian-base").ok()

    assert "did you mean debian-base?" in typed("layer", "debain-base")
    assert "did you mean" not in typed("layer", "something-else")


def test_too_few_digits_are_told_with_the_candidates(cli: CommandLine, typed: Callable[..., str]) -> None:
    """Where several IDs begin so, they are shown as far as they differ."""
    cli("create-layer", "-i", "aaaabbbb1111").ok()
    cli("create-layer", "-i", "aaaabbbb2222").ok()

    assert "2 IDs begin with it: aaaabbbb1111, aaaabbbb2222" in typed("layer", "aaaab")


def test_scripts_are_spared_the_search(cli: CommandLine) -> None:
    """Off a terminal the message is the same for every word."""
    cli("create-layer", "-i", "l1", "-n", "debian-base").ok()

    assert "did you mean" not in cli("layer", "debain-base").err


def test_the_name_of_another_kind_of_item_is_told(cli: CommandLine, typed: Callable[..., str]) -> None:
    """Who names a container where a layer is wanted is told which layer is the container's."""
    cli("create-layer", "-i", "l1").ok()
    cli("create-image", "-i", "i1", "-n", "img", "l1").ok()
    container = cli("create-container", "-n", "box", "--json", "img").ok().json

    assert f"box is a container; its layer is {container['layer']}" in typed("changes", "box")
    assert "img is an image; its top layer is l1" in typed("diffsize", "img")
    assert "is a layer" in typed("image", "l1")


def test_what_a_word_names_otherwise_is_told_to_scripts_as_well(cli: CommandLine) -> None:
    """A short name or a digest is none for the Go tool's commands; the error gives the name to write, and the kind."""
    cli("create-layer", "-i", "l1").ok()
    cli("create-image", "-i", "i1", "-n", "docker.io/library/app:latest", "l1").ok()

    assert "image not known: 'app' (docker.io/library/app:latest is; see cstore images)" in cli("image", "app").err
    assert "docker.io/library/app:latest is an image; its top layer is l1" in cli("layer", "app").err
    refused = cli("create-container", "--json", "app").error
    assert refused["hint"] == "docker.io/library/app:latest is; see cstore images"


@pytest.mark.parametrize(
    "words",
    ["image app", "mount app", "delete app", "delete-image app", "create-container app", "get-names app",
     "add-names -n x app", "metadata app", "set-metadata -m x app", "get-image-data app k", "list-image-data app",
     "get-image-dir app", "diff app", "changes app", "history app"],
)  # fmt: skip
def test_a_short_name_is_told_in_full(cli: CommandLine, words: str) -> None:
    """The Go tool takes names as they are recorded; who types a short one is told which image has it, scripts too."""
    cli("create-layer", "-i", "l1").ok()
    cli("create-image", "-i", "i1", "-n", "localhost/app:latest", "l1").ok()
    told = cli(*words.split())

    assert told.code == 1
    assert re.search(r"'app' \(localhost/app:latest is(; see cstore | an image; its top layer is l1)", told.err)
    assert "localhost" not in cli("image", "other").err
