"""A model of what a power cut would leave: it derives from the system calls what is certainly on disk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CALLS = (
    "openat,write,pwrite64,ftruncate,rename,renameat,renameat2,mkdir,mkdirat,symlink,symlinkat,link,linkat,fsync,"
    "fdatasync,syncfs,unlink,unlinkat,rmdir,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,setxattr,lsetxattr,fsetxattr"
)
_ATTRIBUTES = frozenset(
    {"chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "setxattr", "lsetxattr", "fsetxattr"}
)
RECORDS = frozenset({"layers.json", "images.json", "containers.json"})
_EVENT = re.compile(r"^\d+ +(?P<call>\w+)\((?P<rest>.*)\) += (?P<value>-?\d+)")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_OPEN_FILE = re.compile(r"^\d+<([^>]*)>")
_AT_FD = re.compile(r'(?:AT_FDCWD(?:<[^>]*>)?|\d+<(?P<at>[^>]*)>), "(?P<name>[^"]*)"')
_PASSING = re.compile(
    r"/(tempdirs|cstore-staging|cstore-reserve)(/|$)|-layers/tmp(/|$)|/\.tmp-|[./]lock$|/lock-|/\.has-mount-program$"
    r"|/merged(\.1)?$"
)
"""Files that a power cut may destroy: those being created or removed, locks, mount points, and reserved space."""


@dataclass
class Disk:
    """The model. `wrong` lists what a power cut could have left incomplete."""

    graph: str
    dirty: set[str] = field(default_factory=set)
    entries: set[str] = field(default_factory=set)
    published: set[str] = field(default_factory=set)
    marked: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def written(self, path: str) -> None:
        """A file has new bytes; those of a lock file are the token of its directory."""
        if path.endswith(".lock"):
            self.marked.add(os.path.dirname(path))
        self.dirty.add(path)

    def added(self, path: str) -> None:
        """A directory has a new entry."""
        self.entries.add(path)
        if not _PASSING.search(path):
            self.published.add(path)

    def synced(self, path: str) -> None:
        """A file or directory was synced."""
        self.dirty.discard(path)
        self.entries = {entry for entry in self.entries if os.path.dirname(entry) != path}
        self.gone = {entry for entry in self.gone if os.path.dirname(entry) != path}

    def synced_below(self, path: str) -> None:
        """A file system was synced. The driver's home may be separate, so only this directory counts as synced."""
        self.synced(path)
        home = os.path.join(self.graph, path.removeprefix(self.graph).strip("/").partition("/")[0]) + "/"
        self.dirty = {path for path in self.dirty if not path.startswith(home)}
        self.entries = {path for path in self.entries if not path.startswith(home)}
        self.gone = {path for path in self.gone if not path.startswith(home)}

    def renamed(self, old: str, new: str) -> None:
        """A file or directory was renamed."""
        inside = sorted(path for path in self.dirty | self.entries if path == old or path.startswith(old + "/"))
        if not _PASSING.search(new):
            unsafe = [path for path in inside if path in self.dirty or path != old]
            self.wrong += [f"{new} gets its name before {path} is on the disk" for path in unsafe]
        if os.path.basename(new) in RECORDS:
            self._committed(new)
        for group in (self.dirty, self.entries, self.published):
            moved = {path for path in group if path == old or path.startswith(old + "/")}
            group.difference_update(moved)
            if group is not self.published or not _PASSING.search(new):
                group.update(new + path.removeprefix(old) for path in moved)
        if os.path.dirname(old) != os.path.dirname(new) and not (_PASSING.search(old) or _PASSING.search(new)):
            self.gone.add(old)
        self.added(new)

    def _committed(self, path: str) -> None:
        """A record file takes effect: what it refers to must be on disk, and a new token must be written."""
        folder = os.path.dirname(path)
        if folder not in self.marked:
            self.wrong.append(f"{path} is replaced without a new token")
        self.marked.discard(folder)
        self.check(f"before {path} is replaced")

    def check(self, when: str) -> None:
        """Check that every published name would exist after a power cut."""
        for path in sorted(self.published):
            above = path
            while above.startswith(self.graph):
                if above in self.entries and not _PASSING.search(above):
                    self.wrong.append(f"{when}, the name {above} is not on the disk")
                above = os.path.dirname(above)
            if path in self.dirty:
                self.wrong.append(f"{when}, the bytes of {path} are not on the disk")
        self.wrong += [f"{when}, {path} may still be where it was" for path in sorted(self.gone)]


