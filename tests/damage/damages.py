"""The table: what can happen to a store, done with a few system calls, and what a check must say to it."""

# mypy: disable-error-code="func-returns-value"
# Most damage is two system calls, which stand beside each other in a tuple.
from __future__ import annotations

import base64
import gzip
import json
import os
import random
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

from cstore.check.contents import MOST_PROBLEMS
from cstore.fs.staging import StagingRoot
from tests.builders import flip_byte, flip_byte_of
from tests.damage.specimen import BASE, CONTAINER, IMAGE, MIDDLE, ORPHAN, OTHER_IMAGE, TOP, Specimen

if TYPE_CHECKING:
    from collections.abc import Callable

BOTH = ("vfs", "overlay")
LINK = "A" * 26


class Damage(NamedTuple):
    """One kind of damage.

    Attributes:
        name: what happens.
        do: does it.
        kinds: findings that there must be, as kind and severity.
        about: the ID or path that the first of them is about; "" for whatever it is.
        drivers: the drivers with which it can happen.
    """

    name: str
    do: Callable[[Specimen], object]
    kinds: tuple[tuple[str, str], ...]
    about: str = ""
    drivers: tuple[str, ...] = BOTH


def _write(path: str, data: bytes) -> None:
    """Overwrite a file, keeping its inode and owner."""
    with open(path, "r+b") as file:
        file.truncate(0)
        file.write(data)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _keep_times(path: str, change: Callable[[], object]) -> None:
    status = os.stat(path)
    change()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _set(kind: str, identifier: str, **fields: Any) -> Callable[[Specimen], None]:
    """Change fields of a record."""
    changes = {name.replace("_", "-"): value for name, value in fields.items()}

    def change(rows: list[dict[str, Any]]) -> None:
        next(row for row in rows if row["id"] == identifier).update(changes)

    return lambda specimen: specimen.edit(kind, change)


def _forget(kind: str, identifier: str) -> Callable[[Specimen], None]:
    return lambda specimen: specimen.edit(kind, lambda rows: [row for row in rows if row["id"] != identifier])


def _rewrite_split(specimen: Specimen, change: Callable[[bytes], bytes]) -> None:
    path = specimen.tar_split(BASE)
    _write(path, gzip.compress(change(gzip.decompress(_read(path)))))


def _double(kind: str, identifier: str) -> Callable[[Specimen], None]:
    def change(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [*rows, dict(next(row for row in rows if row["id"] == identifier), names=[])]

    return lambda specimen: specimen.edit(kind, change)


def _drop_manifest(specimen: Specimen) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if row["id"] == IMAGE)
        row["big-data-names"].remove("manifest")
        del row["big-data-sizes"]["manifest"], row["big-data-digests"]["manifest"]

    specimen.edit("images", change)
    os.unlink(specimen.beside("images", IMAGE, "manifest"))


def _replace_item(specimen: Specimen, data: bytes) -> None:
    """Put another manifest in the place of the image's, with all that is recorded of it."""
    from hashlib import sha256

    def change(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if row["id"] == IMAGE)
        row["big-data-sizes"]["manifest"] = len(data)
        row["big-data-digests"]["manifest"] = f"sha256:{sha256(data).hexdigest()}"

    specimen.edit("images", change)
    _write(specimen.beside("images", IMAGE, "manifest"), data)


def _break_config(specimen: Specimen) -> None:
    """Let the manifest name a config that is none, and all that is recorded of it be right."""
    from hashlib import sha256

    data = b"[]"
    digest = f"sha256:{sha256(data).hexdigest()}"
    _replace_item(specimen, json.dumps({"schemaVersion": 2, "config": {"digest": digest, "size": 2}}).encode())

    def change(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if row["id"] == IMAGE)
        row["big-data-names"].append(digest)
        row["big-data-sizes"][digest], row["big-data-digests"][digest] = len(data), digest

    specimen.edit("images", change)
    name = "=" + base64.b64encode(digest.encode()).decode()
    with open(specimen.beside("images", IMAGE, name), "wb") as file:
        file.write(data)


def _strew(specimen: Specimen) -> None:
    """Put more stray files into a layer than a check lists."""
    folder = specimen.tree(BASE, "strewn")
    os.mkdir(folder)
    for number in range(MOST_PROBLEMS + 1):
        os.mkfifo(os.path.join(folder, str(number)))


