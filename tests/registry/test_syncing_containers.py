"""A host's containers in a registry and back: records, data items, what they have written; never one that changed."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from cstore import open_store
from cstore.check import check_store
from cstore.store import NewContainer
from cstore.transfer import CopyRequest, copy
from cstore.transfer.syncing import Synced, SyncRequest, sync
from tests import fault_proxy as faults
from tests.builders import digest as digest_of
from tests.mounts import detach_all
from tests.registries import MANIFEST, layer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cstore import Store
    from cstore.records.model import Container
    from cstore.transfer.registry_ends import RegistryAccess
    from tests.fault_proxy import FaultProxy
    from tests.registries import Registry

    Run = Callable[..., list[Synced]]

pytestmark = pytest.mark.usefixtures("needs_root")

KEPT = "localhost/cstore/containers"


@pytest.fixture
def synced(whole: RegistryAccess) -> Run:
    """Syncs with containers, unless it is told otherwise."""

    def run(source: str, destination: str, *, store: Store, **how: Any) -> list[Synced]:
        request = SyncRequest(**{"scoped": True, "containers": True, **how})
        return list(sync(source, destination, request, lambda _: None, store=store, access=whole))

    return run


@pytest.fixture(params=["vfs", "overlay"])
def host(request: pytest.FixtureRequest, registry: Registry, tmp_path: Path, whole: RegistryAccess) -> Iterator[Store]:
    """A store with an image that has lost its name, and a container on it that has written, changed and deleted."""
    store = open_store(graph_root=str(tmp_path / "g1"), run_root=str(tmp_path / "r1"), driver=request.param)
    name = f"{registry.host}/app:1"
    registry.push("app:1", [layer_of({"etc/old": b"old", "etc/gone": b"gone", "keep": b"k"})])
    copy(f"docker://{name}", name, CopyRequest(), store=store, access=whole)
    made = store.containers.create(
        NewContainer(image=name, names=("web",), metadata='{"a":1}', data={"spec": b"{}", "odd key é": b"\0\1"})
    )
    with store.mounting(made.id) as tree:
        for path, text in (("etc/old", "new"), ("var", "")):
            if text:
                with open(os.path.join(tree, path), "w") as file:
                    file.write(text)
            else:
                os.mkdir(os.path.join(tree, path))
        os.unlink(os.path.join(tree, "etc/gone"))
        os.mkfifo(os.path.join(tree, "var/pipe"), 0o640)
    own = store.containers.directory(made.id)
    os.makedirs(os.path.join(own, "artifacts"), 0o750)
    with open(os.path.join(own, "artifacts/state.json"), "w") as file:
        file.write('{"step": 3}')
    os.chmod(file.name, 0o640)
    os.chown(file.name, 7, 8)
    os.symlink("artifacts/state.json", os.path.join(own, "state"))
    yield store
    detach_all(str(tmp_path))


def fresh(like: Store, tmp_path: Path, name: str = "2") -> Store:
    """Another store of the same driver."""
    driver = like.driver_name
    return open_store(graph_root=str(tmp_path / f"g{name}"), run_root=str(tmp_path / f"r{name}"), driver=driver)


def only(store: Store) -> Container:
    """The store's one container."""
    (container,) = store.containers.list()
    return container


def _tree(top: str) -> dict[str, object]:
    """What is in a directory: types and modes, owners, whole seconds, contents."""
    found: dict[str, object] = {}
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            kept = os.readlink(path) if os.path.islink(path) else ""
            if name in files and not kept:
                with open(path) as file:
                    kept = file.read()
            about = (status.st_mode, status.st_uid, status.st_gid, int(status.st_mtime), kept)
            found[os.path.relpath(path, top)] = about
    assert len(found) == 3
    return found


def outcomes(done: list[Synced]) -> set[str]:
    """What became of everything."""
    assert not [one.error for one in done if one.error]
    return {one.outcome for one in done}


