"""The laboratory: one system call of a command fails, or is its last; the store must be the old or the new one.

A command is traced once to find its calls that name the store or its scratch directory. Equal calls on similar paths
form a class, which is tried once with each possible error and with a kill. Calls are counted separately in each thread
and process, so "the third write" may be one of several: all of them are hit.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from cstore.check import CheckOptions, check_store
from cstore.config import Overrides, load_config
from cstore.docker.facts import LAST_UPDATED
from cstore.errors import CstoreError
from cstore.store import open_store
from tests.faults.commands import ALL, ANEW, PREPARED, REPAIR, UNDO, prepare
from tests.faults.copies import Copy
from tests.faults.fingerprint import fingerprint
from tests.faults.forks import HANGS, Forks
from tests.faults.injection import KILLED, Injection
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.records.model import Layer
    from cstore.store import Store

_T = TypeVar("_T")

FULL, BROKEN, DESCRIPTORS, MEMORY, AGAIN = "ENOSPC", "EIO", "EMFILE", "ENOMEM", "EAGAIN"
_CHANGES = (FULL, BROKEN, KILLED)
FAULTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("write", "pwrite64", "writev", "ftruncate", "fallocate", "copy_file_range", "sendfile"), _CHANGES),
    **dict.fromkeys(("rename", "renameat", "renameat2", "mkdir", "mkdirat", "symlink", "symlinkat"), _CHANGES),
    **dict.fromkeys(("link", "linkat", "mknod", "mknodat", "setxattr", "lsetxattr", "fsetxattr"), _CHANGES),
    **dict.fromkeys(("rmdir", "unlink", "unlinkat", "chmod", "fchmod", "fchmodat", "fchown", "fchownat", "lchown"),
                    (BROKEN, KILLED)),
    **dict.fromkeys(("fsync", "fdatasync", "syncfs"), (BROKEN, KILLED)),
    **dict.fromkeys(("open", "openat", "openat2"), (FULL, BROKEN, DESCRIPTORS, MEMORY, KILLED)),
    **dict.fromkeys(("read", "pread64", "getdents64", "close", "mount", "umount2", "move_mount"), (BROKEN,)),
    **dict.fromkeys(("newfstatat", "statx", "readlink", "readlinkat", "getxattr", "lgetxattr"), (BROKEN,)),
    **dict.fromkeys(("fgetxattr", "listxattr", "llistxattr", "flistxattr", "statfs", "fstatfs"), (BROKEN,)),
    **dict.fromkeys(("clone", "clone3", "fork", "vfork"), (AGAIN, KILLED)),
}  # fmt: skip
"""Each system call, and the faults to try."""

_PROGRAM = (sys.executable, "-m", "cstore")
_UNFINISHED = (".tmp-", "temp-dir-", "stuck-", ".copy-", ".cstore-")
"""Prefixes of the names of incomplete files, in the store and on the host."""
_FORKS = frozenset({"clone", "clone3", "fork", "vfork"})
_CALL = re.compile(r"\[ *(?P<number>\d+)\] (?P<call>\w+)\((?P<rest>.*)")
_STRAYS = (
    (re.compile(r"[0-9a-f]{64}"), "ID"),
    (re.compile(r"\b[A-Z2-7]{26}\b"), "LINK"),
    (re.compile(r"/=[A-Za-z0-9+=]{40,}"), "/=DIGEST"),
    (re.compile(r"[0-9]+"), "#"),
)


@dataclass(frozen=True)
class Case:
    """One fault: the nth call with that name, in a command on a store with that driver."""

    driver: str
    command: str
    call: str
    number: int
    fault: str

    def __str__(self) -> str:
        return f"{self.driver} {self.command}: {self.call} {self.number} {self.fault}"

    @property
    def killed(self) -> bool:
        """Whether the process ends there."""
        return self.fault == KILLED


class Laboratory:
    """A prepared store, created once for a driver and copied for every case.

    Attributes:
        known: number of cases whose resulting store was judged before, for the same command.
        missed: number of cases whose call did not occur, because commands do not always make the same calls.
    """

    def __init__(self, work: str, driver: str, store: str = "") -> None:
        """Work in a directory, which contains the store unless `store` says otherwise."""
        self.work, self.driver = work, driver
        self._original = os.path.join(work, "original")
        self._store = store or os.path.join(work, "store")
        self._traces = os.path.join(work, "traces")
        self._old: dict[str, dict[str, Any]] = {}
        self._new: dict[str, dict[str, Any]] = {}
        self._judged: dict[tuple[str, str, bool], list[str]] = {}
        self._seen: dict[tuple[str, ...], Any] = {}
        self._numbers: dict[str, int] = {}
        self._prepared: dict[str, str] = {}
        self.known = self.missed = 0
        self._began = time.time_ns()
        config = os.path.join(work, "storage.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'[storage]\ndriver = "{driver}"\n')
        scratch = os.path.join(self._store, "tmp")
        self._environment = {**os.environ, "CONTAINERS_STORAGE_CONF": config, "TMPDIR": scratch, "HOME": work}
        os.makedirs(scratch)
        self._forks = Forks(self._environment, os.path.join(work, "said"))
        prepare(self._opened(), self._inputs)
        detach_all(self._store)
        subprocess.run(["cp", "-a", self._store, self._original], check=True)
        self._copy = Copy(self._original, self._store)
        self._copy.restore()
        self.before = self._state()

    @property
    def _inputs(self) -> str:
        os.makedirs(path := os.path.join(self.work, "inputs"), exist_ok=True)
        return path

    def _opened(self) -> Store:
        overrides = Overrides(
            graph_root=os.path.join(self._store, "graph"), run_root=os.path.join(self._store, "run"), driver=self.driver
        )
        return open_store(load_config(overrides, environ={"HOME": self.work}))

    def _begin(self, command: str) -> None:
        """Restore a fresh copy of the store, prepared for the command if necessary."""
        detach_all(self._store)
        if (prepared := self._prepared.get(command, self._original)) != self._copy.original:
            self._copy = Copy(prepared, self._store)
        self._copy.restore()
        if command not in PREPARED or command in self._prepared:
            return
        _, spoil, first = PREPARED[command]
        self._copy.forget()
        if spoil is not None:
            spoil(os.path.join(self._store, "graph"), self.driver)
        if first:  # it may mount something or record an inode, which a copy would not have
            done = self._forks.run(self.words(first))
            assert done.returncode == 0, done.stderr
        else:
            self._prepared[command] = f"{self._original}-{command}"
            subprocess.run(["cp", "-a", self._store, self._prepared[command]], check=True)

    def words(self, words: list[str]) -> list[str]:
        """Return a command line for the store, without the program."""
        roots = [f"--graph={self._store}/graph", f"--run={self._store}/run", "--storage-driver", self.driver]
        known = {"inputs": self._inputs, "store": self._store, "case": self._case}
        return [*roots, *(word.format(**known) for word in words)]

    @property
    def _case(self) -> str:
        """The case in quarantine, if there is one."""
        quarantine = os.path.join(self._store, "graph", "cstore-quarantine")
        found = [name for name in os.listdir(quarantine) if name != "lock"] if os.path.isdir(quarantine) else []
        return found[0] if found else "none"

    def command(self, command: str) -> tuple[list[str], dict[str, str], str]:
        """Return the words of a command on a fresh copy of the store, its environment, and the graph root."""
        self._begin(command)
        return [*_PROGRAM, *self.words(ALL[command])], self._environment, os.path.join(self._store, "graph")

    def learn(self, command: str) -> None:
        """Record the store's state before and after a command."""
        self._begin(command)
        self._old[command] = self._whole(command)
        done = self._forks.run(self.words(ALL[command]))
        assert done.returncode == 0, f"{command} fails without any fault: {done.stderr}"
        self._conclude()
        self._new[command] = self._whole(command)

    def trace(self, line: list[str], trace: str, *options: str) -> None:
        """Run a command line that must succeed, under strace."""
        done = self._forks.traced(line, "-y", "-s", "4096", "-o", trace, *options)
        assert done.returncode == 0, done.stderr

    # ── the faults ──

    def cases(self, command: str) -> list[Case]:
        """Return every class of call of a command, once with each fault."""
        self.learn(command)
        self._begin(command)
        shutil.rmtree(self._traces, ignore_errors=True)
        os.mkdir(self._traces)
        calls = ",".join(f"?{call}" for call in FAULTS)
        self.trace(self.words(ALL[command]), os.path.join(self._traces, "of"), "-ff", "-n", "-e", f"trace={calls}")
        found: dict[tuple[str, str], Case] = {}
        for call, number, kind in self._events():
            for fault in FAULTS[call]:
                case = Case(self.driver, command, call, number, fault)
                found.setdefault((f"{call} {kind}", fault), case)
        return list(dict.fromkeys(found.values()))

    def _events(self) -> Iterator[tuple[str, int, str]]:
        """Yield each call that names the store: its name, its number in its thread, and the class of its paths."""
        for name in sorted(os.listdir(self._traces)):
            counts: dict[str, int] = {}
            with open(os.path.join(self._traces, name), encoding="utf-8", errors="replace") as file:
                for line in file:
                    found = _CALL.match(line)
                    if found is None or found["call"] not in FAULTS:
                        continue
                    call, rest = found["call"], found["rest"]
                    self._numbers[call] = int(found["number"])
                    counts[call] = counts.get(call, 0) + 1
                    if call in {"read", "pread64", "write", "pwrite64"}:
                        rest = rest.partition('"')[0]  # what follows are contents
                    if call in _FORKS or self._store in rest:
                        yield call, counts[call], self._kind(rest) if call not in _FORKS else str(counts[call])

    def _kind(self, text: str) -> str:
        paths = re.findall(re.escape(self._store) + r"[^\">]*|(?<=>, \")[^\"/][^\"]*", text)  # or a name in one of them
        kinds = strays_out(" ".join(path.removeprefix(self._store) for path in paths))
        return kinds + (" O_CREAT" if "O_CREAT" in text else "")

    # ── the result of a fault ──

    def trial(self, case: Case) -> list[str]:
        """Run a case; return what is wrong afterwards.

        The outcome depends only on the store that the fault left, so each such store is judged once.
        """
        self._begin(case.command)
        words = self.words(ALL[case.command])
        fault = Injection(case.number, case.fault)
        done = self._forks.hit(words, self._numbers[case.call], fault)
        self.missed += not fault.hits
        said = said_badly(done, may_be_silent=case.killed)
        state, succeeded = self._fingerprint(), done.returncode == 0
        found = case.command, state, succeeded
        if found in self._judged:
            self.known += 1
        else:
            self._judged[found] = self._judge(case.command, words, succeeded)
        return said + self._judged[found]

    def _judge(self, command: str, words: list[str], succeeded: bool) -> list[str]:
        """Return what is wrong with the store after a fault, and after running the same command again."""
        old, new = self._old[command], self._new[command]
        wrong = [] if command in {REPAIR, UNDO} else [f"at once, {line}" for line in self._once(self._damage)]
        if succeeded and (state := self._once(self._whole, command)) != new:
            wrong.append(f"has succeeded, but not done its work: {difference(state, new)}")
        if command in ANEW:
            wrong += self._conclude()
            if self._once(self._whole, command) == new:
                return wrong + self._leftovers()
        again = self._forks.run(words)
        wrong += said_badly(again) + self._conclude()
        wrong += [] if command == UNDO else [f"after the next try, {line}" for line in self._once(self._damage)]
        state = self._once(self._whole, command)
        if state not in (old, new):
            wrong.append(f"neither old nor new: {difference(state, old)}; {difference(state, new)}")
        if again.returncode != 0 and state != new:
            wrong.append(f"cannot be run again: {again.stderr.strip()}")
        return wrong + self._leftovers()

    def _fingerprint(self) -> str:
        return fingerprint(self._store, self._began)

    def _once(self, look: Callable[..., _T], *given: str) -> _T:
        """Examine the store, but each state of it only once."""
        seen: dict[tuple[str, ...], _T] = self._seen
        key = look.__name__, *given, self._fingerprint()
        if key not in seen:
            seen[key] = look(*given)
        return seen[key]

    def _whole(self, command: str) -> dict[str, Any]:
        """Return the state of the store; if it may be damaged, only that of the records."""
        return self._records() if command in {REPAIR, UNDO} else self._state()

    def _conclude(self) -> list[str]:
        """Let a writer complete pending work, and gc remove the rest."""
        try:
            self._opened().gc()
        except CstoreError as error:
            return [f"gc fails: {error}"]
        return []

    def _damage(self) -> list[str]:
        try:
            store = self._opened()
            report = check_store(store._context, CheckOptions(workers=1))
        except CstoreError as error:
            return [f"check fails: {error}"]
        bad = [finding for finding in report.findings if finding.severity.value in {"data", "records"}]
        return [f"check finds: {finding.kind}: {finding.sentence}" for finding in bad]

    def _leftovers(self) -> list[str]:
        found = []
        for folder, folders, files in os.walk(self._store):
            left = [name for name in (*files, *folders) if name.startswith(_UNFINISHED)]
            found += [os.path.join(folder, name) for name in left]
        intents = os.path.join(self._store, "graph", "cstore-intents")
        found += [os.path.join(intents, name) for name in (os.listdir(intents) if os.path.isdir(intents) else [])]
        return [f"left: {path.removeprefix(self._store)}" for path in found]

    def _state(self) -> dict[str, Any]:
        """Return everything that a user can read from the store, except dates and random IDs."""
        store = self._opened()
        own = {container.layer for container in store.containers.list()}
        state: dict[str, Any] = {}
        for layer in store.layers.list():
            name = "of a container" if layer.id in own else _called(layer)
            items = {key: digest(store.layers.get_data(layer.id, key)) for key in layer.data_names}
            held = contents(store, layer.id) if layer.diff_digest else str(store.layers.changes(layer.id))
            told = layer.names, strays_out(layer.parent), layer.metadata
            state[f"layer {name}"] = *told, items, held, store.mounted(layer.id)
        for image in store.images.list():
            lasting = [key for key in image.data_names if key != LAST_UPDATED]
            items = {key: digest(store.images.get_data(image.id, key)) for key in lasting}
            if any("anew" in name for name in image.names):
                state["image anew"] = image.names, image.layer, image.metadata, sorted(map(strays_out, items))
            else:
                told_of = [(key, image.data_digests.get(key), image.data_sizes.get(key)) for key in lasting]
                state[f"image {image.id}"] = image.names, image.layer, image.metadata, items, told_of
        for container in store.containers.list():
            items = {key: digest(store.containers.get_data(container.id, key)) for key in container.data_names}
            facts = dict(container.data_digests), dict(container.data_sizes)
            there = any(layer.id == container.layer for layer in store.layers.list())
            state[f"container {container.id}"] = container.names, container.image, there, items, facts
        return state

    def _records(self) -> dict[str, Any]:
        """Return what the records say, except dates and random IDs: the state without contents, which take long."""
        store = self._opened()
        containers, images = store.containers.list(), store.images.list()
        own = {container.layer for container in containers}
        state: dict[str, Any] = {}
        for layer in store.layers.list():
            name = "of a container" if layer.id in own else layer.id
            told = layer.names, layer.parent, layer.metadata, layer.data_names, layer.diff_digest
            state[f"layer {name}"] = *told, None
        for image in images:
            state[f"image {image.id}"] = image.names, image.layer, image.metadata, image.data_names, image.data_digests
        for container in containers:
            state[f"container {container.id}"] = container.names, container.image, container.data_digests
        return state