def _mount_uncounted(specimen: Specimen) -> None:
    """Mount a layer, and lose the count."""
    specimen.open().mount(BASE)
    os.unlink(os.path.join(specimen.run, f"{specimen.driver}-layers", "mountpoints.json"))


def _into_file(path: str) -> None:
    shutil.rmtree(path)
    with open(path, "wb"):
        pass


def _config_file(specimen: Specimen) -> str:
    folder = specimen.beside("images", IMAGE)
    return next(os.path.join(folder, name) for name in os.listdir(folder) if name.startswith("="))


def _stage(specimen: Specimen) -> None:
    """Leave what a killed process leaves: a staging directory whose lock nobody holds."""
    root = specimen.beside("layers", "tmp")
    os.makedirs(os.path.join(root, "temp-dir-77"))
    with open(os.path.join(root, "lock-77"), "w", encoding="utf-8"):
        pass
    assert StagingRoot(root).stale()


def _mount_table(specimen: Specimen, text: str) -> None:
    folder = os.path.join(specimen.run, f"{specimen.driver}-layers")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "mountpoints.json"), "w", encoding="utf-8") as file:
        file.write(text)


def _part_names(specimen: Specimen) -> None:
    """Give each name of a file a file of its own, of the same size and time, and one of them other contents."""
    path = specimen.tree(BASE, "bin/same")
    status = os.stat(path)
    data = flip_byte(_read(path), 7)
    os.unlink(path)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, status.st_mode & 0o7777)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _lose_all_users(specimen: Specimen) -> None:
    """Forget both images and the container, and let the lowest layer be old."""
    for kind, identifier in (("images", OTHER_IMAGE), ("images", IMAGE), ("containers", CONTAINER)):
        _forget(kind, identifier)(specimen)
    _set("layers", BASE, created="2020-01-01T00:00:00Z")(specimen)


def _into_directory(path: str) -> None:
    os.unlink(path)
    os.mkdir(path)


def _relink(specimen: Specimen, target: str) -> None:
    name = _read(specimen.home(BASE, "link")).decode()
    path = specimen.home("l", name)
    os.unlink(path)
    if target:
        os.symlink(target, path)


def _of_file(kind: str, item_kind: str) -> tuple[Damage, ...]:
    """What happens to a record file."""
    return (
        Damage(
            f"{kind}.json is emptied",
            lambda it: _write(it.records(kind), b""),
            (("records-empty", "records"),),
        ),
        Damage(f"{kind}.json is gone", lambda it: os.unlink(it.records(kind)), (("records-missing", "records"),)),
        Damage(
            f"{kind}.json is cut",
            lambda it: os.truncate(it.records(kind), os.path.getsize(it.records(kind)) - 20),
            (("records-damaged", "records"), (f"{item_kind}-record-lost", "records")),
        ),
        Damage(
            f"{kind}.json is full of NUL",
            lambda it: _write(it.records(kind), bytes(os.path.getsize(it.records(kind)))),
            (("records-damaged", "records"), (f"{item_kind}-record-lost", "records")),
        ),
        Damage(
            f"{kind}.json is no list",
            lambda it: _write(it.records(kind), b'{"a":1}'),
            (("records-damaged", "records"),),
        ),
        Damage(
            f"{kind}.json is a directory",
            lambda it: _into_directory(it.records(kind)),
            (("records-damaged", "records"),),
        ),
        Damage(
            f"a field in {kind}.json has the wrong type",
            lambda it: it.edit(kind, lambda rows: rows[0].update(names=7)),
            (("records-damaged", "records"),),
        ),
        Damage(
            f"a record in {kind}.json has no ID",
            lambda it: it.edit(kind, lambda rows: rows[0].pop("id") and None),
            (("records-damaged", "records"),),
        ),
    )


RECORD_FILES = (*_of_file("layers", "layer"), *_of_file("images", "image"), *_of_file("containers", "container"))

