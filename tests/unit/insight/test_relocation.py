"""Which lines of units, Quadlet files and configurations name a path, and whether a database does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.insight.relocation import database_names, naming_lines, pattern_of

if TYPE_CHECKING:
    from pathlib import Path

OLD = "/srv/old-store"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        (f"ExecStart=/usr/bin/podman --root={OLD} start web", True),
        (f"Volume={OLD}/volumes/data/_data:/data:Z", True),
        (f"GlobalArgs=--root {OLD}", True),
        (f'root = "{OLD}"', True),
        (f"containers-storage:[overlay@{OLD}+/run/x]app", True),
        (f"--root='{OLD}'", True),
        (f"Volume={OLD}er:/data", False),
        (f"Volume={OLD}.bak:/data", False),
        (f"Volume={OLD}-2/x:/data", False),
        (f"Volume=/mnt{OLD}/x:/data", False),
        ("Volume=/srv/old:/data", False),
    ],
)
def test_only_the_path_and_what_is_below_it_counts(line: str, names: bool) -> None:
    """Not another name that begins or ends so."""
    assert bool(pattern_of([OLD]).search(line)) == names


def test_files_of_a_home_are_read(tmp_path: Path) -> None:
    """Units, drop-ins, Quadlets, configurations; no comments, and nothing that cannot be read or has no end."""
    home, own = str(tmp_path), ".config/containers"
    for name, text in (
        (".config/systemd/user/a.service", f"[Service]\n# {OLD}\nExecStart=x {OLD}/y\n"),
        (".config/systemd/user/b.service.d/x.conf", f"[Service]\nEnvironment=A={OLD}\n"),
        (f"{own}/systemd/web.container", f"[Container]\nVolume={OLD}/v:/v\n"),
        (f"{own}/systemd/other.volume", "[Volume]\n"),
        (f"{own}/storage.conf", f'graphroot = "{OLD}"\n'),
        (f"{own}/containers.conf.d/1.conf", f'volume_path = "{OLD}/volumes"\n'),
        (f"{own}/containers.conf", f'\xff = "{OLD}"\n'),
    ):
        path = os.path.join(home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="latin-1") as file:
            file.write(text)
    os.mkfifo(os.path.join(home, own, "systemd/pipe.container"))
    os.symlink("/dev/zero", os.path.join(home, own, "systemd/endless.container"))
    known = os.path.join(home, own, "storage.conf")

    found = {(each.kind, each.where.removeprefix(f"{home}/")) for each in naming_lines([OLD], [home], [known])}

    assert found == {
        ("unit", ".config/systemd/user/a.service:3"),
        ("unit", ".config/systemd/user/b.service.d/x.conf:2"),
        ("quadlet", f"{own}/systemd/web.container:2"),
        ("config", f"{own}/containers.conf.d/1.conf:1"),
        ("config", f"{own}/containers.conf:1"),
    }


def test_a_database_is_searched_as_it_is(tmp_path: Path) -> None:
    """Wherever the path stands in it, also across what is read at a time; not a longer path."""
    path = tmp_path / "db"
    for before in (0, (1 << 20) - 5, (1 << 20) - len(OLD), 1 << 20):
        path.write_bytes(b"\0" * before + OLD.encode() + b"\0\1")
        assert database_names(str(path), [OLD])
    path.write_bytes(OLD.encode() + b"er\0")
    assert not database_names(str(path), [OLD])
    assert not database_names(str(tmp_path / "none"), [OLD])