def test_containers_go_to_a_registry_and_come_back(
    registry: Registry, proxy: FaultProxy, host: Store, tmp_path: Path, synced: Run
) -> None:
    """The same record, data items and contents, on the image whose name was lost; the second time nothing moves."""
    was = only(host)
    host.set_names(was.image, [])
    back = f"docker://{proxy.host}/kept-{host.driver_name}"

    assert outcomes(synced("containers-storage:", back, store=host)) == {"copied"}
    proxy.forget()
    assert outcomes(synced("containers-storage:", back, store=host)) == {"equal"}
    assert not proxy.requests("(POST|PUT|PATCH) |GET .*/blobs/")
    raw = registry.request(
        "GET", f"/v2/kept-{host.driver_name}/{KEPT}/manifests/{was.id}", headers={"Accept": MANIFEST}
    ).body
    assert json.loads(raw)["artifactType"] == "application/vnd.cstore.container.v1"

    other = fresh(host, tmp_path)
    assert outcomes(synced(f"{back}/", "containers-storage:", store=other)) == {"copied"}
    assert only(other) == was
    assert {key: other.containers.get_data(was.id, key) for key in was.data_names} == {
        "spec": b"{}",
        "odd key é": b"\0\1",
    }
    assert other.layers.changes(was.layer) == host.layers.changes(was.layer)
    assert _tree(other.containers.directory(was.id)) == _tree(host.containers.directory(was.id))
    with other.mounting(was.id) as tree:
        with open(os.path.join(tree, "etc/old")) as file:
            assert file.read() == "new"
        assert sorted(os.listdir(tree)) == ["etc", "keep", "var"]
        assert os.listdir(os.path.join(tree, "etc")) == ["old"]
    assert not check_store(other).findings
    assert outcomes(synced(f"{back}/", "containers-storage:", store=other)) == {"equal"}


def test_a_pattern_takes_containers_with_their_images(host: Store, tmp_path: Path, synced: Run) -> None:
    """Those whose names are like it, whatever their images are called; each image once."""
    was = only(host)
    host.containers.create(NewContainer(image=was.image, names=("web-2",)))
    host.containers.create(NewContainer(names=("other",)))
    host.containers.create(NewContainer(names=("website",), id="odd id"))
    other = fresh(host, tmp_path)
    there = f"containers-storage:[{other.driver_name}@{other.config.graph_root}+{other.config.run_root}]"

    done = synced("containers-storage:web*", there, store=host)

    assert [one.outcome for one in done] == ["copied"] * 4
    assert outcomes(synced("containers-storage:web*", there, store=host)) == {"equal"}
    other = open_store(other.config)
    assert {name for each in other.containers.list() for name in each.names} == {"web", "web-2", "website"}
    assert [each.names for each in other.images.list()] == [host.images.get(was.image).names]


def test_a_list_may_name_containers(host: Store, tmp_path: Path, synced: Run) -> None:
    """From one store to another; only what is listed comes."""
    other, was = fresh(host, tmp_path), only(host)
    (image,) = host.images.get(was.image).names
    names = (f"{KEPT}:{was.id}", image)

    there = f"containers-storage:[{other.driver_name}@{other.config.graph_root}+{other.config.run_root}]"
    assert outcomes(synced("containers-storage:", there, store=host, listed=names)) == {"copied"}

    assert only(open_store(other.config)) == was


def test_a_container_that_has_changed_is_not_replaced(registry: Registry, host: Store, synced: Run) -> None:
    """It stays, the error says so, and the next backup sends only what has changed."""
    back = f"docker://{registry.host}/changed-{host.driver_name}"
    synced("containers-storage:", back, store=host)
    host.containers.set_data(only(host).id, "spec", b"changed")

    (failed,) = [one for one in synced(f"{back}/", "containers-storage:", store=host) if one.outcome != "equal"]
    assert failed.outcome == "failed"
    assert only(host).id in str(failed.error)
    assert host.containers.get_data("web", "spec") == b"changed"

    (again,) = [one for one in synced("containers-storage:", back, store=host) if one.outcome == "copied"]
    assert again.size < 4000


def test_a_file_that_an_archive_cannot_hold_is_not_lost_in_silence(
    registry: Registry, host: Store, synced: Run
) -> None:
    """What has a whiteout's name in the container's own directory would not come back: the backup fails and says so."""
    own = os.path.join(host.containers.directory(only(host).id), "artifacts/.wh.state")
    with open(own, "w") as file:
        file.write("kept")

    done = synced("containers-storage:", f"docker://{registry.host}/white-{host.driver_name}", store=host)

    (failed,) = [one for one in done if one.outcome != "copied"]
    assert f"{own} would be taken for a whiteout" in str(failed.error)


