"""Stores in directories with odd names."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, make_tar, regular
from tests.conftest import StoreRoots
from tests.mounts import detach_all

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunnerMaker

ODD = [b"a,b", b"a\\b", b"a b", b"a\nb", b"a\"b'c", b"a%s=.", b"-a", b"a\xffb"]
ARCHIVE = make_tar(directory("d"), regular("d/f", b"hello"))


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("name", [*ODD, b"a:b"])
@pytest.mark.parametrize("program", ["", "fuse-overlayfs"])
def test_a_layer_is_mounted_twice_and_exported(name: bytes, program: str, tmp_path: Path, run_on: RunnerMaker) -> None:
    """The mount counts hold, and copies leave; only fuse-overlayfs refuses a colon, above what is written."""
    if program and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    place = os.path.join(str(tmp_path), os.fsdecode(name))
    run = run_on(StoreRoots(f"{place}/graph", f"{place}/run", "overlay"))
    options = ["--storage-opt", f"overlay.mount_program={shutil.which(program)}"] if program else []
    run(*options, "import-layer", "--name", "base", stdin=ARCHIVE).ok()
    try:
        if program and b":" in name:
            assert "path with a colon" in run(*options, "mount", "base").stderr
            return
        point = os.fsdecode(run(*options, "mount", "base").ok().output.rstrip(b"\n"))
        assert os.path.isfile(f"{point}/d/f")
        run(*options, "mount", "base").ok()
        run(*options, "unmount", "base").ok()
        assert os.path.isfile(f"{point}/d/f")
        run(*options, "copy", "base:/d/f", f"{place}/out").ok()
        run(*options, "unmount", point).ok()
        assert not os.path.exists(f"{point}/d/f")
        assert run(*options, "diff", "--uncompressed", "base").ok().output == ARCHIVE
        run(*options, "check").ok()
    finally:
        detach_all(str(tmp_path))