def traced(words: list[str], environment: dict[str, str], trace: str) -> None:
    """Run a command that must succeed, and record its system calls."""
    command = ["strace", "-f", "-y", "-qq", "-s", "4096", "-o", trace, "-e", f"trace={CALLS}", *words]
    command[0] = shutil.which("strace") or command[0]  # the command may have another PATH
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def judge(trace: str, graph: str) -> list[str]:
    """Return everything that was unsafe at any moment of a trace."""
    disk = Disk(graph)
    with open(trace, encoding="utf-8", errors="replace") as file:
        for line in _whole(file):
            event = _EVENT.match(line)
            if event is None or int(event["value"]) < 0:
                continue
            _take(disk, event["call"], event["rest"])
    disk.check("in the end")
    return list(dict.fromkeys(disk.wrong))


def lines(trace: str, folder: str) -> int:
    """Count the calls of a trace that name something in a directory, to prove that something was judged."""
    with open(trace, encoding="utf-8", errors="replace") as file:
        return sum(folder + "/" in line for line in file)


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Join calls that strace prints on two lines because another thread's call came between."""
    begun: dict[str, str] = {}
    for line in lines:
        number = line.partition(" ")[0]
        if line.endswith("<unfinished ...>\n"):
            begun[number] = line.removesuffix("<unfinished ...>\n").rstrip()
        elif " resumed>" in line and number in begun:
            yield begun.pop(number) + line.partition(" resumed>")[2]
        else:
            yield line


def _take(disk: Disk, call: str, rest: str) -> None:
    opened = _OPEN_FILE.match(rest)
    if call == "syncfs":
        disk.synced_below("" if opened is None else opened[1])
    elif call in _ATTRIBUTES:
        names = [opened[1]] if opened is not None and call.startswith("f") else _STRING.findall(rest)[:1]
        disk.dirty.update(name for name in names if name.startswith(disk.graph) and not name.endswith(".lock"))
    elif call in {"fsync", "fdatasync", "write", "pwrite64", "ftruncate"}:
        path = "" if opened is None else opened[1]
        if path.startswith(disk.graph) or path == os.path.dirname(disk.graph):
            (disk.synced if call.startswith("f") and call != "ftruncate" else disk.written)(path)
    elif call == "openat":
        found = _AT_FD.search(rest)
        if found is not None and "O_CREAT" in rest:
            path = os.path.join(found["at"] or "/", found["name"])
            if path.startswith(disk.graph) and ("O_EXCL" in rest or not _PASSING.search(path)):
                disk.added(path)
                disk.written(path)
    else:
        names = [bytes(name, "latin-1").decode("unicode_escape") for name in _STRING.findall(rest)]
        at = [found["at"] for found in _AT_FD.finditer(rest)]
        if call == "symlinkat":
            del names[0]  # the link's target
        paths = [os.path.join(base or "/", name) for base, name in zip([*at, *[""] * len(names)], names, strict=False)]
        _named(disk, call, paths, rest)


def _named(disk: Disk, call: str, paths: list[str], rest: str) -> None:
    if not paths[-1].startswith(disk.graph):
        return
    if call.startswith("link"):
        unsafe = [path for path in disk.dirty if path == paths[0] or os.path.basename(path).startswith("#")]
        disk.wrong += [f"{paths[-1]} gets its name before {path} is on the disk" for path in unsafe]
    if call.startswith("rename"):
        disk.renamed(*paths[:2])
        if "RENAME_EXCHANGE" in rest:
            disk.gone.discard(paths[0])
            disk.added(paths[0])
    elif call == "rmdir" or call.startswith("unlink"):
        disk.gone = {path for path in disk.gone if not path.startswith(paths[0] + "/")}
        for group in (disk.dirty, disk.entries, disk.published):
            group.discard(paths[0])
    else:
        disk.added(paths[-1])
