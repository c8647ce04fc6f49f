"""What cstore makes while it works does not hinder older Go tools, which take what is in a driver's home for layers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular, typical_tar
from tests.integration.test_good_neighbours import wait_for
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, StoreRoots

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]


@pytest.fixture
def roots(store_roots: StoreRoots) -> Iterator[StoreRoots]:
    """An overlay store; its mounts go with the test."""
    yield replace(store_roots, driver="overlay")
    detach_all(store_roots.graph)


def test_the_go_tool_mounts_though_links_are_lost_and_an_import_is_at_work(
    run: Runner, peer: Runner, roots: StoreRoots, tmp_path: Path
) -> None:
    """It makes the short links again from all that it finds in the home; nothing of ours is among that."""
    run("import-layer", "--id", "base", stdin=make_tar(regular("f", b"x")), roots=roots).ok()
    run("create-layer", "--id", "top", "base", roots=roots).ok()
    command = [sys.executable, "-m", "cstore", *roots.options, "import-layer", "--id", "half", "base"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(typical_tar(files=50)[:20_000])
    process.stdin.flush()
    wait_for("cstore-staging/overlay/temp-dir-*/*", tmp_path / "graph")
    process.kill()
    process.wait()
    process.stdin.close()
    shutil.rmtree(os.path.join(roots.graph, "overlay", "l"))

    where = peer("mount", "top", roots=roots).ok().lines[0]
    with open(os.path.join(where, "f"), encoding="ascii") as file:
        assert file.read() == "x"
    peer("unmount", "top", roots=roots).ok()
    assert "cstore-staging" not in peer("check", roots=roots).stdout
    peer("gc", roots=roots)
    assert os.path.isdir(os.path.join(roots.graph, "cstore-staging"))
    assert "half" not in peer("layers", roots=roots).ok().stdout
    run("gc", roots=roots).ok()
    assert not os.path.exists(os.path.join(roots.graph, "cstore-staging"))
