"""The recorded output of every command: `python -m tests.golden` records it again after an intended change.

Each command line in `LINES` runs four times on the same small store: on terminals of 80 and 120 columns, in a pipe, and
with --json if the command has it. The store is on a file system of its own at a fixed path; clock and random numbers
are fixed. So every difference from the files in `tests/data/golden` comes from a change of the program.

To add a command, add a line. A command without one is recorded with its help.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import random
import shlex
import shutil
import struct
import sys
import termios
import time
import tty
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cstore.cli import reference
from cstore.cli import run as run_command_line
from cstore.cli.output import styled
from cstore.cli.root import find
from cstore.insight import pruning
from cstore.kernel.libc import call
from cstore.kernel.mount import MS_PRIVATE, MS_REC, mount
from tests.builders import directory, flip_byte_of, make_tar, regular, symlink
from tests.unit.docker.dataroots import DataRoot
from tests.unit.transfer.archives import as_tar, config_of, docker_archive, sha

if TYPE_CHECKING:
    from datetime import tzinfo

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "golden")
PLACE = "/srv"
"""The store's path while the commands run, in a mount namespace of their own."""
KEPT = "/mnt"
"""The directory of the pristine stores, which are copied for each command."""
_SOUND, _DAMAGED = "sound", "damaged"
_END = b"\x1e"
"""Marks the end of a command's output on a terminal."""
_CLONE_NEWNS = 0x20000
NOW = 1_750_000_000
"""The fixed time, in seconds since 1970."""
BASE, APP, WEB, OLD = "ba5e" * 16, "a44e" * 16, "3eb0" * 16, "01d0" * 16

LINES = """
create-layer --id {new} --name fresh base
import-layer --id {new} --name fresh -f base.tar
layers
layers --quiet
layers --tree
layers --columns names,id,parent,size --sort names
layer base app
layer nobody
delete-layer spare
delete-layer base
create-storage-layer --id {new}
storage-layers
layer-parent-owners base
create-image --id {new} --name empty base
import --quiet base.tar made
images
images --quiet
images --no-trunc
images --columns names,id,size,unique,used-by
image docker.io/library/debian:12
images-by-digest {digest}
delete-image old
delete-image docker.io/library/debian:12
get-image-dir old
get-image-run-dir old
create-container --id {new} --name fresh old
containers
containers --columns names,image,state
container web
delete-container web
get-container-dir web
get-container-run-dir web
container-parent-owners web
changes app
diff -f out.tar app
diffsize app
applydiff -f base.tar spare
applydiff-using-staging-dir base tree
copy base:/etc/hosts copied
ls base:/
ls -l -R base:/etc
ls -0 base:/etc
cat base:/etc/hosts
stat base:/etc/hosts
find --type f base
compare base app
compare --content base app
blame app:/etc/hosts
blame --waste app
mount nobody
unmount base
mounted base
exists base nobody
get-names base
set-names --name other base
add-names --name other base
remove-names --name base base
tag docker.io/library/debian:12 debian:copy
untag docker.io/library/debian:12
metadata web base
set-metadata -m text base
list-layer-data base
get-layer-data base note
set-layer-data -f note.txt base note
delete-layer-data base note
list-image-data docker.io/library/debian:12
get-image-data old note
get-image-data-size old note
get-image-data-digest old note
set-image-data -f note.txt old note
delete-image-data old note
list-container-data web
get-container-data web note
get-container-data-size web note
get-container-data-digest web note
set-container-data -f note.txt web note
delete-container-data web note
load -q -i image.tar
save -q -o saved.tar docker.io/library/debian:12
docker-images /mnt/docker
docker-layers /mnt/docker
docker-containers /mnt/docker
docker-import /mnt/docker my-app:1
docker-export -f out.tar /mnt/docker my-app:1
register -q -f base.tar
chains
export-chain -f out.tar {chain}
release {chain}
create-writable scratch {chain}
writables
commit --name app:2 work docker.io/library/base:1
delete-writable work
register-image -f config.json
release-image docker.io/library/base:1
lineage docker.io/library/base:1
search {image}
children docker.io/library/base:1
heads
history docker.io/library/debian:12
inspect base
inspect docker.io/library/debian:12
df
df -v
df --freed-by docker.io/library/debian:12
why base
why old
whois {image}
whois nothing-of-ours
rm --yes spare
rm --dry-run base
prune --unused --dry-run
check
check --format text
check --quick --layer base
repair --dry-run
repair --dry-run --format text
repair --list
gc --dry-run
status
report -o report.html
doctor
config
config --sources
config explain driver
dedup --dry-run
delete old
wipe
shutdown
batch --help
completion nushell
version
imagse
rmi
images --columns nothing
"""

ELSEWHERE = {
    "doctor": "it is about the host",
    "report": "a page, which tests/unit/report holds",
    "unshare": "it starts a shell",
    "df": "blocks differ between kernels",
}
"""Commands of which only the JSON's schema is compared, not the text, and why."""

