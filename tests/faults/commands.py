"""The commands of the laboratory, each on the same store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.store import NewImage, NewLayer
from tests.builders import directory, make_tar, regular, whiteout
from tests.unit.transfer.archives import as_tar, docker_archive

if TYPE_CHECKING:
    from cstore.store import Store

BASE = make_tar(directory("a"), regular("a/f", b"hi"), directory("a/b"), regular("a/b/g", b"ho" * 5000))
CHANGE = make_tar(directory("a"), whiteout("a/f"), regular("a/new", b"new"))

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
"""What is tried, by the words of the command line."""
MORE: dict[str, list[str]] = {
    "rm": ["rm", "--yes", "--force", "img"],
    "keep": ["rm", "--yes", "--keep", "5", "going"],
    "prune": ["prune", "--yes", "--unused"],
    "tag": ["tag", "img", "other"],
    "untag": ["untag", "img"],
    "delete-item": ["delete-image-data", "img", "item"],
    "delete-container-item": ["delete-container-data", "con", "item"],
}
"""What is not in the sample that every run of the tests takes."""
ALL = {**COMMANDS, **MORE}


def prepare(store: Store, inputs: str) -> None:
    """Make what the commands work on."""
    for name, data in (("base", BASE), ("change", CHANGE), ("archive", as_tar(docker_archive()))):
        with open(os.path.join(inputs, name), "wb") as file:
            file.write(data)
    for layer, parent, name in (
        ("base", "", "base"), ("spare", "base", "extra"), ("low", "", "low"), ("top", "low", "top")
    ):  # fmt: skip
        fd = os.open(os.path.join(inputs, "change" if parent else "base"), os.O_RDONLY)
        try:
            store.layers.put(NewLayer(id=layer, parent=parent, names=(name,)), fd)
        finally:
            os.close(fd)
    store.layers.create(NewLayer(id="plain", names=("plain",)))
    store.remove_names("low", ["low"])
    store.remove_names("top", ["top"])
    store.images.create(NewImage(id="image", names=("img",), layer="base", data={"item": b"old"}))
    store.images.create(NewImage(id="doomed", names=("going",), layer="top", data={"item": b"old"}))
    from cstore.store import NewContainer

    store.containers.create(NewContainer(id="container", names=("con",), image="img", data={"item": b"old"}))