RECORDS = (
    Damage("a layer ID occurs twice", _double("layers", BASE), (("duplicate-id", "records"),), BASE),
    Damage("an image ID occurs twice", _double("images", IMAGE), (("duplicate-id", "records"),), IMAGE),
    Damage("a container ID occurs twice", _double("containers", CONTAINER), (("duplicate-id", "records"),), CONTAINER),
    Damage(
        "two layers have one name", _set("layers", MIDDLE, names=["layer-a"]), (("duplicate-name", "records"),), BASE
    ),
    Damage(
        "two images have one name",
        _set("images", OTHER_IMAGE, names=["localhost/d:1"]),
        (("duplicate-name", "records"),),
    ),
    Damage("a parent has no record", _set("layers", MIDDLE, parent="nobody"), (("parent-missing", "records"),), MIDDLE),
    Damage("layers are each other's parents", _set("layers", BASE, parent=TOP), (("layer-cycle", "records"),)),
    Damage("a layer is its own parent", _set("layers", BASE, parent=BASE), (("layer-cycle", "records"),), BASE),
    Damage(
        "an ID leads out of the store",
        lambda it: it.edit("layers", lambda rows: rows.append({"id": "../../../x", "created": "0001-01-01T00:00:00Z"})),
        (("unsafe-id", "records"),),
        "../../../x",
    ),
    Damage(
        "an ID is the name of a record file",
        lambda it: it.edit(
            "images", lambda rows: rows.append({"id": "images.json", "created": "0001-01-01T00:00:00Z"})
        ),
        (("unsafe-id", "records"),),
        "images.json",
    ),
    Damage(
        "a layer's digest is none", _set("layers", TOP, diff_digest="sha256:123"), (("digest-invalid", "records"),), TOP
    ),
    Damage(
        "a used layer counts as unfinished",
        _set("layers", BASE, flags={"incomplete": True}),
        (("layer-unfinished-in-use", "records"),),
        BASE,
    ),
    Damage("an image's layer has no record", _forget("layers", TOP), (("image-layer-missing", "data"),), IMAGE),
    Damage(
        "a layer has lost its record",
        _forget("layers", BASE),
        (("parent-missing", "records"), ("layer-record-lost", "records"), ("image-layer-missing", "data")),
    ),
    Damage(
        "a container's layer has no record",
        _set("containers", CONTAINER, layer="nothing"),
        (("container-layer-missing", "data"),),
        CONTAINER,
    ),
    Damage(
        "a container's image has no record",
        _forget("images", IMAGE),
        (("container-image-missing", "records"),),
        CONTAINER,
    ),
    Damage("the mount table is cut", lambda it: _mount_table(it, '[{"id":"'), (("mount-table-damaged", "records"),)),
    Damage(
        "a count says that a layer is mounted, and it is not",
        lambda it: _mount_table(it, json.dumps([{"id": BASE, "path": "/nowhere/merged", "count": 2}])),
        (("mount-gone", "leftover"),),
        BASE,
    ),
    Damage(
        "a layer is mounted, and no count says so",
        _mount_uncounted,
        (("mount-uncounted", "leftover"),),
        BASE,
        ("overlay",),
    ),
    Damage(
        "nobody uses a layer any more",
        _lose_all_users,
        (("layer-unreferenced", "leftover"),),
        BASE,
    ),
)

