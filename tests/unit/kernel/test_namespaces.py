"""Entering a user namespace in process: as an ordinary user, with and without ranges, and as root."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.kernel.mountinfo import is_mountpoint
from tests.unit.kernel.other_process import run_python

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

ORDINARY = """
os.setgroups([])
os.setresgid(12345, 12345, 12345)
os.setresuid(12345, 12345, 12345)
ctypes.CDLL(None).prctl(4, 1)
"""
"""What makes the process an ordinary user without asking for an account (and one that may read its own /proc)."""

ENTER = """
import ctypes, warnings  # here: the interpreter may be installed where an ordinary user cannot read
import os
from cstore.idmap import IDRange
from cstore.kernel.namespaces import CAP_SYS_ADMIN, enter_user_namespace, has_capability, in_user_namespace
"""


def test_outside() -> None:
    """An ordinary user on the host is in no namespace and has no capability."""
    done = run_python(f"{ENTER}{ORDINARY}print(in_user_namespace(), has_capability(CAP_SYS_ADMIN))")

    assert done.stdout == "False False\n", done.stderr


def test_single_id() -> None:
    """Without ranges the own ID becomes 0; a file made inside belongs to the caller outside."""
    done = run_python(
        f"{ENTER}{ORDINARY}enter_user_namespace()\n"
        "print(os.getuid(), os.getgid(), in_user_namespace(), has_capability(CAP_SYS_ADMIN))\n"
        "print(open('/proc/self/uid_map').read().split())\n"
    )

    assert done.stdout == "0 0 True True\n['0', '12345', '1']\n", done.stderr


def test_mounts_stay_inside(tmp_path: Path) -> None:
    """The new namespace may mount, and the host sees nothing of it."""
    tmp_path.chmod(0o755)
    point = tmp_path / "point"
    point.mkdir()

    done = run_python(
        f"{ENTER}import sys\nfrom cstore.kernel.mount import mount\nfrom cstore.kernel.mountinfo import is_mountpoint\n"
        "enter_user_namespace([IDRange(0, 0, 1)], [IDRange(0, 0, 1)])\n"
        "mount('tmpfs', sys.argv[1], 'tmpfs')\nprint(is_mountpoint(sys.argv[1]))\n",
        str(point),
    )

    assert done.stdout == "True\n", done.stderr
    assert not is_mountpoint(str(point))


def test_root_writes_any_map_itself() -> None:
    """Root on the host needs no helper program."""
    done = run_python(
        f"{ENTER}enter_user_namespace([IDRange(0, 100000, 65536)], [IDRange(0, 200000, 65536)])\n"
        "print(os.getuid(), os.getgid(), open('/proc/self/uid_map').read().split(),"
        " open('/proc/self/gid_map').read().split())\n"
    )

    assert done.stdout == "0 0 ['0', '100000', '65536'] ['0', '200000', '65536']\n", done.stderr


@pytest.mark.skipif(shutil.which("newuidmap") is None, reason="newuidmap is not installed")
@pytest.mark.parametrize(("granted", "expected"), [(100000, "0 0 65537"), (500000, "SystemFailure")])
def test_ranges_of_an_ordinary_user(tmp_path: Path, granted: int, expected: str) -> None:
    """The ranges of /etc/subuid are mapped with newuidmap; what is not granted there ends in an error that says so."""
    # Over all of /etc: who adds a user meanwhile would tear away what is mounted on a single file.
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text(f"someone:{granted}:65536\n")
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\nsomeone:x:12345:12345::/:/bin/sh\n")
    private = (
        "import sys\nfrom cstore.kernel.libc import call\nfrom cstore.kernel.mount import *\n"
        "call('unshare', 0x00020000)\nmount('', '/', flags=MS_REC | MS_PRIVATE)\n"
        "mount('overlay', '/etc', 'overlay', data=f'lowerdir={sys.argv[1]}:/etc')\n"
    )

    done = run_python(
        f"{ENTER}{private}{ORDINARY}"
        "ranges = [IDRange(0, 12345, 1), IDRange(1, 100000, 65536)]\n"
        "enter_user_namespace(ranges, ranges)\n"
        "print(os.getuid(), os.getgid(), sum(int(line.split()[2]) for line in open('/proc/self/uid_map')))\n",
        str(tmp_path),
    )

    if expected == "SystemFailure":
        assert "cannot map IDs into a user namespace" in done.stderr
        assert "Traceback" in done.stderr
    else:
        assert done.stdout.strip() == expected, done.stderr


def test_threads_are_refused_with_a_reason() -> None:
    """The kernel does not let a process with threads enter; the error says what to do instead."""
    done = run_python(
        f"{ENTER}import threading, time\n"
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n"
        "from cstore.errors import SystemFailure\n"
        "try:\n    enter_user_namespace()\nexcept SystemFailure as error:\n    print(error.hint)\n"
    )

    assert done.stdout == "it must be entered before any thread is started\n", done.stderr