def _called(layer: Layer) -> str:
    """Return a layer's ID, with a placeholder for a random one."""
    random = "ID" in strays_out(layer.id) and not layer.diff_digest
    return f"ID called {layer.names}" if random else layer.id


def strays_out(text: str) -> str:
    """Replace random parts of paths with placeholders."""
    for pattern, instead in _STRAYS:
        text = pattern.sub(instead, text)
    return text


def digest(data: bytes) -> str:
    """Return a short digest of bytes."""
    return hashlib.sha256(data).hexdigest()[:12]


def contents(store: Store, layer: str) -> str:
    """Return a digest of a layer's archive, or why it cannot be read."""
    from cstore.archive.compression import Compression
    from cstore.archive.streams import FileSink

    path = os.path.join(store.config.graph_root, os.pardir, "exported")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        store.layers.diff(layer, FileSink(fd, "an archive"), compression=Compression.NONE)
        with open(fd, "rb", closefd=False) as stream:
            stream.seek(0)
            return digest(stream.read())
    except CstoreError as error:
        return f"cannot be read: {error}"
    finally:
        os.close(fd)
        os.unlink(path)


def said_badly(done: subprocess.CompletedProcess[str], may_be_silent: bool = False) -> list[str]:
    """Return what is wrong with a command's error output."""
    bad = re.compile(f"internal error|Traceback|Fatal Python|{HANGS}")
    found = [line for line in done.stderr.splitlines() if bad.search(line)]
    if done.returncode != 0 and not done.stderr.strip() and not may_be_silent:
        found.append(f"exit {done.returncode} without a word")
    return [f"says {line}" for line in found]


def difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    """Describe the items in which two states differ."""
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return ", ".join(f"{key}: {one.get(key)} and not {other.get(key)}" for key in keys)