FORMS = ("terminal of 80 columns", "terminal of 120 columns", "pipe", "json")


class Said(NamedTuple):
    """A command line's output and exit status."""

    status: int
    out: str
    err: str


Record = dict[str, dict[str, Said]]
"""By command line and form."""


def lines_of(command: str) -> list[str]:
    """Return the command lines of a command; if it has none here, its help."""
    own = [line for line in LINES.split("\n") if line.partition(" ")[0] == command]
    return own or [f"{command} --help"]


def commands() -> list[str]:
    """Return all commands of the program, and words that are not commands."""
    known = [one.entry.name for one in reference.described()]
    return known + [word for line in LINES.split("\n") if line and (word := line.split()[0]) not in known]


def page(command: str, record: Record) -> str:
    """Return the contents of a command's file."""
    parts: list[str] = []
    for line in lines_of(command):
        for form, said in record[line].items():
            parts.append(
                f"━━━ cstore {line} ━━━ {form} ━━━ exit status {said.status} ━━━\n{said.out}".replace("\0", "␀")
            )
            parts += ["─── standard error ───", said.err] if said.err else []
    return "".join(part if part.endswith("\n") else f"{part}\n" for part in parts if part)


# ── the store ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _words(line: str) -> list[str]:
    with open(f"{PLACE}/names.json", encoding="utf-8") as file:
        names = json.load(file)
    return shlex.split(line.format(new="4ea0" * 16, **names))


def _make() -> None:
    """Create the store and the files beside it."""
    hello = make_tar(directory("etc"), regular("etc/hosts", b"127.0.0.1 localhost\n"), symlink("etc/link", "hosts"))
    more = make_tar(regular("etc/hosts", b"::1 localhost\n"), directory("srv"), regular("srv/index", b"hello\n"))
    files = {"base.tar": hello, "app.tar": more, "note.txt": b"a note\n"}
    files["image.tar"] = as_tar(docker_archive((hello, more), ("docker.io/library/debian:12",)))
    files["config.json"] = config_of([hello])
    settings = f'[storage]\ndriver = "vfs"\ngraphroot = "{PLACE}/graph"\nrunroot = "{PLACE}/run"\n'
    files["storage.conf"] = settings.encode()
    os.mkdir("tree")
    for name, data in files.items():
        with open(name, "wb") as file:
            file.write(data)
    _docker_root()
    for line in (
        f"import-layer -q --id {BASE} --name base -f base.tar",
        f"import-layer -q --id {APP} --name app -f app.tar base",
        f"create-layer --id {'5a4e' * 16} --name spare",
        "load -q -i image.tar",
        f"create-image --id {OLD} --name old base",
        f"create-container --id {WEB} --name web --metadata '{{}}' docker.io/library/debian:12",
        "register -q -f base.tar",
        "register-image --name base:1 -f config.json",
        f"create-writable work {sha(hello)}",
        "set-layer-data -f note.txt base note",
        "set-image-data -f note.txt old note",
        "set-container-data -f note.txt web note",
    ):
        if (said := _Pipe().run(shlex.split(line))).status:
            raise RuntimeError(f"{line}: {said.err}")
    image = sha(config_of([hello, more]))
    names = {"image": image[7:19], "chain": sha(hello), "digest": sha(files["note.txt"])}
    with open("names.json", "w", encoding="utf-8") as file:
        json.dump(names, file)


def _docker_root() -> None:
    one, two = make_tar(regular("one.txt", b"first\n")), make_tar(regular("two.txt", b"second\n"))
    root = DataRoot(Path(KEPT), "vfs")
    root.layer(two, root.layer(one))
    image = root.image(sha(one), sha(two), names=("my-app:1",))
    root.container("my-container", root.chains[1], image)
    shutil.rmtree(f"{KEPT}/maker")


def _damage() -> None:
    """Create damage for check and repair: several similarly damaged files, and one of another kind."""
    tree = f"graph/vfs/dir/{BASE}"
    flip_byte_of(f"{tree}/etc/hosts")
    for number in range(5):
        with open(f"{tree}/stray{number}", "wb"):
            pass


