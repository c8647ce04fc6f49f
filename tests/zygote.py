"""Running commands without start-up time: a process that has imported cstore forks for each command of a test.

Most of the time of a small command is interpreter start and imports, and the suite runs thousands of them. Each is
still a separate process with its own streams, environment, directory, umask and exit code, and can be killed. What a
fork would change runs as the installed program instead: another user or namespace, other limits, a locale,
interpreter settings. Start-up itself has its own tests.
"""

from __future__ import annotations

import array
import gc
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from tests import processes
from tests.children import become_command, import_before_forking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LIMITS = ("RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_AS", "RLIMIT_STACK", "RLIMIT_NPROC", "RLIMIT_CPU")
_OF_THE_INTERPRETER = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "COVERAGE_")
_IMPORTED = (
    "cstore.cli", "cstore.cli.session", "cstore.cli.clicked", "cstore.library", "cstore.store.store",
    "cstore.archive.apply", "cstore.archive.pipeline", "cstore.check.survey", "cstore.check.repair.repairing",
    "cstore.transfer.archive_images", "cstore.transfer.saving", "cstore.drivers.overlay.driver",
    "cstore.drivers.vfs.driver", "click", "ctypes", "fastcrc", "hashlib", "isal.igzip_lib", "msgspec", "tempfile",
    "zstandard",
)  # fmt: skip
"""What most commands use, or what is slow to import."""

_CHUNK = 1 << 16


class Zygote:
    """The forking process, and how to use it. It is started with the first command."""

    def __init__(self) -> None:
        self.pid = 0
        self._address = b""
        self._alike: tuple[object, ...] = ()

    def can_run(self, env: Mapping[str, str]) -> bool:
        """Return whether a forked command would behave like one started by this process."""
        if not self.pid:
            self._start()
        ours = [(name, env.get(name)) for name in sorted({*env, *os.environ}) if name.startswith(_OF_THE_INTERPRETER)]
        theirs = [(name, self._environment.get(name)) for name, _ in ours]
        return ours == theirs and self._alike == _circumstances()

    def _start(self) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(b"")  # an abstract address, chosen by the kernel
        listener.listen(64)
        self._address = listener.getsockname()
        self._environment = dict(os.environ)
        self._alike = _circumstances()
        command = [sys.executable, "-m", "tests.zygote", str(listener.fileno()), str(os.getpid())]
        self._process = subprocess.Popen(command, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)
        self.pid = self._process.pid
        processes.permanent.add(self.pid)
        listener.close()

    def run(
        self,
        words: Sequence[str],
        *,
        stdin: bytes | IO[bytes] | None,
        env: Mapping[str, str],
        cwd: str | None,
        timeout: float,
    ) -> tuple[int, bytes, bytes]:
        """Run one command to its end; return its exit code, negative for a signal, and its output.

        Raises:
            subprocess.TimeoutExpired: it took too long and was killed.
        """
        umask = os.umask(0)
        os.umask(umask)
        request = {"words": list(words), "env": dict(env), "cwd": cwd or os.getcwd(), "umask": umask}
        ends: list[int] = []
        feeding = -1
        try:
            if isinstance(stdin, bytes):
                source, feeding = os.pipe()
            else:
                source = os.open(os.devnull, os.O_RDONLY) if stdin is None else os.dup(stdin.fileno())
            ends.append(source)
            reading = []
            for _ in range(2):
                end, theirs = os.pipe()
                reading.append(end)
                ends.append(theirs)
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(self._address)
            socket.send_fds(connection, [b"x"], ends)
            body = json.dumps(request).encode()
            connection.sendall(len(body).to_bytes(8, "big") + body)
        finally:
            for end in ends:
                os.close(end)
        try:
            return _converse(connection, reading, feeding, stdin if isinstance(stdin, bytes) else b"", words, timeout)
        finally:
            connection.close()


def _circumstances() -> tuple[object, ...]:
    """Return what a process inherits from its parent and a request does not contain."""
    return (
        os.geteuid(),
        *(os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "user", "pid", "net")),
        *(resource.getrlimit(getattr(resource, name)) for name in _LIMITS),
        signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
    )


def _converse(
    connection: socket.socket, reading: list[int], feeding: int, given: bytes, words: Sequence[str], timeout: float
) -> tuple[int, bytes, bytes]:
    """Feed input and read output until both streams have ended and the exit code has arrived."""
    said: dict[int, list[bytes]] = {end: [] for end in reading}
    told = b""
    rest = memoryview(given)
    end_time = time.monotonic() + timeout
    waited = select.poll()
    for end in (*reading, connection.fileno()):
        waited.register(end, select.POLLIN)
    if feeding >= 0:
        os.set_blocking(feeding, False)
        waited.register(feeding, select.POLLOUT)
    open_ends = {*reading, connection.fileno(), *([feeding] if feeding >= 0 else [])}
    try:
        while open_ends - {feeding} or (feeding in open_ends and not told):
            ready = waited.poll(max(0.0, end_time - time.monotonic()) * 1000)
            if not ready and time.monotonic() >= end_time:
                raise subprocess.TimeoutExpired(["cstore", *words], timeout)
            for end, _ in ready:
                if end == feeding:
                    try:
                        rest = rest[os.write(feeding, rest[:_CHUNK]) :] if rest else rest
                    except BrokenPipeError:
                        rest = rest[:0]
                    done = not rest
                elif end == connection.fileno():
                    data = connection.recv(64)
                    told += data
                    done = not data
                else:
                    data = os.read(end, _CHUNK)
                    said[end].append(data)
                    done = not data
                if done:
                    waited.unregister(end)
                    open_ends.discard(end)
                    if end != connection.fileno():
                        os.close(end)
    finally:
        for end in open_ends - {connection.fileno()}:
            os.close(end)
    if not told:
        raise RuntimeError(f"the process that forks commands did not answer for {words}")
    return int(told), b"".join(said[reading[0]]), b"".join(said[reading[1]])


# ── the process that forks ────────────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    """Serve until the process that started this one has ended."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    starter = int(sys.argv[2])
    import_before_forking(_IMPORTED)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever waits for a command is not this process
    listener.settimeout(2)
    while os.getppid() == starter:
        with suppress(TimeoutError):
            connection, _ = listener.accept()
            connection.setblocking(True)
            if not os.fork():
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os._exit(_serve(connection))
            connection.close()


def _serve(connection: socket.socket) -> int:
    """Fork the command, report its exit code, and kill it if the client disconnects."""
    ends = array.array("i", socket.recv_fds(connection, 1, 3)[1])
    with connection.makefile("rb") as file:
        request = json.loads(file.read(int.from_bytes(file.read(8), "big")))
    command = os.fork()
    if not command:
        connection.close()
        become_command(request["words"], list(ends), request["env"], partial(_begin, request))
    for end in ends:
        os.close(end)
    watched = select.poll()
    ended = os.pidfd_open(command)
    watched.register(ended, select.POLLIN)
    watched.register(connection.fileno(), select.POLLIN)
    if all(found != ended for found, _ in watched.poll()):
        os.kill(command, signal.SIGKILL)
    _, status = os.waitpid(command, 0)
    with suppress(OSError):
        connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    return 0


def _begin(request: dict[str, Any]) -> None:
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    gc.unfreeze()


if __name__ == "__main__":
    main()
