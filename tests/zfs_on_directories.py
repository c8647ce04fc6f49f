"""Substitutes for zfs, zpool and mount that use directories instead of datasets.

`install` creates them in a directory for PATH. Names, properties, origins of clones, and dependencies behave as in
zfs(8); a dataset is a directory, a snapshot a copy, a mount a bind mount. Every call is logged on one line. As a
program: `zfs_on_directories.py POOL zfs|zpool|mount WORDS...`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9_.:-]+")


def install(folder: str, root: str = "pool/store") -> str:
    """Create a pool with the dataset `root` below `folder`, and programs for it; return the directory for PATH."""
    pool, programs = os.path.join(folder, "zfs-pool"), os.path.join(folder, "zfs-programs")
    os.makedirs(pool)
    os.makedirs(programs)
    for name in ("zfs", "zpool", "mount"):
        path = os.path.join(programs, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec "{sys.executable}" -IS "{os.path.abspath(__file__)}" "{pool}" {name} "$@"\n')
        os.chmod(path, 0o755)  # noqa: S103  - it is a program
    Pool(pool).save({name: _new({}) for name in ("pool", root)})
    return programs


def log_of(folder: str) -> list[str]:
    """Return the calls so far."""
    with open(os.path.join(folder, "zfs-pool", "log"), encoding="utf-8") as file:
        return file.read().splitlines()


def _new(properties: dict[str, str], origin: str = "") -> dict[str, Any]:
    return {"properties": properties, "origin": origin, "snapshots": {}, "directory": os.urandom(8).hex()}


class Refusal(Exception):
    """A command fails."""


class Pool:
    """The datasets: a file with their properties, and their directories."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.sets: dict[str, Any] = {}
        try:
            with open(os.path.join(path, "datasets"), encoding="utf-8") as file:
                self.sets = json.load(file)
        except FileNotFoundError:
            pass

    def save(self, sets: dict[str, Any] | None = None) -> None:
        """Write the properties."""
        self.sets = sets or self.sets
        for each in self.sets.values():
            os.makedirs(self.directory(each), exist_ok=True)
        with open(os.path.join(self.path, "datasets"), "w", encoding="utf-8") as file:
            json.dump(self.sets, file)

    def directory(self, dataset: dict[str, Any]) -> str:
        """Return the directory of a dataset."""
        return os.path.join(self.path, dataset["directory"])

    def get(self, name: str) -> Any:
        """Return an existing dataset."""
        if name not in self.sets:
            raise Refusal(f"cannot open '{name}': dataset does not exist")
        return self.sets[name]

    def check_new(self, verb: str, name: str) -> None:
        """Check that a new dataset can have a name."""
        parent, _, last = name.rpartition("/")
        if not _NAME.fullmatch(last):
            raise Refusal(f"cannot {verb} '{name}': invalid character in name")
        if parent not in self.sets:
            raise Refusal(f"cannot {verb} '{name}': parent does not exist")
        if name in self.sets:
            raise Refusal(f"cannot {verb} '{name}': dataset already exists")

    def busy(self, dataset: dict[str, Any]) -> bool:
        """Return whether a dataset is mounted."""
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
            return any(dataset["directory"] in line for line in table)

    def clones(self, snapshot: str) -> list[str]:
        """Return the clones of a snapshot, `name@snapshot`."""
        return [name for name, each in self.sets.items() if each["origin"] == snapshot]


def _options(words: list[str], flags: str, valued: str) -> tuple[set[str], list[tuple[str, str]], list[str]]:
    """Parse a command line into flags, options with values, and the rest."""
    found: set[str] = set()
    values: list[tuple[str, str]] = []
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word[1:] in valued.split():
            values.append((word[1:], words.pop(0)))
        elif word[1:] in flags.split():
            found.add(word[1:])
        else:
            raise Refusal(f"invalid option '{word}'")
    return found, values, words


def _given(values: list[tuple[str, str]]) -> dict[str, str]:
    return {value.partition("=")[0]: value.partition("=")[2] for _, value in values}


def zfs(pool: Pool, command: str, words: list[str]) -> None:
    """Run a subcommand of the zfs program."""
    commands = {
        "list": _list, "create": _create, "snapshot": _snapshot, "clone": _clone, "destroy": _destroy,
        "rename": _rename, "set": _set, "promote": _promote,
    }  # fmt: skip
    commands[command](pool, words)
    pool.save()


def _list(pool: Pool, words: list[str]) -> None:
    flags, values, (name,) = _options(words, "H p", "d t o")
    chosen = dict(values)
    assert "H" in flags
    pool.get(name)
    names = [name]
    if chosen.get("d") == "1":
        names += [each for each in pool.sets if each.rpartition("/")[0] == name]
    for each in names:
        known = {"name": each, "used": "4096", "available": "8192", "quota": "0", "compression": "off"}
        known |= pool.sets[each]["properties"]
        print("\t".join(known.get(column, "-") for column in chosen["o"].split(",")))


