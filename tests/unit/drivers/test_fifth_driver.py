"""A driver is one package and one line: a made-up one keeps a store, is configured, checked and repaired."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

import cstore.drivers
from cstore import NewLayer, Overrides, load_config, open_store
from cstore.config.editing import full_key
from cstore.drivers.registry import DRIVERS
from cstore.errors import ConfigError
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "plain"


@pytest.fixture(autouse=True)
def fifth_driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add the package's directory to where drivers are, and the line to the registry."""
    folder = os.path.join(os.path.dirname(__file__), "fifth")
    monkeypatch.setattr(cstore.drivers, "__path__", [*cstore.drivers.__path__, folder])
    monkeypatch.setitem(DRIVERS, NAME, ())
    yield
    sys.modules.pop(f"cstore.drivers.{NAME}", None)
    vars(cstore.drivers).pop(NAME, None)


@pytest.fixture
def settings_file(tmp_path: Path) -> str:
    """A storage.conf with a table of the driver's own."""
    path = tmp_path / "storage.conf"
    path.write_text(
        f'[storage]\ndriver = "{NAME}"\ngraphroot = "{tmp_path}/graph"\nrunroot = "{tmp_path}/run"\n'
        f'[storage.options.{NAME}]\nfolder = "volumes"\n'
    )
    return str(path)


def test_it_is_configured_in_a_table_of_its_own(settings_file: str) -> None:
    """Its key is known, becomes an option and is found by its short name; another key of the table is a warning."""
    config = load_config(Overrides(), environ={"CONTAINERS_STORAGE_CONF": settings_file})

    assert (config.driver, config.driver_options) == (NAME, (f"{NAME}.folder=volumes",))
    assert config.warnings == ()
    assert full_key(f"{NAME}.folder") == f"storage.options.{NAME}.folder"
    with pytest.raises(ConfigError, match="no such key"):
        full_key(f"{NAME}.kinds")


def test_it_keeps_a_store(settings_file: str, tmp_path: Path) -> None:
    """Layers come in, are mounted, compared, exported, checked and deleted as with any other driver."""
    archive = make_tar(regular("file", b"text"))
    with open_store(load_config(Overrides(), environ={"CONTAINERS_STORAGE_CONF": settings_file})) as store:
        base = store.layers.put(NewLayer(names=("base",)), archive)
        child = store.layers.create(NewLayer(parent=base.id))
        with store.mounting(child.id) as path:
            (tmp_path / "graph" / NAME / "volumes" / child.id / "more").write_text("more")
            assert sorted(os.listdir(path)) == ["file", "more"]
        sink = tmp_path / "out.tar"
        store.layers.diff(base.id, str(sink))

        assert sink.read_bytes() == archive
        assert [change.text for change in store.layers.changes(child.id)] == ["/more"]
        assert store.check().findings == ()
        assert store.driver_name == NAME
        assert store.layers.directories(base.id) == {}


def test_damage_in_it_is_found_and_healed(settings_file: str, tmp_path: Path) -> None:
    """Nothing in check or repair has to know it."""
    with open_store(load_config(Overrides(), environ={"CONTAINERS_STORAGE_CONF": settings_file})) as store:
        base = store.layers.put(NewLayer(names=("base",)), make_tar(regular("file", b"text", mode=0o644)))
        tree = tmp_path / "graph" / NAME / "volumes" / base.id
        os.chmod(tree / "file", 0o600)

        assert store.check().findings != ()
        store.repair()
        assert store.check().findings == ()
        assert (tree / "file").stat().st_mode & 0o777 == 0o644
