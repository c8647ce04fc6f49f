"""The commands of the laboratory; all start with the same store."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cstore.config import Overrides, load_config
from cstore.docker import ImageStore, LayerStore
from cstore.docker.engine_files import make_engine_files
from cstore.store import NewContainer, NewImage, NewLayer, open_store
from tests.builders import directory, make_tar, regular, whiteout
from tests.unit.docker.dataroots import DataRoot
from tests.unit.transfer.archives import (
    as_directory,
    as_json,
    as_tar,
    config_of,
    docker_archive,
    named,
    oci_image,
    sha,
    with_index,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.store import Store
    from tests.unit.transfer.archives import Members

GC, REPAIR, UNDO = "gc", "repair", "undo"
_STRANGER = "ab" * 32

BASE = make_tar(directory("a"), regular("a/f", b"hi"), directory("a/b"), regular("a/b/g", b"ho" * 5000))
CHANGE = make_tar(directory("a"), whiteout("a/f"), regular("a/new", b"new"))
THIRD = make_tar(directory("c"), regular("c/third", b"third"))

COMMANDS: dict[str, list[str]] = {
    "import-layer": ["import-layer", "--id", "new", "--name", "nightly", "--file", "{inputs}/change", "base"],
    "import-first": ["import-layer", "--name", "nightly", "--id", "new", "--file", "{inputs}/base"],
    "create-first": ["create-layer", "--id", "new", "--name", "fresh"],
    "create-layer": ["create-layer", "--id", "new", "--name", "fresh", "base"],
    "apply-diff": ["apply-diff", "--file", "{inputs}/change", "spare"],
    "delete-layer": ["delete-layer", "spare"],
    "create-image": ["create-image", "--id", "new", "--name", "fresh", "base"],
    "set-item": ["set-image-data", "--file", "{inputs}/change", "img", "item"],
    "new-item": ["set-image-data", "--file", "{inputs}/change", "img", "other"],
    "layer-item": ["set-layer-data", "--file", "{inputs}/change", "base", "other"],
    "container-item": ["set-container-data", "--file", "{inputs}/change", "con", "item"],
    "delete-image": ["delete-image", "going"],
    "create-container": ["create-container", "--id", "new", "--name", "fresh", "img"],
    "delete-container": ["delete-container", "con"],
    "delete": ["delete", "con"],
    "add-names": ["add-names", "--name", "more", "base"],
    "set-names": ["set-names", "--name", "other", "img"],
    "remove-names": ["remove-names", "--name", "base", "base"],
    "set-metadata": ["set-metadata", "--metadata", "text", "base"],
    "load": ["load", "--quiet", "--input", "{inputs}/archive"],
    "wipe": ["wipe"],
    "copy": ["copy", "{inputs}/change", "plain:/copied"],
    "mount": ["mount", "con"],
}
"""Commands to try, with their command lines."""
MORE: dict[str, list[str]] = {
    "rm": ["rm", "--yes", "--force", "img"],
    "keep": ["rm", "--yes", "--keep", "5", "going"],
    "prune": ["prune", "--yes", "--unused"],
    "tag": ["tag", "img", "other"],
    "untag": ["untag", "img"],
    "delete-item": ["delete-image-data", "img", "item"],
    "delete-container-item": ["delete-container-data", "con", "item"],
    "delete-layer-item": ["delete-layer-data", "base", "item"],
    "delete-several": ["delete", "con", "extra"],
    "metadata-of-image": ["set-metadata", "--metadata", "text", "img"],
    "import": ["import", "--quiet", "{inputs}/base", "anew"],
    "register": ["register", "--quiet", "--file", "{inputs}/base", "base"],
    "register-image": ["register-image", "--name", "built:1", "--file", "{inputs}/config"],
    "create-writable": ["create-writable", "fresh", "base"],
    "create-writable-init": ["create-writable", "--init", "fresh", "base"],
    "delete-writable": ["delete-writable", "--yes", "idle"],
    "commit": ["commit", "--name", "anew", "work", "docker.io/library/app:latest"],
    "release": ["release", "--yes", "lost"],
    "release-image": ["release-image", "--yes", "docker.io/library/app:latest"],
    "docker-import": ["docker-import", "--quiet", "--notes", "--all", "{inputs}/data-root/docker"],
    "copy-image": ["copy-image", "--quiet", "containers-storage:[vfs@{inputs}/other+{inputs}/other-run]there", "here"],
    "copy-out": ["copy", "base:/a", "{store}/host/copied"],
    "copy-file-out": ["copy", "base:/a/b/g", "{store}/host/file"],
    "save": ["save", "--quiet", "--output", "{store}/host/saved", "app"],
    "save-directory": ["save", "--quiet", "--format", "oci-dir", "--output", "{store}/host/saved", "app"],
    "load-two": ["load", "--quiet", "--input", "{inputs}/two"],
    "sync-in": ["sync", "oci:{inputs}/layout", "containers-storage:"],
    "copy-to-layout": ["copy-image", "--quiet", "app", "oci:{store}/host/layout:tag"],
    "copy-to-directory": ["copy-image", "--quiet", "app", "dir:{store}/host/directory"],
    "copy-directory": ["copy", "{inputs}/folder", "plain:/"],
    "prune-policy": ["prune", "--yes", "--policy", "{inputs}/policy.toml"],
    "mount-image": ["mount", "--read-only", "docker.io/library/app:latest"],
    "image-directory": ["get-image-dir", "img"],
    "container-directory": ["get-container-dir", "con"],
    "dedup": ["dedup"],
    "shutdown": ["shutdown"],
}
"""Commands that are not in the sample of every test run."""


def litter(graph: str, driver: str) -> None:
    """Create what interrupted commands of any tool leave: bytes without records, stray links, temporary files."""
    folder = "dir" if driver == "vfs" else ""
    places = {
        f"cstore-staging/{driver}/temp-dir-123/file": b"staged",
        f"cstore-staging/{driver}/lock-123": b"",
        f"{driver}/{folder}/{_STRANGER}/diff/file": b"of an unfinished layer",
        f"{driver}-layers/{_STRANGER}.tar-split.gz": b"its headers",
        f"{driver}-layers/{_STRANGER}/item": b"its data",
        f"{driver}-images/{_STRANGER}/item": b"of an unfinished image",
        f"{driver}-images/image/.tmp-123": b"half an item",
        f"{driver}-layers/.tmp-123": b"half of the records",
    }
    for path, data in places.items():
        os.makedirs(os.path.dirname(os.path.join(graph, path)), exist_ok=True)
        with open(os.path.join(graph, path), "wb") as file:
            file.write(data)
    if driver == "overlay":
        os.symlink(f"../{_STRANGER}/diff", os.path.join(graph, "overlay/l", "A" * 26))


def damage(graph: str, driver: str) -> None:
    """Cause damage that repair heals from headers and records, and damage that it can only move into quarantine."""
    trees = os.path.join(graph, *(("vfs/dir", "{}") if driver == "vfs" else ("overlay", "{}/diff")))
    os.chmod(os.path.join(trees.format("base"), "a/f"), 0o640)
    os.unlink(os.path.join(trees.format("top"), "a/new"))
    with open(os.path.join(trees.format("spare"), "stranger"), "wb") as file:
        file.write(b"not of this layer")
    if driver == "overlay":
        with open(os.path.join(graph, "overlay/low/link"), encoding="ascii") as file:
            os.unlink(os.path.join(graph, "overlay/l", file.read()))
    records = os.path.join(graph, f"{driver}-images", "images.json")
    with open(records, encoding="utf-8") as file:
        rows = json.load(file)
    rows[0]["big-data-sizes"]["item"] = 12345
    with open(records, "w", encoding="utf-8") as file:
        json.dump(rows, file)


PREPARED: dict[str, tuple[list[str], Callable[[str, str], None] | None, list[str]]] = {
    GC: (["gc"], litter, []),
    REPAIR: (["repair", "--yes"], damage, []),
    UNDO: (["repair", "--yes", "--undo", "{case}"], damage, ["repair", "--yes"]),
    "unmount": (["unmount", "con"], None, ["mount", "con"]),
    "wipe-mounted": (["wipe"], None, ["mount", "con"]),
    "undo-keep": (["repair", "--yes", "--undo", "{case}"], None, ["rm", "--yes", "--keep", "5", "going"]),
}
"""Commands that need preparation: the command line, a function that changes the graph root, a command to run first."""
ALL = {**COMMANDS, **MORE, **{command: words for command, (words, _, _) in PREPARED.items()}}
ANEW = frozenset({"import", "commit"})
"""Commands that create another image at each run, because it contains the time. All are called "anew"."""


def prepare(store: Store, inputs: str) -> None:
    """Create the store's contents and the input files."""
    files = {"base": BASE, "change": CHANGE, "third": THIRD, "archive": as_tar(docker_archive())}
    one, other = docker_archive(), docker_archive([THIRD, BASE], ["example.org/other:2"])
    listed = [json.loads(each["manifest.json"]) for each in (one, other)]
    files["two"] = as_tar({**one, **other, "manifest.json": as_json([*listed[0], *listed[1]])})
    files["policy.toml"] = b'unused = true\nmax-size = "80K"\n'
    for name, data in {**files, "config": config_of([BASE, CHANGE])}.items():
        with open(os.path.join(inputs, name), "wb") as file:
            file.write(data)
    for layer, parent, name, file_name in (
        ("base", "", "base", "base"), ("spare", "base", "extra", "change"), ("low", "", "low", "base"),
        ("top", "low", "top", "change"), ("middle", "base", "middle", "third"), ("loose", "middle", "loose", "change"),
        ("under", "", "under", "third"), ("lost", "under", "lost", "change"),
    ):  # fmt: skip
        fd = os.open(os.path.join(inputs, file_name), os.O_RDONLY)
        try:
            store.layers.put(NewLayer(id=layer, parent=parent, names=(name,)), fd)
        finally:
            os.close(fd)
    store.layers.create(NewLayer(id="plain", names=("plain",)))
    store.layers.set_data("base", "item", b"old")
    for nameless in ("low", "top", "middle", "loose", "under", "lost"):
        store.remove_names(nameless, [nameless])
    store.images.create(NewImage(id="image", names=("img",), layer="base", data={"item": b"old"}))
    store.images.create(NewImage(id="doomed", names=("going",), layer="top", data={"item": b"old"}))
    store.containers.create(NewContainer(id="container", names=("con",), image="img", data={"item": b"old"}))
    images, layers = ImageStore(store), LayerStore(store)
    images.tag(images.create(config_of([BASE])), "app")
    layers.writable.create("idle", layers.chain_of("loose"), init=make_engine_files)
    work = layers.writable.create("work", layers.chain_of("base"), init=make_engine_files)
    work.apply_diff(make_tar(regular("e", b"fourth")))
    os.mkdir(os.path.join(os.path.dirname(store.config.graph_root), "host"))
    _prepare_elsewhere(inputs)


