"""The Go tool and cstore come to the same settings from the same files and variables.

Debian's `containers-storage` (1.43) has no `config` command yet, so its `status` is compared: roots, driver and driver
options. It does not know `imagestore` and `transient_store`, which are left to the unit tests; and without
XDG_RUNTIME_DIR it calls the last resort for a user's run root `containers-user-UID`, which is `storage-run-UID` today.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from typing import TYPE_CHECKING

import pytest

from cstore.config.generations import go_view
from cstore.config.rootless import Identity
from cstore.config.sources import load_config
from cstore.kernel.mountinfo import read_mounts
from tests.conftest import ROOT as ROOT_DIRECTORY
from tests.conftest import find_peer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from cstore.config.options import StoreConfig

pytestmark = pytest.mark.peer

ROOT = Identity(uid=0, gid=0, seen_uid=0, rootless=False, per_user=False)
USER_ID = 12345
AS_USER = (
    *("setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups"),
    *("unshare", "--user", "--map-root-user"),
)


def peer_status(environ: Mapping[str, str], *, before: Sequence[str] = ()) -> dict[str, str]:
    """What the Go tool says about the store that these variables lead to."""
    done = subprocess.run(
        [*before, find_peer("containers-storage"), "status", "--json"],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(autouse=True)
def no_mounts_left(tmp_path: Path) -> Iterator[None]:
    """Undo the mount that the Go tool's overlay driver leaves on its home."""
    yield
    inside = [mount.mount_point for mount in read_mounts() if mount.mount_point.startswith(f"{tmp_path}/")]
    for path in reversed(inside):
        subprocess.run(["umount", "--lazy", path], check=True)


def summary(config: StoreConfig) -> dict[str, str]:
    """The same facts of cstore's, in the same form."""
    return {
        "Root": config.graph_root,
        "Run Root": config.run_root,
        "Driver Name": config.driver,
        "Driver Options": f"[{' '.join(older_options(config))}]",
    }


def older_options(config: StoreConfig) -> list[str]:
    """The driver options as tools of that age make them: what the store is told today has another form."""
    options = go_view(config, "1.60").get("driver-options", [])
    assert isinstance(options, list)
    return options


def assert_same(peer: Mapping[str, str], config: StoreConfig) -> None:
    """Both see one store."""
    ours = summary(config)
    assert {key: peer[key] for key in ours} == ours


FILES = {
    "plain": "[storage]\ndriver='vfs'\ngraphroot='{base}/g'\nrunroot='{base}/r'\n",
    "variables": (
        "[storage]\ndriver='vfs'\ngraphroot='$BASE/$UID/${{NAME}}/$NOBODY/g'\nrunroot='${{BASE}}//./x/../$UIDr'\n"
    ),
    "odd variables": "[storage]\ndriver='vfs'\ngraphroot='{base}/$1/a${{}}b/g$'\nrunroot='{base}/${{UID}}/r$-x'\n",
    "case": "[Storage]\nDRIVER='vfs'\nGraphRoot='{base}/g'\nrunROOT='{base}/r'\n",
    "dotted keys": "storage.driver='vfs'\nstorage.graphroot='{base}/g'\nstorage.runroot='{base}/r'\n",
    "unknown keys": "[storage]\nbogus=1\ndriver='vfs'\ngraphroot='{base}/g'\nrunroot='{base}/r'\n[other]\na=1\n",
    "overlay": (
        "[storage]\ndriver='overlay'\ngraphroot='{base}/g'\nrunroot='{base}/r'\n[storage.options]\n"
        "mountopt='nodev'\nignore_chown_errors='true'\nskip_mount_home='true'\n[storage.options.overlay]\nmountopt='nosuid'\n"
    ),
    "old name of overlay": (
        "[storage]\ndriver='overlay2'\ngraphroot='{base}/g'\nrunroot='{base}/r'\n[storage.options]\nmountopt='nodev'\n"
    ),
    "table of vfs": (
        "[storage]\ndriver='vfs'\ngraphroot='{base}/g'\nrunroot='{base}/r'\n"
        "[storage.options.vfs]\nignore_chown_errors='true'\n[storage.options.overlay]\nmountopt='nodev'\n"
    ),
    "cstore's own table": (
        "[storage]\ndriver='vfs'\ngraphroot='{base}/g'\nrunroot='{base}/r'\n"
        "[storage.options.cstore]\nsync=false\nlock_timeout='30s'\n"
    ),
}


@pytest.fixture
def base(tmp_path: Path, needs_root: None) -> str:
    """A directory for roots, without links in its path."""
    del needs_root
    return str(tmp_path.resolve())


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_file_means_the_same(base: str, text: str) -> None:
    """One file, one store: roots, driver and driver options agree."""
    path = f"{base}/storage.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.format(base=base))
    environ = {"CONTAINERS_STORAGE_CONF": path, "HOME": base, "BASE": base, "NAME": "n"}

    config = load_config(environ=environ, identity=ROOT)

    assert_same(peer_status(environ), config)


