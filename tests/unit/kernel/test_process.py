"""What a worker does to itself takes effect."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.unit.kernel.other_process import run_python

if TYPE_CHECKING:
    from pathlib import Path


def test_close_all_but_keeps_the_named_and_the_standard_streams() -> None:
    """Nothing else stays open, however many there were."""
    done = run_python(
        "import os\n"
        "from cstore.kernel.process import close_all_but\n"
        "many = [os.open('/', os.O_RDONLY) for _ in range(50)]\n"
        "close_all_but({many[30], many[49]})\n"
        "alive = set()\n"
        "for fd in range(200):\n"
        "    try:\n"
        "        os.fstat(fd)\n"
        "        alive.add(fd)\n"
        "    except OSError:\n"
        "        pass\n"
        "print(alive == {0, 1, 2, many[30], many[49]})\n"
    )

    assert done.stdout == "True\n", done.stderr


def test_die_with_parent() -> None:
    """When the parent is killed, the child goes too."""
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        child = os.fork()
        if child == 0:
            from cstore.kernel.process import die_with_parent

            die_with_parent(os.getppid())
            os.write(writing, b"ready")
            time.sleep(60)
            os._exit(0)
        time.sleep(60)
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 5) == b"ready"
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)

    assert os.read(reading, 1) == b"", "the pipe ends when the child has gone"
    os.close(reading)


def test_die_with_parent_that_is_dead_already() -> None:
    """An order placed too late is carried out at once."""
    child = os.fork()
    if child == 0:
        from cstore.kernel.process import die_with_parent

        die_with_parent(parent=os.getpid())  # which is not our parent
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@pytest.mark.usefixtures("needs_root")
def test_chroot_into(tmp_path: Path) -> None:
    """The directory becomes the whole world."""
    (tmp_path / "only").write_bytes(b"")

    done = run_python(
        "import os, sys\n"
        "from cstore.kernel.process import chroot_into, forbid_new_privileges\n"
        "forbid_new_privileges()\n"
        "chroot_into(sys.argv[1])\n"
        "print(os.getcwd(), os.listdir('/'), os.listdir('..'))\n",
        str(tmp_path),
    )

    assert done.stdout == "/ ['only'] ['only']\n", done.stderr


def test_what_the_parent_left_behind_closes_nothing(tmp_path: Path) -> None:
    """A file that only a ring of objects refers to is closed by the collector, by its number: not in the child."""
    path = tmp_path / "file"
    path.touch()
    done = run_python(
        "import gc, os\n"
        "from cstore.kernel.process import spawn\n"
        "gc.disable()\n"
        f"path = {str(path)!r}\n"
        "ring = [open(path)]\n"
        "number = ring[0].fileno()\n"
        "ring.append(ring)\n"
        "del ring\n"
        "def work():\n"
        "    mine = os.open(path, os.O_WRONLY)\n"
        "    gc.collect()\n"
        "    os.write(number, b'x')\n"
        "    return 0 if mine == number else 1\n"
        "print(os.waitpid(spawn(work, set()), 0)[1])\n"
    )

    assert done.stdout == "0\n", done.stderr
    assert path.read_bytes() == b"x"
