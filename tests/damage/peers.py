"""What other programs do with a damaged store: a round of commands, and then some changes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from hashlib import sha256
from typing import NamedTuple

from tests.damage.specimen import BASE, CONTAINER, IMAGE, MIDDLE, ORPHAN, TOP, Specimen
from tests.mounts import detach_all

KINDS = ("layers", "images", "containers")
HUNG = -1
TIMEOUT = 6.0
"""Seconds that a command may take. None needs a tenth of them on a sound store."""

NEW = "9" * 64
_GO = {
    "layers": ["layers"],
    "images": ["images"],
    "containers": ["containers"],
    **{f"diff {layer[0]}": ["diff", layer] for layer in (BASE, MIDDLE, TOP)},
    "get-image-data": ["get-image-data", IMAGE, "manifest"],
    "get-container-data": ["get-container-data", CONTAINER, "config"],
    "mount": ["mount", CONTAINER],
    "mount a layer": ["mount", BASE],
}
_GO_CHANGES = {
    "create-layer": ["create-layer", "--id", NEW],
    "create-image": ["create-image", "--id", NEW],
    "create-container": ["create-container", "--id", NEW, IMAGE],
}
_PODMAN = {
    "images": ["images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"],
    "ps": ["ps", "--all", "--external", "--no-trunc", "--format", "{{.ID}} {{.Names}}"],
    "image inspect": ["image", "inspect", IMAGE],
    "image mount": ["image", "mount", IMAGE],
}
_PODMAN_CHANGES = {"tag": ["tag", IMAGE, "localhost/new:1"]}


class Answer(NamedTuple):
    """What came of a command: its exit status or `HUNG`, what it printed, and what it complained of."""

    code: int
    said: str
    complaint: str


class Round(NamedTuple):
    """What came of a round of commands and of changes after it.

    Attributes:
        answers: by what was tried.
        changes: the same of changes.
        lost: how many of them are not there any more then: records by kind, and `files` of layers.
        rewritten: kinds whose record file was damaged before, and is whole then.
        held: the IDs that record files hold then, by kind.
    """

    answers: dict[str, Answer]
    changes: dict[str, Answer]
    lost: dict[str, int]
    rewritten: tuple[str, ...]
    held: dict[str, set[str]]


def go_tools(specimen: Specimen, program: str) -> Round:
    """A round of Debian's containers-storage."""
    command = [program, "--graph", specimen.graph, "--run", specimen.run, "--storage-driver", specimen.driver]
    return _round(specimen, command, _GO, _GO_CHANGES)


def podman(specimen: Specimen, program: str) -> Round:
    """A round of Podman."""
    command = [program, "--root", specimen.graph, "--runroot", specimen.run, "--storage-driver", specimen.driver]
    command += ["--tmpdir", os.path.join(specimen.root, "podman")]
    return _round(specimen, command, _PODMAN, _PODMAN_CHANGES)


def _round(
    specimen: Specimen, command: list[str], queries: dict[str, list[str]], changes: dict[str, list[str]]
) -> Round:
    before, broken = _possessions(specimen), _broken(specimen)
    try:
        answers = {what: _run([*command, *words], specimen) for what, words in queries.items()}
        changed = {what: _run([*command, *words], specimen) for what, words in changes.items()}
    finally:
        detach_all(specimen.root)
    after = _possessions(specimen)
    lost = {kind: len(before[kind] - after[kind]) for kind in before}
    rewritten = tuple(kind for kind in broken if kind not in _broken(specimen))
    return Round(answers, changed, lost, rewritten, {kind: after[kind] for kind in KINDS})


def _possessions(specimen: Specimen) -> dict[str, set[str]]:
    """The IDs in each record file, and the layers that have files."""
    found = {kind: set(re.findall(r'"id":"([0-9a-f]{64})"', _text(specimen.records(kind)))) for kind in KINDS}
    trees = specimen.home() if specimen.driver == "overlay" else specimen.home("dir")
    found["files"] = {name for name in os.listdir(trees) if len(name) == len(NEW)}
    return found


def _broken(specimen: Specimen) -> list[str]:
    """The kinds whose record file is no list of records."""
    broken = []
    for kind in KINDS:
        try:
            rows = json.loads(_text(specimen.records(kind)))
        except ValueError:
            rows = None
        if not isinstance(rows, list):
            broken.append(kind)
    return broken


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _run(command: list[str], specimen: Specimen) -> Answer:
    config = os.path.join(specimen.root, "storage.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[storage]\ndriver = "{specimen.driver}"\n')
        file.write(f'graphroot = "{specimen.graph}"\nrunroot = "{specimen.run}"\n')
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": config, "HOME": specimen.root}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=TIMEOUT, env=environment, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(HUNG, "", "")
    said = done.stdout.replace(os.fsencode(specimen.root), b"")
    complaint = done.stderr or (said if done.returncode else b"")
    return Answer(done.returncode, _said(said), _last_line(complaint.decode(errors="replace"), specimen))


def _said(output: bytes) -> str:
    """What was printed; of an archive, only the digest."""
    return output.decode() if output.isascii() and b"\0" not in output else sha256(output).hexdigest()


def _last_line(complaint: str, specimen: Specimen) -> str:
    """The sentence that matters: the last, without the clock, the paths and the IDs of this very store."""
    lines = [line for line in complaint.replace(specimen.root, "").splitlines() if line.strip()]
    text = lines[-1] if lines else ""
    text = re.sub(r'^time="[^"]*" level=\w+ msg=', "", text)
    return re.sub(r"\b([0-9a-f])[0-9a-f]{63}\b", lambda found: "ID" if found[0] != ORPHAN else "NEW", text).strip()