@pytest.mark.parametrize(
    "variables",
    [
        {"STORAGE_DRIVER": "vfs"},
        {"STORAGE_DRIVER": "vfs", "STORAGE_OPTS": "vfs.ignore_chown_errors=true"},
        {"STORAGE_OPTS": ""},
        {"STORAGE_OPTS": "overlay.mountopt=nosuid,overlay.skip_mount_home=true"},
        {"STORAGE_DRIVER": ""},
    ],
    ids=str,
)
def test_environment_means_the_same(base: str, variables: dict[str, str]) -> None:
    """STORAGE_DRIVER and STORAGE_OPTS have the same effect on the same file."""
    path = f"{base}/storage.conf"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"[storage]\ndriver='overlay'\ngraphroot='{base}/g'\nrunroot='{base}/r'\n")
        file.write("[storage.options.overlay]\nmountopt='nodev'\n")
    environ = {"CONTAINERS_STORAGE_CONF": path, "HOME": base, **variables}

    assert_same(peer_status(environ), load_config(environ=environ, identity=ROOT))


USER_FILES = {
    "no file": "",
    "path for users": "[storage]\ndriver='vfs'\nrootless_storage_path='$HOME/$UID/x'\n",
    "both roots": "[storage]\ndriver='vfs'\ngraphroot='${HOME}/g'\nrunroot='$XDG_RUNTIME_DIR/r'\n",
    "table of vfs": "[storage]\ndriver='vfs'\n[storage.options.vfs]\nignore_chown_errors='true'\n",
}


@pytest.mark.parametrize("text", USER_FILES.values(), ids=USER_FILES)
@pytest.mark.parametrize("extra", [{}, {"XDG_DATA_HOME": "data"}, {"XDG_CONFIG_HOME": "configuration"}], ids=str)
def test_store_of_a_user_is_the_same(users_base: str, text: str, extra: dict[str, str]) -> None:
    """An ordinary user's store is found in the same place, inside the user namespace that is entered for them."""
    home, runtime = f"{users_base}/home", f"{users_base}/runtime"
    variables = {name: f"{home}/{value}" for name, value in extra.items()}
    folder = variables.get("XDG_CONFIG_HOME", f"{home}/.config") + "/containers"
    if text:
        os.makedirs(folder)
        with open(f"{folder}/storage.conf", "w", encoding="utf-8") as file:
            file.write(text)
    environ = {
        "HOME": home,
        "XDG_RUNTIME_DIR": runtime,
        "STORAGE_DRIVER": "vfs",
        "_CONTAINERS_USERNS_CONFIGURED": "done",
        "_CONTAINERS_ROOTLESS_UID": str(USER_ID),
        "_CONTAINERS_ROOTLESS_GID": str(USER_ID),
        **variables,
    }

    libraries = f"{ROOT_DIRECTORY}:{sysconfig.get_path('purelib')}"
    done = subprocess.run(
        [*AS_USER, users_python(), "-m", "cstore", "config", "--format", "1.60"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": libraries, "PYTHONDONTWRITEBYTECODE": "1", **environ},
        capture_output=True,
        check=True,
        cwd="/",
    )
    view = json.loads(done.stdout)
    ours = {
        "Root": view["root"],
        "Run Root": view["runroot"],
        "Driver Name": view["driver"],
        "Driver Options": f"[{' '.join(view.get('driver-options', []))}]",
    }
    peer = peer_status(environ, before=AS_USER)
    assert {key: peer[key] for key in ours} == ours


def users_python() -> str:
    """An interpreter that the user may run: that of the tests, or the system's."""
    for program in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([*AS_USER, program, "-c", "pass"], capture_output=True, check=False).returncode == 0:
            return program
    pytest.skip("no Python that an ordinary user may run has what cstore needs")


@pytest.fixture
def users_base(needs_root: None) -> Iterator[str]:
    """A directory with a user's home and runtime directory, which that user can reach, unlike those of pytest."""
    del needs_root
    attempt = subprocess.run([*AS_USER, "true"], capture_output=True, check=False) if shutil.which("setpriv") else None
    if attempt is None or attempt.returncode != 0:
        pytest.skip("an ordinary user cannot make a user namespace here")
    with tempfile.TemporaryDirectory(prefix="cstore-test-") as base:
        for path in (base, f"{base}/home", f"{base}/runtime"):
            os.makedirs(path, 0o700, exist_ok=True)
            os.chown(path, USER_ID, USER_ID)
        yield os.path.realpath(base)
