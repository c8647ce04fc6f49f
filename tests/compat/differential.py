"""What is compared of two tools that were given the same commands, and what may differ between them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import stat
import tarfile
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Finished, StoreRoots

TEST_ARCHIVES_ARE_OF = 1_600_000_000
"""The time in all archives of the test. Any other one is the clock's, and differs."""


# ── what may differ ───────────────────────────────────────────────────────────────────────────────────────────────────


class Difference(NamedTuple):
    """Commands whose standard output may differ, why, and how it is still compared."""

    commands: str
    reason: str
    same: Callable[[object, object], bool]


def _without_line_ends(ours: object, theirs: object) -> bool:
    return isinstance(ours, str) and isinstance(theirs, str) and ours.replace("\n", "") == theirs.replace("\n", "")


def _nothing_or_none(ours: object, theirs: object) -> bool:
    return (ours or []) == (theirs or [])


def _in_any_order(ours: object, theirs: object) -> bool:
    return sorted(str(ours).splitlines()) == sorted(str(theirs).splitlines())


def _but_for_new_lines(ours: object, theirs: object) -> bool:
    return [line for line in cast("list[list[str]]", ours) if line[0] not in _NEW_IN_STATUS] == theirs


_NEW_IN_STATUS = ("Supports shifting", "Supports volatile")


def _with_fewer_true(ours: object, theirs: object) -> bool:
    mine, its = _answers(ours), _answers(theirs)
    return mine.keys() == its.keys() and all(its[word] for word, there in mine.items() if there)


def _answers(printed: object) -> dict[str, bool]:
    if isinstance(printed, dict):
        return printed
    lines = (line.rpartition(": ") for line in str(printed).splitlines())
    return {word: there == "true" for word, _, there in lines}


KNOWN_DIFFERENCES: tuple[Difference, ...] = (
    Difference(r"^create-container ", "1.43 leaves out the line ends after a container's names", _without_line_ends),
    Difference(r"^(layers|images|containers) --json$", "no items are `[]` or `null`, by version", _nothing_or_none),
    Difference(r"^exists .*-[lic] ", "the peer prints `true` for an item of the wrong kind", _with_fewer_true),
    Difference(r"^status ", "1.43 does not say what else overlay supports", _but_for_new_lines),
    Difference(r"^exists |^changes ", "the peer's order is random, or that of a directory", _in_any_order),
)


def same_output(words: list[str], one: Finished, ours: StoreRoots, other: Finished, theirs: StoreRoots) -> bool:
    """Whether both printed what they should: the same, unless a row of the table excuses them."""
    mine, its = output(one, ours), output(other, theirs)
    line = " ".join(words)
    return mine == its or any(row.same(mine, its) for row in KNOWN_DIFFERENCES if re.search(row.commands, line))


# ── what is compared ──────────────────────────────────────────────────────────────────────────────────────────────────

RECORD_FILES = {
    "layers": ("{graph}/{driver}-layers/layers.json", "{graph}/{driver}-layers/volatile-layers.json"),
    "images": ("{graph}/{driver}-images/images.json",),
    "containers": (
        "{graph}/{driver}-containers/containers.json",
        "{graph}/{driver}-containers/volatile-containers.json",
    ),
    "mounts": ("{run}/{driver}-layers/mountpoints.json",),
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d)")
_RANDOM = re.compile(r"[0-9a-f]{64}")


def records(roots: StoreRoots) -> dict[str, list[str]]:
    """The records as they are on disk, each as its own text, made comparable. No file and no record are the same."""
    found = {kind: [plain(text, roots) for text in _texts(kind, roots)] for kind in RECORD_FILES}
    # 1.43 knows no files of volatile records, which come last: both kinds are compared in any order.
    return {kind: sorted(texts) for kind, texts in found.items()}


