"""Images out of a registry into a store and back: every byte right and moved once, whatever happens on the way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from cstore import errors, open_store
from cstore.registry.errors import PolicyRefuses, RegistryError
from cstore.transfer import BlobPresent, BlobProgress, CopyRequest, Planned, copy
from tests import fault_proxy as faults
from tests.builders import digest as digest_of
from tests.registries import image_of, layer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore import Store
    from cstore.transfer import CopiedImage
    from cstore.transfer.registry_ends import RegistryAccess
    from tests.fault_proxy import FaultProxy
    from tests.registries import Pushed, Registry

    Pull = Callable[..., CopiedImage]

pytestmark = pytest.mark.usefixtures("needs_root")
BLOBS = "GET .*/blobs/"


@pytest.fixture
def pull(store: Store, whole: RegistryAccess, proxy: FaultProxy) -> Pull:
    """Pulls an image through the proxy."""

    def run(name: str = "app:1", tell: Any = None, **how: Any) -> CopiedImage:
        return copy(f"docker://{proxy.host}/{name}", "pulled", CopyRequest(**how), tell, store=store, access=whole)

    return run


def kept(store: Store) -> dict[str, int]:
    """What is kept of blobs that are not whole."""
    return {blob.digest: blob.size for blob in store.partial_blobs()}


def nothing_in(store: Store) -> bool:
    """Whether a store has neither layers nor images."""
    return not store.layers.list() and not store.images.list()


def zstd_frame(data: bytes, window_log: int) -> bytes:
    """A zstd frame of plain blocks that claims a window of 2**window_log bytes."""
    pieces = [data[at : at + 100_000] for at in range(0, len(data), 100_000)]
    blocks = [(len(piece) << 3 | (piece is pieces[-1])).to_bytes(3, "little") + piece for piece in pieces]
    return b"\x28\xb5\x2f\xfd\0" + bytes([window_log - 10 << 3]) + b"".join(blocks)


def size_of(image: Pushed) -> int:
    """Bytes of its layers and its config."""
    return sum(map(len, image.blobs.values()))


def test_what_comes_is_the_image_and_comes_once(pull: Pull, store: Store, image: Pushed, proxy: FaultProxy) -> None:
    """Its ID is the digest of its config, its layers are right, and of what is there nothing is fetched again."""
    events: list[object] = []
    got = pull(tell=events.append)

    config = json.loads(image.raw)["config"]["digest"]
    assert (got.id, got.digest) == (config.partition(":")[2], image.digest)
    assert proxy.given == size_of(image)
    assert [layer.diff_digest for layer in store.layers.list()] == image.layers
    assert store.check().clean
    assert kept(store) == {}
    assert {event.digest for event in events if isinstance(event, BlobProgress)} == set(image.layers)

    proxy.forget()
    again = pull(tell=events.append)
    assert (again.id, again.copied) == (got.id, ())
    assert proxy.given == len(image.blobs[config])
    assert sum(isinstance(event, BlobPresent) for event in events) == 2


@pytest.mark.parametrize("after", [1, 65_536, 500_000])
def test_a_pull_that_was_given_up_goes_on_where_it_was(
    pull: Pull, store: Store, image: Pushed, proxy: FaultProxy, after: int
) -> None:
    """The bytes that come then are the rest of that layer, and nothing else of it."""
    big = image.layers[1]
    proxy.fail(f"{BLOBS}{big}", faults.cut(after), *[faults.status(503)] * 9)
    with pytest.raises(RegistryError):
        pull()
    assert nothing_in(store)
    assert kept(store)[big] == after

    proxy.forget()
    plans: list[Planned] = []
    assert pull(tell=lambda event: plans.append(event) if isinstance(event, Planned) else None).id
    asked = {one.path.rpartition("/")[2]: one.headers.get("range") for one in proxy.requests(BLOBS)}
    assert asked[big] == f"bytes={after}-"
    assert {digest: before for digest, _, before in plans[0].fetch}[big] == after
    assert store.check().clean
    assert kept(store) == {}


def test_what_was_kept_is_not_believed(pull: Pull, store: Store, image: Pushed) -> None:
    """Wrong bytes that an earlier run is said to have left are found, and the image comes all the same."""
    pull(dry_run=True)
    folder = os.path.join(store.config.graph_root, "cstore-partial")
    os.makedirs(folder)
    for digest, size in zip(image.layers, (10, 1000), strict=True):
        with open(os.path.join(folder, digest.replace(":", "-")), "wb") as file:
            file.write(b"x" * size)

    assert pull().digest == image.digest
    assert kept(store) == {}
    assert store.check().clean


@pytest.mark.parametrize("at", [0, 1])
def test_wrong_bytes_leave_nothing(pull: Pull, store: Store, image: Pushed, proxy: FaultProxy, at: int) -> None:
    """Neither a layer, nor an image, nor the bytes."""
    proxy.fail(f"{BLOBS}{image.layers[at]}", faults.flipped(3), times=9)

    with pytest.raises(errors.CstoreError, match="digest"):
        pull()

    assert nothing_in(store)
    assert image.layers[at] not in kept(store)


def test_what_cannot_fit_is_refused_before_anything_comes(
    pull: Pull, store: Store, registry: Registry, proxy: FaultProxy
) -> None:
    """A layer of a petabyte is not begun."""
    raw, blobs = image_of([layer_of({"a": b"b"})])
    for data in blobs.values():
        registry.push_blob("huge", data)
    told = json.loads(raw)
    told["layers"][0]["size"] = 1 << 50
    registry.push_manifest("huge", "1", json.dumps(told).encode())

    with pytest.raises(errors.DoesNotFit, match="needs 1125899906842624 bytes"):
        pull("huge:1")

    assert not proxy.requests(f"{BLOBS}{told['layers'][0]['digest']}")
    assert not os.path.exists(store.config.graph_root)


def test_a_plan_changes_nothing(pull: Pull, store: Store, image: Pushed, proxy: FaultProxy) -> None:
    """It tells what would be fetched, and fetches the config alone."""
    plans: list[object] = []

    got = pull(tell=plans.append, dry_run=True)

    assert isinstance(plans[0], Planned)
    assert [digest for digest, _, _ in plans[0].fetch] == image.layers
    assert plans[0].size == got.size == sum(len(image.blobs[digest]) for digest in image.layers)
    assert proxy.given == size_of(image) - got.size
    assert not os.path.exists(store.config.graph_root)


def test_a_policy_that_refuses_is_obeyed(
    image: Pushed, store: Store, whole: RegistryAccess, proxy: FaultProxy, tmp_path: Path
) -> None:
    """Nothing is asked of the registry."""
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"reject"}]}')

    with pytest.raises(PolicyRefuses):
        copy(f"docker://{proxy.host}/app:1", "x", store=store, access=whole.with_(policy=str(policy)))

    assert proxy.seen == []
    assert image


# ── processes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def pulling(store: Store, name: str, *words: str) -> subprocess.Popen[bytes]:
    """Start the program."""
    roots = ["--graph", store.config.graph_root, "--run", store.config.run_root, "--storage-driver", "vfs"]
    return subprocess.Popen(
        [sys.executable, "-m", "cstore", *roots, "--no-sync", "pull", "--tls-verify=false", *words, name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_pull_that_is_killed_goes_on_where_it_was(
    store: Store, image: Pushed, proxy: FaultProxy, how: signal.Signals
) -> None:
    """Nothing of it is in the store, and what has come is not fetched again."""
    big = image.layers[1]
    proxy.rate = 1_000_000
    running = pulling(store, f"{proxy.host}/app:1")
    deadline = time.monotonic() + 20
    while kept(store).get(big, 0) < 100_000 and time.monotonic() < deadline:
        time.sleep(0.02)
    running.send_signal(how)
    _, said = running.communicate(timeout=20)
    assert running.returncode
    assert b"Traceback" not in said
    before = kept(store)[big]
    assert before >= 100_000

    proxy.forget()
    proxy.rate = 0
    done = pulling(store, f"{proxy.host}/app:1")
    out, said = done.communicate(timeout=20)
    assert done.returncode == 0, said
    assert re.fullmatch(rb"[0-9a-f]{64}\n", out)
    assert f"copied {big} ".encode() in said
    asked = {one.path.rpartition("/")[2]: one.headers.get("range") for one in proxy.requests(BLOBS)}
    assert int(str(asked[big]).removeprefix("bytes=").rstrip("-")) >= before
    assert open_store(store.config).check().clean


def test_many_who_pull_one_image_fetch_it_once(store: Store, image: Pushed, proxy: FaultProxy) -> None:
    """One fetches each layer, the others find it there."""
    proxy.rate = 2_000_000
    every = [pulling(store, f"{proxy.host}/app:1") for _ in range(2)]
    for one in every:
        _, said = one.communicate(timeout=30)
        assert one.returncode == 0, said

    asked = [one.path.rpartition("/")[2] for one in proxy.requests(BLOBS)]
    assert sorted(digest for digest in asked if digest in image.layers) == sorted(image.layers)
    assert open_store(store.config).check().clean


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_registry_has_is_not_sent(
    pull: Pull, store: Store, image: Pushed, proxy: FaultProxy, whole: RegistryAccess
) -> None:
    """An image whose original blobs are there keeps its digest; elsewhere it is sent, and then not again."""
    pull()
    proxy.forget()
    same = copy("pulled", f"docker://{proxy.host}/app:2", store=store, access=whole)
    assert (same.digest, same.copied, proxy.taken) == (image.digest, (), 0)

    proxy.forget()
    new = copy("pulled", f"docker://{proxy.host}/elsewhere:1", store=store, access=whole)
    assert len(new.copied) == 3
    assert proxy.taken > 0
    asked = [one.line for one in proxy.requests("HEAD .*/blobs/|POST .*mount=")]
    assert len(asked) == len(set(asked))
    proxy.forget()
    again = copy("pulled", f"docker://{proxy.host}/elsewhere:2", store=store, access=whole)
    assert (again.digest, again.copied, proxy.taken) == (new.digest, (), 0)


def test_a_push_that_is_cut_goes_on(
    store: Store, pull: Pull, image: Pushed, proxy: FaultProxy, whole: RegistryAccess
) -> None:
    """From where the registry says that it is."""
    pull()
    proxy.fail("PATCH .*", faults.swallowed(1000))

    got = copy("pulled", f"docker://{proxy.host}/cut:1", store=store, access=whole)

    back = copy(f"docker://{proxy.host}/cut:1", "back", store=store, access=whole)
    assert back.id == got.id
    assert image


def test_between_two_repositories_blobs_are_mounted(image: Pushed, proxy: FaultProxy, whole: RegistryAccess) -> None:
    """No byte of a layer goes through this machine, and the digest stays."""
    got = copy(f"docker://{proxy.host}/app:1", f"docker://{proxy.host}/beside/app:1", access=whole)

    assert got.digest == image.digest
    assert proxy.taken == 0
    assert digest_of(image.raw) == got.digest


@pytest.mark.parametrize("code", [403, 404, 500])
def test_a_registry_that_does_not_mount_gets_the_blobs(
    code: int, image: Pushed, proxy: FaultProxy, whole: RegistryAccess
) -> None:
    """Whatever it says of the request; what it does not have is sent."""
    proxy.fail("POST .*mount=", faults.status(code), times=99)

    got = copy(f"docker://{proxy.host}/app:1", f"docker://{proxy.host}/unmounted/{code}:1", access=whole)

    assert got.digest == image.digest
    assert proxy.taken == sum(map(len, image.blobs.values()))


def test_no_bad_answer_leaves_anything(pull: Pull, store: Store, image: Pushed, proxy: FaultProxy) -> None:
    """Whatever a registry says in the place of a manifest or a layer: an error in one line, and an empty store."""
    bad = (
        faults.status(403),
        faults.status(204),
        faults.longer(10),
        faults.in_chunks(b"more"),
        faults.endless,
        faults.vast(32 << 20),
        faults.with_headers(content_encoding="gzip"),
    )
    for what in ("GET .*/manifests/", BLOBS):
        for fault in bad:
            proxy.forget()
            proxy.fail(what, fault, times=9)
            with pytest.raises(errors.CstoreError) as told:
                pull()
            assert "\n" not in str(told.value)
            assert nothing_in(store)
    proxy.forget()
    assert pull().digest == image.digest


def test_zstd_window_is_bounded(pull: Pull, store: Store, registry: Registry, proxy: FaultProxy) -> None:
    """A registry's layer says how much memory its decoder takes: 128 MiB at most, or what --memory allows."""
    layer = layer_of({"f": b"x" * 200_000})
    for name, window_log in (("usual", 27), ("large", 28)):
        raw, blobs = image_of([layer])
        packed, document = zstd_frame(layer, window_log), json.loads(raw)
        document["layers"] = [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": digest_of(packed), "size": len(packed)
        }]  # fmt: skip
        for data in (*blobs.values(), packed):
            registry.push_blob(f"window/{name}", data)
        registry.push_manifest(f"window/{name}", "1", json.dumps(document).encode())

    with pytest.raises(errors.ImageArchiveError, match="window needs more memory than the 128 MiB") as caught:
        pull("window/large:1")
    assert "--memory" in caught.value.hint
    assert nothing_in(store)
    assert pull("window/usual:1").id == pull("window/large:1", memory=1 << 28).id
    assert store.check().clean