def test_what_has_been_changed_on_the_way_makes_no_container(
    registry: Registry, proxy: FaultProxy, host: Store, tmp_path: Path, synced: Run
) -> None:
    """A byte of what it has written, of its directory or of a data item: an error, and nothing of the container."""
    back = f"docker://{proxy.host}/wrong-{host.driver_name}"
    synced("containers-storage:", back, store=host)
    where = f"/v2/wrong-{host.driver_name}/{KEPT}/manifests/{only(host).id}"
    parts = json.loads(registry.request("GET", where, headers={"Accept": MANIFEST}).body)["layers"]
    other = fresh(host, tmp_path)
    for part in (parts[0], parts[-2], parts[-1]):
        proxy.forget()
        proxy.fail(f"GET .*/blobs/{part['digest']}", faults.flipped(part["size"] - 1), times=9)

        done = synced(f"{back}/", "containers-storage:", store=other)

        assert [one.outcome for one in done if "container" in one.source] == ["failed"]
        assert not other.containers.list()
        assert not os.path.lexists(other.context.layout.container_data(only(host).id))
        assert {layer.id for layer in other.layers.list()} <= {layer.id for layer in host.layers.list()}
        assert len(other.layers.list()) == 1
    assert not check_store(other).findings


def test_containers_move_only_on_request_and_are_not_deleted_otherwise(
    registry: Registry, host: Store, tmp_path: Path, synced: Run
) -> None:
    """Without it neither sent nor restored nor deleted; with it, one that is gone goes."""
    back, other = f"docker://{registry.host}/asked-{host.driver_name}", fresh(host, tmp_path)
    tags = f"/v2/asked-{host.driver_name}/{KEPT}/tags/list"
    synced("containers-storage:", back, store=host, containers=False)
    assert registry.request("GET", tags).status == 404

    synced("containers-storage:", back, store=host)
    synced(f"{back}/", "containers-storage:", store=other, containers=False)
    assert not other.containers.list()
    host.containers.delete("web")
    synced("containers-storage:", back, store=host, containers=False, delete=True)
    assert len(json.loads(registry.request("GET", tags).body)["tags"]) == 1
    done = synced("containers-storage:", back, store=host, delete=True)
    assert [one.outcome for one in done] == ["equal", "deleted"]


def _record(**changed: Any) -> bytes:
    record = {"id": "a" * 64, "layer": "b" * 64, "created": "2024-01-02T03:04:05Z"}
    return json.dumps({**record, **changed}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        _record(id="../../etc"),
        _record(id=7),
        _record(layer="../x"),
        _record(created="yesterday"),
        _record(created="2024-13-02T03:04:05Z"),
        _record(names="web"),
        _record(names=[1]),
        _record(flags={"x": {"y": 1}}),
        _record(flags={"x": 1e300}),
        _record(flags=[1]),
        _record(uidmap=[{"container_id": -1, "host_id": 0, "size": 1}]),
        _record(uidmap=7),
        _record(image="nosuch"),
        _record(flags={"MountLabel": "only one"}),
        _record(id="a" * 64, metadata=["x"]),
        b'{"id": 1e999}',
    ],
)
def test_a_record_that_lies_makes_no_container(registry: Registry, tmp_path: Path, synced: Run, raw: bytes) -> None:
    """One sentence, and the store has nothing."""
    repository = f"lies/{KEPT}"
    config = {"mediaType": "application/vnd.cstore.container.v1+json", "digest": digest_of(raw), "size": len(raw)}
    registry.push_blob(repository, raw)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []}
    registry.push_manifest(repository, "x", json.dumps(manifest).encode())
    store = open_store(graph_root=str(tmp_path / "g"), run_root=str(tmp_path / "r"), driver="vfs")

    (done,) = synced(f"docker://{registry.host}/lies/", "containers-storage:", store=store)

    assert done.outcome == "failed"
    assert "\n" not in str(done.error)
    assert not store.containers.list()
    assert not store.layers.list()


def test_what_is_gone_has_the_same_time_on_every_run(host: Store) -> None:
    """Whiteouts have none of their own: a backup of an unchanged container sends nothing."""
    layer = only(host).layer
    tars = []
    for gone_at in (0, 5, 0):
        sink = io.BytesIO()
        host.layers.write_changes(layer, sink, gone_at=gone_at)
        tars.append(sink.getvalue())
    assert tars[0] == tars[2] != tars[1]
    with tarfile.open(fileobj=io.BytesIO(tars[1])) as archive:
        times = {member.mtime for member in archive if ".wh." in member.name}
    assert times == {5}