def _texts(kind: str, roots: StoreRoots) -> Iterator[str]:
    """Cut the files of a kind into the texts of single records, so that the encoding is compared, too."""
    for pattern in RECORD_FILES[kind]:
        path = pattern.format(graph=roots.graph, run=roots.run, driver=roots.driver)
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read()
        at = 1
        while text[at : at + 1] == "{":
            _, end = json.JSONDecoder().raw_decode(text, at)
            yield text[at:end]
            at = end + 1


def plain(text: str, roots: StoreRoots) -> str:
    """Put the same words for what must differ: places, times, and the IDs that were drawn at random."""
    for layer, name in _random_layers(roots):
        text = text.replace(layer, name)
    return _TIME.sub("TIME", text.replace(roots.graph, "GRAPH").replace(roots.run, "RUN"))


def _random_layers(roots: StoreRoots) -> Iterator[tuple[str, str]]:
    owners = {record["layer"]: record["id"] for record in map(json.loads, _texts("containers", roots))}
    count = 0
    for layer in (record["id"] for record in map(json.loads, _texts("layers", roots))):
        if layer in owners:
            yield layer, f"layer-of-{owners[layer]}"
        elif _RANDOM.fullmatch(layer):
            count += 1
            yield layer, f"random-layer-{count}"


def output(done: Finished, roots: StoreRoots) -> object:
    """Standard output made comparable: a document or an archive by what it says, lines as they are."""
    content = done.output
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    if len(content) % 512 == 0 and content.endswith(bytes(1024)):
        return _members(content)
    text = plain(content.decode(errors="surrogateescape"), roots)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _members(archive: bytes) -> list[tuple[object, ...]]:
    """What an archive holds. Which times are the clock's tells `_time`."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        # 1.43 writes the type into the mode, too.
        return [
            (each.name, each.type, each.mode & 0o7777, each.uid, each.gid, each.linkname, _time(each.mtime), each.size)
            for each in opened
        ]


def _time(seconds: float) -> str:
    return "as archived" if int(seconds) == TEST_ARCHIVES_ARE_OF else "the clock's"


# ── what is compared in the end ───────────────────────────────────────────────────────────────────────────────────────


def trees(roots: StoreRoots) -> dict[str, tuple[object, ...]]:
    """Every file and directory of all layers, and what is kept beside records, by a path that both stores share."""
    found: dict[str, tuple[object, ...]] = {}
    tree = "dir/{}" if roots.driver == "vfs" else "{}/diff"
    for layer in [json.loads(text)["id"] for text in _texts("layers", roots)]:
        top = os.path.join(roots.graph, roots.driver, tree.format(layer))
        found |= {plain(f"{layer}/{path}", roots): facts for path, facts in _below(top)}
    for kind in ("layers", "images", "containers"):
        top = os.path.join(roots.graph, f"{roots.driver}-{kind}")
        files = {path: facts for path, facts in _below(top) if not path.endswith((".json", ".lock"))}
        # Empty directories come and go: the peer makes those of a container as soon as somebody asks for its size.
        found |= {plain(f"{kind}/{path}", roots): facts for path, facts in files.items() if len(facts) > len(_OWNER)}
    return found


def _below(top: str) -> Iterator[tuple[str, tuple[object, ...]]]:
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files]:
            path = os.path.join(folder, name)
            yield os.path.relpath(path, top), _facts(path)


_OWNER = ("mode", "owner", "group", "device", "time")


def _facts(path: str) -> tuple[object, ...]:
    facts = os.lstat(path)
    owner = (oct(facts.st_mode), facts.st_uid, facts.st_gid, facts.st_rdev, _time(facts.st_mtime))
    if stat.S_ISLNK(facts.st_mode):
        return (*owner, os.readlink(path))
    if not stat.S_ISREG(facts.st_mode):
        return owner
    with open(path, "rb") as file:
        content = file.read()
    if path.endswith(".tar-split.gz"):
        lines = gzip.decompress(content).splitlines()
        # 1.43 notes also padding of no bytes.
        content = b"\n".join(line.rpartition(b',"position"')[0] for line in lines if b'"payload":""' not in line)
    return (*owner, facts.st_nlink, hashlib.sha256(content).hexdigest())
