"""status, version, config; warnings about the configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots


def test_status_lines_go_to_standard_error(cli: CommandLine, store_roots: StoreRoots) -> None:
    """As with the peer, whose callers look there."""
    told = cli("status").ok()

    assert told.out == ""
    assert told.err.splitlines()[:4] == [
        f"Root: {store_roots.graph}",
        f"Run Root: {store_roots.run}",
        "Driver Name: vfs",
        "Driver Options: []",
    ]


def test_status_in_json_goes_to_standard_output(cli: CommandLine) -> None:
    """A list of pairs."""
    told = cli("--storage-opt", "vfs.ignore_chown_errors=true", "status", "-j").ok()

    assert told.json[2:4] == [["Driver Name", "vfs"], ["Driver Options", "[vfs.ignore_chown_errors=true]"]]


def test_version(bare_cli: CommandLine) -> None:
    """Likewise."""
    text, document = bare_cli("version").ok(), bare_cli("version", "--json").ok()

    assert (text.out, text.err) == ("", "Version: 0.2.0\n")
    assert document.out == '[["Version","0.2.0"]]\n'


def test_config_prints_what_is_in_force(cli: CommandLine, store_roots: StoreRoots) -> None:
    """Without opening a store, so that none is made."""
    shown = cli("config").ok().json

    assert (shown["root"], shown["driver"]) == (store_roots.graph, "vfs")
    assert not os.path.exists(store_roots.graph)


def test_config_of_a_file(bare_cli: CommandLine, tmp_path: Path) -> None:
    """What that file says, and warnings about it."""
    path = tmp_path / "other.conf"
    path.write_text('[storage]\ndriver = "vfs"\ngraphroot = "/srv/g"\nunheard_of = 1\n')

    told = bare_cli("config", str(path)).ok()

    assert told.json["root"] == "/srv/g"
    assert told.err.startswith("cstore: warning: ")
    assert "unheard_of" in told.err


def test_a_bad_file_is_named_with_its_line(
    bare_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For `config FILE` and for every other command."""
    path = tmp_path / "bad.conf"
    path.write_text("[storage]\ndriver = 7\n")
    shown = bare_cli("config", str(path))
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(path))
    used = bare_cli("layers")

    for told in (shown, used):
        assert (told.code, told.out) == (1, "")
        assert told.err.startswith(f"cstore: {path}, line 2: ")
        assert told.err.count("\n") == 1


def test_warnings_are_printed_once(bare_cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command goes on, and says each warning once."""
    path = tmp_path / "odd.conf"
    path.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/g"\nrunroot = "{tmp_path}/r"\nunheard_of = 1\n'
    )
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(path))

    told = bare_cli("create-layer", "-i", "l1").ok()

    assert told.lines == ["l1"]
    assert told.err.count("unheard_of") == 1


def test_debug_lines_come_first(cli: CommandLine, store_roots: StoreRoots) -> None:
    """They tell which store is open."""
    told = cli("-D", "layers").ok()

    assert [line.partition("msg=")[2] for line in told.err.splitlines()[:4]] == [
        f"Root: {store_roots.graph}",
        f"Run Root: {store_roots.run}",
        "Driver Name: vfs",
        "Driver Options: []",
    ]