CONTENTS = (
    Damage("one name of a file has other contents", _part_names, (("file-changed", "data"),), BASE),
    Damage(
        "a byte of a file is flipped",
        lambda it: _keep_times(it.tree(BASE, "bin/tool"), lambda: flip_byte_of(it.tree(BASE, "bin/tool"))),
        (("file-changed", "data"),),
        BASE,
    ),
    Damage("a file is cut", lambda it: os.truncate(it.tree(BASE, "old/file"), 1), (("file-changed", "data"),), BASE),
    Damage("a file has grown", lambda it: os.truncate(it.tree(BASE, "old/file"), 9), (("file-changed", "data"),), BASE),
    Damage(
        "an empty file has grown",
        lambda it: os.truncate(it.tree(BASE, "etc/empty"), 9),
        (("file-changed", "data"),),
        BASE,
    ),
    Damage("a file is gone", lambda it: os.unlink(it.tree(BASE, "old/file")), (("file-missing", "data"),), BASE),
    Damage(
        "an empty file is gone", lambda it: os.unlink(it.tree(BASE, "etc/empty")), (("file-missing", "data"),), BASE
    ),
    Damage("a link is gone", lambda it: os.unlink(it.tree(BASE, "sbin")), (("file-missing", "data"),), BASE),
    Damage("a directory is gone", lambda it: shutil.rmtree(it.tree(BASE, "old")), (("file-missing", "data"),), BASE),
    Damage(
        "a stray file has come",
        lambda it: shutil.copy(it.tree(BASE, "etc/hosts"), it.tree(BASE, "stray")),
        (("file-unexpected", "data"),),
        BASE,
    ),
    Damage(
        "a stray directory has come",
        lambda it: os.mkdir(it.tree(BASE, "strange")),
        (("file-unexpected", "data"),),
        BASE,
    ),
    Damage(
        "thousands of stray files have come",
        _strew,
        (("file-unexpected", "data"), ("files-more", "data")),
        BASE,
    ),
    Damage(
        "a mode has changed",
        lambda it: os.chmod(it.tree(BASE, "old/file"), 0o600),
        (("file-attributes", "data"),),
        BASE,
    ),
    Damage(
        "an owner has changed",
        lambda it: os.chown(it.tree(BASE, "old/file"), 5, 6),
        (("file-attributes", "data"),),
        BASE,
    ),
    Damage(
        "a time has changed", lambda it: os.utime(it.tree(BASE, "old/file"), (5, 5)), (("file-time", "records"),), BASE
    ),
    Damage(
        "a capability has come",
        lambda it: os.setxattr(
            it.tree(BASE, "bin/tool"), "security.capability", bytes.fromhex("0100000200000020" + "00" * 12)
        ),
        (("file-attributes", "data"),),
        BASE,
    ),
    Damage(
        "a link leads elsewhere",
        lambda it: (os.unlink(it.tree(BASE, "sbin")), os.symlink("etc", it.tree(BASE, "sbin"))),
        (("file-attributes", "data"),),
        BASE,
    ),
    Damage(
        "a directory has become a file",
        lambda it: (
            shutil.rmtree(it.tree(MIDDLE, "new")),
            shutil.copy(it.tree(BASE, "etc/hosts"), it.tree(MIDDLE, "new")),
        ),
        (("file-attributes", "data"),),
        MIDDLE,
    ),
    Damage(
        "a file has become a link to the host",
        lambda it: (os.unlink(it.tree(BASE, "etc/hosts")), os.symlink("/etc/hosts", it.tree(BASE, "etc/hosts"))),
        (("file-missing", "data"),),
        BASE,
    ),
    Damage(
        "a file has become a fifo",
        lambda it: (os.unlink(it.tree(BASE, "old/file")), os.mkfifo(it.tree(BASE, "old/file"))),
        (("file-missing", "data"),),
        BASE,
    ),
    Damage(
        "a copy in a higher layer is flipped",
        lambda it: _keep_times(it.tree(TOP, "bin/tool"), lambda: flip_byte_of(it.tree(TOP, "bin/tool"))),
        (("file-changed", "data"),),
        TOP,
        ("vfs",),
    ),
    Damage(
        "a removed file has come back",
        lambda it: shutil.copy(it.tree(BASE, "etc/gone"), it.tree(MIDDLE, "etc/gone")),
        (("file-unexpected", "data"),),
        MIDDLE,
        ("vfs",),
    ),
    Damage(
        "a whiteout is gone",
        lambda it: os.unlink(it.tree(MIDDLE, "etc/gone")),
        (("file-missing", "data"),),
        MIDDLE,
        ("overlay",),
    ),
    Damage(
        "a directory is no longer opaque",
        lambda it: os.removexattr(it.tree(TOP, "old"), "trusted.overlay.opaque"),
        (("file-attributes", "data"),),
        TOP,
        ("overlay",),
    ),
    Damage(
        "a whiteout hides a file",
        lambda it: os.mknod(it.tree(TOP, "sbin"), 0o020000, 0),
        (("file-unexpected", "data"),),
        TOP,
        ("overlay",),
    ),
    Damage("a tar-split is gone", lambda it: os.unlink(it.tar_split(BASE)), (("tar-split-missing", "export"),), BASE),
    Damage(
        "a tar-split is cut",
        lambda it: os.truncate(it.tar_split(BASE), os.path.getsize(it.tar_split(BASE)) // 2),
        (("tar-split-damaged", "export"),),
        BASE,
    ),
    Damage(
        "a tar-split is empty", lambda it: os.truncate(it.tar_split(BASE), 0), (("tar-split-damaged", "export"),), BASE
    ),
    Damage(
        "a tar-split is a fifo",
        lambda it: (os.unlink(it.tar_split(BASE)), os.mkfifo(it.tar_split(BASE))),
        (("tar-split-damaged", "export"),),
        BASE,
    ),
    Damage(
        "a tar-split is another layer's",
        lambda it: shutil.copy(it.tar_split(MIDDLE), it.tar_split(BASE)),
        (("layer-size", "records"),),
        BASE,
    ),
    Damage(
        "a line of a tar-split is gone",
        lambda it: _rewrite_split(it, lambda text: b"\n".join(text.split(b"\n")[:-2]) + b"\n"),
        (("layer-size", "records"),),
        BASE,
    ),
    Damage(
        "a line of a tar-split is garbage",
        lambda it: _rewrite_split(it, lambda text: flip_byte(text, 3)),
        (("tar-split-damaged", "export"),),
        BASE,
    ),
    Damage(
        "a record has another digest",
        _set("layers", BASE, diff_digest="sha256:" + "1" * 64),
        (("layer-digest", "records"), ("image-layers-differ", "records")),
    ),
    Damage("a record has another size", _set("layers", BASE, diff_size=77), (("layer-size", "records"),), BASE),
)

ITEMS = (
    Damage(
        "a layer's item is gone",
        lambda it: os.unlink(it.beside("layers", BASE, "notes")),
        (("layer-data-missing", "data"),),
        BASE,
    ),
    Damage(
        "a layer's item is a directory",
        lambda it: _into_directory(it.beside("layers", BASE, "notes")),
        (("layer-data-unreadable", "data"),),
        BASE,
    ),
    Damage(
        "a manifest is gone",
        lambda it: os.unlink(it.beside("images", IMAGE, "manifest")),
        (("image-data-missing", "data"),),
        IMAGE,
    ),
    Damage("a config is gone", lambda it: os.unlink(_config_file(it)), (("image-data-missing", "data"),), IMAGE),
    Damage("a config is cut", lambda it: os.truncate(_config_file(it), 5), (("image-data-size", "data"),), IMAGE),
    Damage(
        "a byte of a config is flipped",
        lambda it: flip_byte_of(_config_file(it)),
        (("image-data-digest", "data"),),
        IMAGE,
    ),
    Damage("an image has no manifest", _drop_manifest, (("image-manifest-missing", "records"),), IMAGE),
    Damage(
        "a manifest is no JSON", lambda it: _replace_item(it, b"hello"), (("image-manifest-broken", "data"),), IMAGE
    ),
    Damage(
        "a manifest names no config",
        lambda it: _replace_item(it, b'{"schemaVersion":2,"layers":[]}'),
        (("image-manifest-broken", "data"),),
        IMAGE,
    ),
    Damage(
        "a manifest names another config",
        lambda it: _replace_item(it, b'{"schemaVersion":2,"config":{"digest":"sha256:%b"}}' % (b"0" * 64)),
        (("image-config-missing", "data"),),
        IMAGE,
    ),
    Damage("a config is no config", _break_config, (("image-config-broken", "data"),), IMAGE),
    Damage(
        "a config is a directory",
        lambda it: _into_directory(_config_file(it)),
        (("image-data-unreadable", "data"),),
        IMAGE,
    ),
    Damage(
        "an image has neither manifest nor config",
        lambda it: it.edit(
            "images", lambda rows: rows.append({"id": ORPHAN, "layer": BASE, "created": "2020-01-01T00:00:00Z"})
        ),
        (("image-without-data", "leftover"),),
        ORPHAN,
    ),
    Damage(
        "an image has other layers than its config says",
        _set("images", IMAGE, layer=MIDDLE),
        (("image-layers-differ", "records"),),
        IMAGE,
    ),
    Damage(
        "a container's item is gone",
        lambda it: os.unlink(it.beside("containers", CONTAINER, "config")),
        (("container-data-missing", "data"),),
        CONTAINER,
    ),
    Damage(
        "a container's item is a directory",
        lambda it: _into_directory(it.beside("containers", CONTAINER, "config")),
        (("container-data-unreadable", "data"),),
        CONTAINER,
    ),
    Damage(
        "a container's item is cut",
        lambda it: os.truncate(it.beside("containers", CONTAINER, "config"), 1),
        (("container-data-size", "data"),),
        CONTAINER,
    ),
    Damage(
        "a byte of a container's item is flipped",
        lambda it: flip_byte_of(it.beside("containers", CONTAINER, "config")),
        (("container-data-digest", "data"),),
        CONTAINER,
    ),
    Damage(
        "the data of an image are gone",
        lambda it: shutil.rmtree(it.beside("images", IMAGE)),
        (("image-data-missing", "data"),),
        IMAGE,
    ),
)

DRIVER = (
    Damage(
        "a layer's directory is gone",
        lambda it: shutil.rmtree(it.home(BASE) if it.driver == "overlay" else it.tree(BASE)),
        (("layer-tree-missing", "data"),),
        BASE,
    ),
    Damage(
        "the driver has a layer without a record",
        lambda it: shutil.copytree(
            *((it.home(TOP), it.home(ORPHAN)) if it.driver == "overlay" else (it.tree(TOP), it.tree(ORPHAN))),
            symlinks=True,
        ),
        (("layer-unaccounted", "leftover"),),
        ORPHAN,
        ("vfs",),
    ),
    Damage(
        "the driver has an unknown directory",
        lambda it: os.makedirs(it.home(ORPHAN, "diff")),
        (("layer-unaccounted", "leftover"),),
        ORPHAN,
        ("overlay",),
    ),
    Damage(
        "diff is gone", lambda it: shutil.rmtree(it.tree(MIDDLE)), (("overlay-diff", "data"),), MIDDLE, ("overlay",)
    ),
    Damage(
        "diff is a file",
        lambda it: (shutil.rmtree(it.tree(MIDDLE)), shutil.copy(it.records(), it.tree(MIDDLE))),
        (("overlay-diff", "data"),),
        MIDDLE,
        ("overlay",),
    ),
    Damage(
        "link is gone", lambda it: os.unlink(it.home(BASE, "link")), (("overlay-link", "records"),), BASE, ("overlay",)
    ),
    Damage(
        "link is garbage",
        lambda it: _write(it.home(BASE, "link"), b"../x"),
        (("overlay-link", "records"),),
        BASE,
        ("overlay",),
    ),
    Damage(
        "link is another's",
        lambda it: _write(it.home(BASE, "link"), _read(it.home(TOP, "link"))),
        (("overlay-short-link", "records"),),
        BASE,
        ("overlay",),
    ),
    Damage(
        "a short link is gone", lambda it: _relink(it, ""), (("overlay-short-link", "records"),), BASE, ("overlay",)
    ),
    Damage(
        "a short link leads out",
        lambda it: _relink(it, "/etc"),
        (("overlay-short-link", "records"),),
        BASE,
        ("overlay",),
    ),
    Damage(
        "all short links are gone",
        lambda it: shutil.rmtree(it.home("l")),
        (("overlay-short-link", "records"),),
        "",
        ("overlay",),
    ),
    Damage(
        "a short link belongs to nobody",
        lambda it: os.symlink("../gone/diff", it.home("l", LINK)),
        (("overlay-stray-link", "leftover"),),
        "",
        ("overlay",),
    ),
    Damage(
        "lower is gone", lambda it: os.unlink(it.home(TOP, "lower")), (("overlay-lower", "records"),), TOP, ("overlay",)
    ),
    Damage(
        "lower is garbage",
        lambda it: _write(it.home(TOP, "lower"), b"l/../../etc"),
        (("overlay-lower", "records"),),
        TOP,
        ("overlay",),
    ),
    Damage(
        "lower lacks an ancestor",
        lambda it: _write(it.home(TOP, "lower"), _read(it.home(TOP, "lower"))[:28]),
        (("overlay-lower", "records"),),
        TOP,
        ("overlay",),
    ),
    Damage(
        "work is gone",
        lambda it: shutil.rmtree(it.home(TOP, "work")),
        (("overlay-work", "records"),),
        TOP,
        ("overlay",),
    ),
    Damage(
        "work is a file",
        lambda it: (shutil.rmtree(it.home(TOP, "work")), shutil.copy(it.records(), it.home(TOP, "work"))),
        (("overlay-work", "records"),),
        TOP,
        ("overlay",),
    ),
)

LEFTOVERS = (
    Damage("a process died while it staged", _stage, (("leftover-staging", "leftover"),)),
    Damage(
        "a temporary file was left",
        lambda it: shutil.copy(it.records(), it.beside("layers", ".tmp-layers.json123")),
        (("leftover-temporary", "leftover"),),
    ),
    Damage(
        "a tar-split has no layer",
        lambda it: shutil.copy(it.tar_split(BASE), it.tar_split(ORPHAN)),
        (("leftover-tar-split", "leftover"),),
    ),
    Damage(
        "image data have no record", lambda it: os.mkdir(it.beside("images", ORPHAN)), (("leftover-data", "leftover"),)
    ),
    Damage(
        "container data have no record",
        lambda it: os.mkdir(it.beside("containers", ORPHAN)),
        (("leftover-data", "leftover"),),
    ),
    Damage(
        "a layer was never finished",
        lambda it: it.edit(
            "layers",
            lambda rows: rows.append({"id": ORPHAN, "created": "2020-01-01T00:00:00Z", "flags": {"incomplete": True}}),
        ),
        (("layer-unfinished", "leftover"),),
        ORPHAN,
    ),
)

PLACES = (
    Damage(
        "a lock file is gone", lambda it: os.unlink(it.beside("images", "images.lock")), (("lock-missing", "records"),)
    ),
    Damage(
        "a lock file is a directory",
        lambda it: _into_directory(it.beside("layers", "layers.lock")),
        (("lock-wrong", "records"),),
    ),
    Damage(
        "a lock file is a fifo",
        lambda it: (os.unlink(it.beside("layers", "layers.lock")), os.mkfifo(it.beside("layers", "layers.lock"))),
        (("lock-wrong", "records"),),
    ),
    Damage(
        "a lock file is a link",
        lambda it: (
            os.unlink(it.beside("layers", "layers.lock")),
            os.symlink("/dev/null", it.beside("layers", "layers.lock")),
        ),
        (("lock-wrong", "records"),),
    ),
    Damage(
        "a journal is a fifo",
        lambda it: os.mkfifo(it.beside("layers", "container.json")),
        (("thing-wrong", "records"),),
    ),
    Damage(
        "a staging directory is a link",
        lambda it: (
            shutil.rmtree(it.beside("layers", "tmp"), ignore_errors=True),
            os.symlink("/dev", it.beside("layers", "tmp")),
        ),
        (("thing-wrong", "records"),),
    ),
    Damage(
        "a file stands where a directory belongs",
        lambda it: _into_file(it.beside("containers")),
        (("place-wrong", "records"),),
    ),
    Damage("others may write", lambda it: os.chmod(it.beside("images"), 0o777), (("place-mode", "records"),)),  # noqa: S103  - the damage
    Damage("others may look", lambda it: os.chmod(it.beside("layers"), 0o755), (("place-open", "cosmetic"),)),  # noqa: S103  - the damage
    Damage("the owner may not write", lambda it: os.chmod(it.home(), 0o500), (("place-mode", "records"),)),
    Damage(
        "somebody else owns a directory",
        lambda it: os.chown(it.beside("containers"), 77, 77),
        (("place-owner", "records"),),
    ),
)

DAMAGES = (*RECORD_FILES, *RECORDS, *CONTENTS, *ITEMS, *DRIVER, *LEFTOVERS, *PLACES)


def pairs(count: int = 25) -> list[tuple[str, Damage, Damage]]:
    """Two damages at once, with a driver that both can happen to; the same ones in every run."""
    choice = random.Random(20261121)
    found = []
    for _ in range(count):
        driver = choice.choice(["vfs", "overlay"])
        possible = [damage for damage in DAMAGES if driver in damage.drivers]
        one, other = choice.sample(possible, 2)
        found.append((driver, one, other))
    return found


def cases() -> list[tuple[str, Damage]]:
    """Every damage with every driver that it can happen to."""
    return [(driver, damage) for damage in DAMAGES for driver in damage.drivers]
