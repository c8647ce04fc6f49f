"""An ordinary user pulls, copies and pushes: in the user's own namespace, with owners as the archive says."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore import open_store
from cstore.registry import Access
from cstore.store import NewContainer
from cstore.transfer import CopyRequest, RegistryAccess, SyncRequest, copy, sync
from tests.builders import make_tar, regular
from tests.mounts import detach_all
from tests.users import ordinary_user

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.registries import Pushed, Registry
    from tests.users import User


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with sub-IDs."""
    with ordinary_user(ranges=True) as found:
        yield found
        shutil.rmtree(f"/tmp/storage-run-{found.uid}", ignore_errors=True)


def test_an_ordinary_user_pulls_and_pushes(user: User, registry: Registry, image: Pushed) -> None:
    """Into the store at home, and back to where the image came from, with the same digest."""
    identifier = user.cstore("pull", "--tls-verify=false", f"{registry.host}/app:1").ok().stdout.strip()
    assert os.listdir(os.path.join(user.graph, "cstore-partial")) == []
    assert user.cstore("check").ok().stdout == ""
    pushed = user.cstore("push", "--tls-verify=false", f"{registry.host}/app:1", f"docker://{registry.host}/user:1")
    assert pushed.ok().stdout.strip() == image.digest
    assert user.cstore("copy-image", f"{registry.host}/app:1", f"oci:{user.home}/layout:v").ok().stdout.strip() == (
        identifier
    )


def test_an_ordinary_user_restores_a_backup_of_root(user: User, registry: Registry, tmp_path: Path) -> None:
    """With containers: what they have written, owners, their own directories."""
    name, access = f"{registry.host}/owned:1", RegistryAccess(Access(tls_verify=False))
    registry.push("owned:1", [make_tar(regular("theirs", b"x", uid=5, gid=6), regular("ours", b"y"))])
    root = open_store(graph_root=str(tmp_path / "g"), run_root=str(tmp_path / "r"), driver="overlay")
    copy(f"docker://{name}", name, CopyRequest(), store=root, access=access)
    made = root.containers.create(NewContainer(image=name, names=("kept",)))
    with root.mounting(made.id) as tree:
        for file, owner in (("new", 0), ("theirs", 7)):
            with open(os.path.join(tree, file), "w") as opened:
                opened.write(file)
            os.chown(opened.name, owner, owner)
    root.containers.write_file(made.id, "state/it.json", b"{}")
    os.chown(os.path.join(root.containers.directory(made.id), "state/it.json"), 9, 9)
    detach_all(str(tmp_path))
    where, request = f"docker://{registry.host}/of-root", SyncRequest(scoped=True, containers=True)
    done = sync("containers-storage:", where, request, lambda _: None, store=root, access=access)
    assert [one.outcome for one in done] == ["copied"] * 2

    flags = ("--tls-verify=false", "--scoped", "--containers")
    user.cstore("sync", *flags, f"{where}/", "containers-storage:").ok()

    assert user.cstore("check").ok().stdout == ""
    own = f"{user.graph}/overlay-containers/{made.id}/userdata/state/it.json"
    script = f'tree=$(cstore mount kept); cat "$tree/new"; echo; stat -c %u:%g "$tree/theirs" "$tree/ours" {own}'
    assert user.unshared(script).ok().stdout.split() == ["new", "7:7", "0:0", "9:9"]
