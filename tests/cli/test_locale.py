"""The locale of the caller."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StoreRoots

_SOURCES = "/usr/share/i18n/locales/de_DE"


@pytest.fixture
def latin(tmp_path: Path) -> dict[str, str]:
    """An environment in which text is ISO-8859-1."""
    if shutil.which("localedef") is None or not os.path.exists(_SOURCES):
        pytest.skip("there is no source to compile a locale from")
    name = "de_DE.ISO-8859-1"
    subprocess.run(["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(tmp_path / name)], check=True)
    return {**os.environ, "LOCPATH": str(tmp_path), "LC_ALL": name}


def test_names_are_the_same_everywhere(latin: dict[str, str], store_roots: StoreRoots, private_config: str) -> None:
    """The store's text is UTF-8 whatever the terminal's is, as for the Go tool."""
    program = [os.path.join(os.path.dirname(sys.executable), "cstore"), *store_roots.options]
    environment = {**latin, "CONTAINERS_STORAGE_CONF": private_config}

    def run(*words: str | bytes) -> bytes:
        return subprocess.run([*program, *words], env=environment, check=True, capture_output=True).stdout

    run("create-layer", "--name", "café".encode())

    assert [layer["names"] for layer in json.loads(run("layers", "--json"))] == [["café"]]
    assert run("get-names", "café".encode()) == "café\n".encode()
