"""`unshare`: a program in a user namespace of its own, and what it finds there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture(autouse=True)
def _needs_namespaces() -> None:
    """Skip where the kernel gives out no user namespaces."""
    tried = subprocess.run(
        ["unshare", "--user", "--mount", "--map-root-user", "true"], capture_output=True, check=False
    )
    if tried.returncode:
        pytest.skip("this system does not let processes make user namespaces")


def unshare(*words: str, before: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """Run `cstore unshare`."""
    command = [sys.executable, "-m", "cstore", *before, "unshare", *words]
    environ: Mapping[str, str] = {**os.environ, **env}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=60)


@pytest.mark.parametrize("status", [0, 7, 255])
def test_the_exit_status_is_the_programs(status: int) -> None:
    """Not 0 or 1, as with the peer."""
    assert unshare("sh", "-c", f"exit {status}").returncode == status


def test_a_program_that_a_signal_ends_is_seen_to_be(tmp_path: object) -> None:
    """Nothing stands between the caller and the program."""
    assert unshare("sh", "-c", "kill -9 $$").returncode == -9


def test_the_caller_is_root_inside() -> None:
    """And the host's user is who they were outside."""
    done = unshare("sh", "-c", "id -u; id -g; cat /proc/self/uid_map")
    uid, gid, first, *_ = done.stdout.splitlines()
    assert (uid, gid) == ("0", "0")
    assert first.split() == ["0", str(os.getuid()), "1"]


def test_programs_inside_are_told_in_the_peers_words() -> None:
    """Podman and Buildah do not enter another namespace then; how Buildah isolates is not overruled."""
    told = dict(line.split("=", 1) for line in unshare("env").stdout.splitlines() if "=" in line)
    assert told["_CONTAINERS_USERNS_CONFIGURED"] == "done"
    assert told["_CONTAINERS_ROOTLESS_UID"] == str(os.getuid())
    assert told["_CONTAINERS_ROOTLESS_GID"] == str(os.getgid())
    assert told["BUILDAH_ISOLATION"] == "rootless"
    assert "BUILDAH_ISOLATION=chroot" in unshare("env", BUILDAH_ISOLATION="chroot").stdout.splitlines()


def test_inside_no_second_namespace_is_entered() -> None:
    """Neither by `unshare` nor by `-U`, also for root, whom the peer takes in without end."""
    program = f"readlink /proc/self/ns/user; {sys.executable} -m cstore -U unshare readlink /proc/self/ns/user"
    first, second = unshare("sh", "-c", program).stdout.split()
    assert first == second
    assert first != os.readlink("/proc/self/ns/user")


def test_mounts_end_with_the_program() -> None:
    """They are made in a mount namespace of its own."""
    assert unshare("readlink", "/proc/self/ns/mnt").stdout.strip() != os.readlink("/proc/self/ns/mnt")


def test_words_of_the_program_are_not_read() -> None:
    """Options of cstore stand before it."""
    assert unshare("echo", "-j", "--help", "--", "x").stdout == "-j --help -- x\n"
    assert unshare("--", "echo", "-n", "y").stdout == "y"


def test_without_a_program_it_is_the_shell() -> None:
    """SHELL, or else sh."""
    assert unshare(SHELL="/bin/pwd").stdout.strip() == os.getcwd()
    assert unshare(SHELL="").returncode == 0


@pytest.mark.parametrize(
    ("word", "code", "reason"), [("no-such-program", 127, "No such"), ("/dev/null", 126, "denied")]
)
def test_a_program_that_cannot_be_run_is_named(word: str, code: int, reason: str) -> None:
    """With the exit codes that shells have for it."""
    done = unshare(word)
    assert done.returncode == code
    assert f"cannot run {word}" in done.stderr
    assert reason in done.stderr


def test_signals_are_as_a_program_expects_them() -> None:
    """A pipe that nobody reads ends it, though Python ignores that."""
    ignored = int(unshare("sh", "-c", "grep SigIgn /proc/self/status").stdout.split()[1], 16)

    assert not ignored & sum(1 << (number - 1) for number in (signal.SIGPIPE, signal.SIGXFSZ))
