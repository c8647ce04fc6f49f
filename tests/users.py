"""An ordinary user, created for one file of tests and removed afterwards.

The user runs the tests' interpreter if it is readable for all, else the system's with the same libraries.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, Finished

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_SUB_ID = 2_000_000_000
"""Higher than any range that a system assigns by itself."""

COUNT = 5000
_OURS = re.compile(r"cstore(\d+)[rn]")
"""A user name created by `ordinary_user`: it contains the ID of the process that runs the tests."""
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class User:
    """An account, and how to run programs as that user."""

    name: str
    uid: int
    gid: int
    home: str
    program: tuple[str, ...]
    environment: dict[str, str]

    @property
    def graph(self) -> str:
        """The user's default graph root."""
        return os.path.join(self.home, ".local/share/containers/storage")

    def run(self, *command: str, stdin: bytes = b"", **env: str) -> Finished:
        """Run any program in the user's home, without our environment."""
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=120,
            cwd=self.home,
            env={**self.environment, **env},
            user=self.uid,
            group=self.gid,
            extra_groups=(),
        )
        return Finished(list(command), done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def cstore(self, *words: str, stdin: bytes = b"", **env: str) -> Finished:
        """Run a cstore command."""
        return self.run(*self.program, *words, stdin=stdin, **env)

    def unshared(self, script: str) -> Finished:
        """Run a shell script inside `cstore unshare`, with `cstore` as a command."""
        words = " ".join(self.program)
        return self.cstore("unshare", "sh", "-e", "-c", f'cstore() {{ {words} "$@"; }}\n{script}')

    def write(self, name: str, data: bytes) -> str:
        """Write a file that belongs to the user into their home."""
        path = os.path.join(self.home, name)
        with open(path, "wb") as file:
            file.write(data)
        os.chown(path, self.uid, self.gid)
        return path


@contextlib.contextmanager
def ordinary_user(*, ranges: bool) -> Iterator[User]:
    """Create a user, with `ranges` of subordinate IDs or without; skips if that is impossible.

    Until the end of the block, the umask is 022, because root creates some files for the user.
    """
    _skip_unless_possible()
    _remove_forgotten()
    name = f"cstore{os.getpid()}{'r' if ranges else 'n'}"
    _administer("useradd", "--system", "--create-home", "--shell", "/bin/sh", name)  # system users get no ranges
    account = pwd.getpwnam(name)
    umask = os.umask(0o022)
    try:
        os.chmod(account.pw_dir, 0o700)
        if ranges:
            first = FIRST_SUB_ID + os.getpid() % 10_000 * COUNT
            span = f"{first}-{first + COUNT - 1}"
            _administer("usermod", "--add-subuids", span, "--add-subgids", span, name)
        environment = {"HOME": account.pw_dir, "USER": name, "LOGNAME": name, "PATH": _PATH, "LC_ALL": "C.UTF-8"}
        program, more = _program(account, environment)
        yield User(name, account.pw_uid, account.pw_gid, account.pw_dir, program, {**environment, **more})
    finally:
        os.umask(umask)
        _remove(account)


def _remove(account: pwd.struct_passwd) -> None:
    _end_processes(account.pw_uid)
    for path in (f"/tmp/storage-run-{account.pw_uid}", f"/tmp/podman-run-{account.pw_uid}", account.pw_dir):
        shutil.rmtree(path, ignore_errors=True)
    _administer("userdel", account.pw_name)


def _remove_forgotten() -> None:
    """Remove the users of killed test runs. Their mounts disappeared with their namespaces."""
    for account in pwd.getpwall():
        found = _OURS.fullmatch(account.pw_name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            with contextlib.suppress(KeyError):
                _remove(pwd.getpwnam(account.pw_name))


def _skip_unless_possible() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a user")
    absent = [name for name in ("useradd", "usermod", "userdel", "newuidmap", "newgidmap") if not _find(name)]
    if absent:
        pytest.skip(f"{', '.join(absent)}: not installed")


def _find(name: str) -> str | None:
    return shutil.which(name, path=_PATH)


def _administer(program: str, *words: str) -> None:
    """Change the user database, which may be locked for a moment."""
    for _ in range(50):
        done = subprocess.run([_find(program) or program, *words], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        if "lock" not in done.stderr:
            break
        time.sleep(0.2)
    pytest.fail(f"{program} {' '.join(words)}: {done.stderr}")


def _program(account: pwd.struct_passwd, environment: dict[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return how this user runs cstore: its code with a usable interpreter, or the installed program."""
    installed = os.path.join(os.path.dirname(sys.executable), "cstore")
    libraries = {"PYTHONPATH": f"{ROOT}:{sysconfig.get_path('purelib')}", "PYTHONDONTWRITEBYTECODE": "1"}
    choices: list[tuple[tuple[str, ...], dict[str, str]]] = [
        ((sys.executable, "-m", "cstore"), {"PYTHONPATH": ROOT}),
        (("/usr/bin/python3", "-m", "cstore"), libraries),
        ((installed,), {}),
    ]
    for program, more in choices:
        try:
            done = subprocess.run(
                [*program, "--help"],
                capture_output=True,
                check=False,
                cwd=account.pw_dir,
                env={**environment, **more},
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=(),
            )
        except OSError:
            continue
        if done.returncode == 0:
            return program, more
    pytest.skip("no Python that an ordinary user may run has what cstore needs")


def _end_processes(uid: int) -> None:
    """Kill the remaining processes of a user."""
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            if os.stat(f"/proc/{int(entry)}").st_uid == uid:
                os.kill(int(entry), signal.SIGKILL)