def _prepare_elsewhere(inputs: str) -> None:
    """Create sources of images: an OCI layout, a Docker data root and another store."""
    layout: Members = {}
    one, two = oci_image(layout, [THIRD, CHANGE]), oci_image(layout, [BASE, THIRD])
    as_directory(with_index(layout, named(one, "one:1"), named(two, "two:2")), f"{inputs}/layout")
    for path in ("folder/below", "folder/other"):
        os.makedirs(os.path.join(inputs, path))
        for name in ("file", "second"):
            with open(os.path.join(inputs, path, name), "wb") as file:
                file.write(name.encode())
    root = DataRoot(Path(inputs) / "data-root", "vfs")
    root.layer(CHANGE, root.layer(THIRD))
    root.image(sha(THIRD), names=("docker:1",))
    root.image(sha(THIRD), sha(CHANGE), names=("docker:2",))
    roots = Overrides(graph_root=f"{inputs}/other", run_root=f"{inputs}/other-run", driver="vfs")
    other = open_store(load_config(roots, environ={"HOME": inputs}))
    images, layers = ImageStore(other), LayerStore(other)
    layers.register(CHANGE, layers.register(THIRD).chain_id)
    made = images.create(config_of([THIRD, CHANGE]))
    other.set_names(made.removeprefix("sha256:"), ["there"])
