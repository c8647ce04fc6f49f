"""What an item holds, read from its layers' directories, is what a mount of it shows, on every driver."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cstore.config import Overrides, load_config
from cstore.contents import Comparison, Criteria, find_everywhere, open_item, pieces
from cstore.errors import ArchiveError
from cstore.store import NewContainer, NewImage, NewLayer, open_store
from tests.builders import Fact, differences, make_tar, tree_manifest
from tests.mounts import detach_all
from tests.property.test_one_tree import LAYERS, NAMES, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.contents import Contents
    from cstore.store import Store

pytestmark = pytest.mark.usefixtures("needs_root")

ACTS = st.lists(st.tuples(st.sampled_from(["write", "remove", "mkdir", "rename", "again", "chmod"]), NAMES), max_size=6)


@pytest.fixture(params=["overlay", "vfs"])
def fresh(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A directory for stores, and the driver."""
    with tempfile.TemporaryDirectory() as base:
        yield base, request.param
        detach_all(base)


def act(root: str, verb: str, name: str) -> None:
    """Change something in a mounted container, as far as that can be done."""
    path = os.path.join(root, name)
    with suppress(OSError):
        if verb == "write":
            with open(path, "wb") as file:
                file.write(name.encode())
        elif verb == "mkdir":
            os.mkdir(path)
        elif verb == "rename":
            os.rename(path, os.path.join(root, "renamed"))
        elif verb == "chmod":
            os.chmod(path, 0o705)
        elif os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
            if verb == "again":  # an opaque directory
                os.mkdir(path)
        else:
            os.unlink(path)


def facts_of(contents: Contents) -> dict[bytes, Fact]:
    """The same facts as of a real tree, but for names that one file has in common."""
    found = {}
    for file in (contents.get(b"/"), *contents.walk()):
        content = ""
        if file.format == stat.S_IFREG:
            content = hashlib.sha256(b"".join(pieces(contents, file))).hexdigest()
        elif file.format == stat.S_IFLNK:
            content = repr(contents.target(file))
        attributes = contents.attributes(file).items()
        found[file.path or b"."] = Fact(
            kind=stat.filemode(file.format)[0],
            mode=file.mode,
            owner=(file.uid, file.gid),
            mtime=file.mtime if file.path else None,
            size=file.size if file.format == stat.S_IFREG else None,
            content=content,
            device=file.device,
            xattrs=tuple(sorted((os.fsdecode(name), value) for name, value in attributes)),
            links=(),
        )
    assert [b".", *contents.paths()] == [*found]
    assert contents.problems == []
    return found


def as_mounted(root: str) -> dict[bytes, Fact]:
    """The facts of a mounted tree."""
    facts = tree_manifest(root)
    return {path: Fact(**{**vars(fact), "links": ()}) for path, fact in facts.items()}


def made(store: Store, layers: list[list[Row]]) -> str:
    """Import a chain, as far as its archives can be; return the topmost layer."""
    top = ""
    for number, rows in enumerate(layers):
        with suppress(ArchiveError):
            top = store.layers.put(NewLayer(parent=top, id=f"layer{number}"), make_tar(*rows[0])).id
    return top


def compared(store: Store) -> dict[bytes, str]:
    """How the container differs from its image."""
    with open_item(store, store.resolve("image")) as old, open_item(store, store.resolve("box")) as new:
        return {one.path: one.change for one in Comparison(old, new, times=True).run() if one.path}


def expected(old: dict[bytes, Fact], new: dict[bytes, Fact]) -> dict[bytes, str]:
    """The same of real trees."""
    old, new = ({path: fact for path, fact in facts.items() if path != b"."} for facts in (old, new))
    changes = {path: "changed" if path in new else "removed" for path, fact in old.items() if new.get(path) != fact}
    return dict.fromkeys(new.keys() - old.keys(), "added") | changes


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LAYERS, ACTS)
def test_contents_are_what_a_mount_shows(
    fresh: tuple[str, str], layers: list[list[Row]], acts: list[tuple[str, str]]
) -> None:
    """Of an image of any chain of layers, and of a container above it that was written to."""
    base, driver = fresh
    place = tempfile.mkdtemp(dir=base)
    overrides = Overrides(graph_root=f"{place}/graph", run_root=f"{place}/run", driver=driver, sync=False)
    store = open_store(load_config(overrides, environ={"HOME": place}))
    top = made(store, layers)
    store.images.create(NewImage(layer=top, id="image"))
    store.containers.create(NewContainer(image="image", id="box"))
    root = store.mount("box")
    for verb, name in acts:
        act(root, verb, name)
    try:
        with open_item(store, store.resolve("box")) as contents:
            assert differences(facts_of(contents), as_mounted(root)) == []
        if top:
            tree = store.mount(top) if driver == "vfs" else store.images.mount("image")
            with open_item(store, store.resolve("image")) as contents:
                seen = facts_of(contents)
                assert differences(seen, as_mounted(tree)) == []
            everywhere = [file.path or b"." for _, _, file in find_everywhere(store, Criteria(), [])]
            assert sorted(everywhere) == sorted(seen)
            assert compared(store) == expected(as_mounted(tree), as_mounted(root))
    finally:
        detach_all(place)