def _create(pool: Pool, words: list[str]) -> None:
    _, values, (name,) = _options(words, "", "o")
    pool.check_new("create", name)
    pool.sets[name] = _new(_given(values))


def _snapshot(pool: Pool, words: list[str]) -> None:
    name, _, snapshot = words[0].partition("@")
    taken = pool.get(name)
    if snapshot in taken["snapshots"]:
        raise Refusal(f"cannot create snapshot '{words[0]}': dataset already exists")
    copy = {"directory": os.urandom(8).hex(), "deferred": False}
    subprocess.run(["cp", "-a", pool.directory(taken) + "/.", pool.directory(copy)], check=True)
    taken["snapshots"][snapshot] = copy


def _clone(pool: Pool, words: list[str]) -> None:
    _, values, (origin, name) = _options(words, "p", "o")
    source, _, snapshot = origin.partition("@")
    pool.check_new("clone", name)
    copy = pool.get(source)["snapshots"][snapshot]
    pool.sets[name] = _new(_given(values), origin)
    subprocess.run(["cp", "-a", pool.directory(copy) + "/.", pool.directory(pool.sets[name])], check=True)


def _destroy(pool: Pool, words: list[str]) -> None:
    flags, _, (name,) = _options(words, "r d", "")
    name, at, snapshot = name.partition("@")
    gone = pool.get(name)
    if at:
        if "d" not in flags and pool.clones(f"{name}@{snapshot}"):
            raise Refusal(f"cannot destroy '{name}@{snapshot}': snapshot has dependent clones")
        gone["snapshots"][snapshot]["deferred"] = True
    else:
        if any(pool.clones(f"{name}@{each}") for each in gone["snapshots"]):
            raise Refusal(f"cannot destroy '{name}': filesystem has dependent clones")
        if gone["snapshots"] and "r" not in flags:
            raise Refusal(f"cannot destroy '{name}': filesystem has children")
        if pool.busy(gone):
            raise Refusal(f"cannot destroy '{name}': dataset is busy")
        for each in (gone, *gone["snapshots"].values()):
            shutil.rmtree(pool.directory(each))
        del pool.sets[name]
    _drop_deferred(pool)


def _drop_deferred(pool: Pool) -> None:
    for name, each in pool.sets.items():
        for snapshot, copy in list(each["snapshots"].items()):
            if copy["deferred"] and not pool.clones(f"{name}@{snapshot}"):
                shutil.rmtree(pool.directory(copy))
                del each["snapshots"][snapshot]


def _rename(pool: Pool, words: list[str]) -> None:
    old, new = words
    moved = pool.get(old)
    pool.check_new("rename", new)
    pool.sets[new] = pool.sets.pop(old)
    for snapshot in moved["snapshots"]:
        for clone in pool.clones(f"{old}@{snapshot}"):
            pool.sets[clone]["origin"] = f"{new}@{snapshot}"


def _set(pool: Pool, words: list[str]) -> None:
    assignment, name = words
    key, _, value = assignment.partition("=")
    pool.get(name)["properties"][key] = value


def _promote(pool: Pool, words: list[str]) -> None:
    (name,) = words
    promoted = pool.get(name)
    source, _, snapshot = promoted["origin"].partition("@")
    if not source:
        raise Refusal(f"cannot promote '{name}': not a cloned filesystem")
    old = pool.get(source)
    order = list(old["snapshots"])
    for each in order[: order.index(snapshot) + 1]:
        promoted["snapshots"][each] = old["snapshots"].pop(each)
        for clone in pool.clones(f"{source}@{each}"):
            pool.sets[clone]["origin"] = f"{name}@{each}"
    promoted["origin"], old["origin"] = old["origin"], f"{name}@{snapshot}"
    _drop_deferred(pool)


def mount(pool: Pool, words: list[str]) -> None:
    """Do what the mount program does with `-t zfs`."""
    _, values, (name, target) = _options(words, "", "t o")
    assert ("t", "zfs") in values
    if pool.get(name)["properties"].get("mountpoint") != "legacy":
        raise Refusal(f"filesystem '{name}' cannot be mounted using 'mount'.")
    os.execv("/bin/mount", ["mount", "--bind", pool.directory(pool.get(name)), target])  # noqa: S606  - the real one


def main(path: str, program: str, words: list[str]) -> int:
    """Run the command line."""
    with open(os.path.join(path, "log"), "a", encoding="utf-8") as log:
        log.write(" ".join([program, *words]) + "\n")
    pool = Pool(path)
    try:
        if program == "mount":
            mount(pool, words)
        elif program == "zpool":
            print("ONLINE")
        else:
            zfs(pool, words[0], words[1:])
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