# ── the runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_all() -> Record:
    """Run all command lines in all forms, in a separate process. Needs root for the mount namespace."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            record = _in_namespace()
            with open(writing, "w", encoding="utf-8") as file:
                json.dump(record, file)
            os._exit(0)
        except BaseException:  # noqa: BLE001  - the parent reports it
            import traceback

            with open(writing, "w", encoding="utf-8") as file:
                json.dump(traceback.format_exc(), file)
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        told = json.load(file)
    os.waitpid(child, 0)
    if isinstance(told, str):
        raise RuntimeError(told)  # noqa: TRY004  - it is the child's traceback
    return {line: {form: Said(*said) for form, said in forms.items()} for line, forms in told.items()}


def _in_namespace() -> Record:
    call("unshare", _CLONE_NEWNS)
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    for place in (PLACE, KEPT):
        mount("golden", place, "tmpfs", data="size=64m,mode=755")
    os.chdir(PLACE)
    os.environ.update(CONTAINERS_STORAGE_CONF=f"{PLACE}/storage.conf", NO_COLOR="1", TERM="xterm", TZ="UTC")
    os.umask(0o022)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _stop_the_clock()
    _make()
    shutil.copytree(PLACE, f"{KEPT}/{_SOUND}", symlinks=True)
    _damage()
    shutil.copytree(PLACE, f"{KEPT}/{_DAMAGED}", symlinks=True)
    record: Record = {line: {} for command in commands() for line in lines_of(command)}
    for form, stdout in zip(FORMS, (_Terminal(80), _Terminal(120), _Pipe(), _Pipe()), strict=True):
        for line in record:
            if form != "json" or takes_json(line):
                record[line][form] = _run(line, stdout, as_json=form == "json")
    return record


def takes_json(line: str) -> bool:
    """Return whether a line's command has --json."""
    found = find(line.split(maxsplit=1)[0])
    return found is not None and "--help" not in line and any("--json" in each.spellings for each in found.options)


def _stop_the_clock() -> None:
    """Fix the time and the sequence of random numbers."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Clock:
            return cls.fromtimestamp(NOW + 3600, tz)

    time.time = lambda: float(NOW)
    time.time_ns = lambda: NOW * 1_000_000_000
    for module in (styled, pruning):
        vars(module)["datetime"] = Clock
    os.urandom = random.Random(1).randbytes


def _run(line: str, stdout: _Pipe, *, as_json: bool) -> Said:
    """Run a line on the pristine store, or on the damaged one if the command is about damage."""
    kind = _DAMAGED if line.split(maxsplit=1)[0] in {"check", "repair"} else _SOUND
    if (_last.get("kind"), _last.get("state")) != (kind, _state()):
        for name in os.listdir(PLACE):
            path = os.path.join(PLACE, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        shutil.copytree(f"{KEPT}/{kind}", PLACE, symlinks=True, dirs_exist_ok=True)
        _last.update(kind=kind, state=_state())
    os.urandom = random.Random(line).randbytes
    words = _words(line)
    return stdout.run([*words, "--json"] if as_json else words)


_last: dict[str, object] = {}
"""The store that is in place now, and its state when it was copied."""


def _state() -> list[tuple[str, int, int]]:
    """Return all files with numbers that change when a file changes."""
    found = [os.path.join(place, name) for place, folders, files in os.walk(PLACE) for name in (*folders, *files)]
    return [(path, status.st_ino, status.st_ctime_ns) for path in found for status in (os.lstat(path),)]


class _Pipe:
    """Standard output as a file, which behaves like a pipe for the commands."""

    def run(self, words: list[str]) -> Said:
        """Run a command and return its output."""
        with open(f"{KEPT}/out", "w+b") as out:
            status, err = self._to(out.fileno(), words)
            out.seek(0)
            return Said(status, out.read().decode(), err)

    def _to(self, descriptor: int, words: list[str]) -> tuple[int, str]:
        with open(f"{KEPT}/err", "w+b") as err:
            os.dup2(descriptor, 1)
            os.dup2(err.fileno(), 2)
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  - stays open until the next run
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  - as above
            status = run_command_line(words)
            sys.stdout.flush()
            sys.stderr.flush()
            err.seek(0)
            return status, err.read().decode()


class _Terminal(_Pipe):
    """Standard output as a terminal, read by a separate process because a terminal buffers at most a page."""

    def __init__(self, columns: int) -> None:
        reading, self._slave = pty.openpty()
        tty.setraw(self._slave)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._path = f"{KEPT}/terminal-{columns}"
        self._read = 0
        with open(self._path, "wb") as got:
            if os.fork() == 0:
                os.close(self._slave)
                try:
                    while part := os.read(reading, 1 << 16):
                        os.write(got.fileno(), part)
                finally:
                    os._exit(0)
        os.close(reading)

    def run(self, words: list[str]) -> Said:
        """Run a command and return its output."""
        status, err = self._to(self._slave, words)
        os.write(self._slave, _END)
        while True:
            with open(self._path, "rb") as file:
                file.seek(self._read)
                told = file.read()
            if told.endswith(_END):
                self._read += len(told)
                return Said(status, told[: -len(_END)].decode(), err)
            time.sleep(0.001)


def main() -> None:
    """Record the files again."""
    record = run_all()
    shutil.rmtree(DATA, ignore_errors=True)
    os.makedirs(DATA)
    for command in commands():
        if command not in ELSEWHERE:
            with open(os.path.join(DATA, f"{command}.txt"), "w", encoding="utf-8") as file:
                file.write(page(command, record))


if __name__ == "__main__":
    main()
