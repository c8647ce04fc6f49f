"""Answers that no registry gives: whatever comes over the wire, an error in one sentence, soon, and an empty store."""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from cstore.errors import CstoreError, DoesNotFit, NoImage
from cstore.transfer import copy, tags_of
from cstore.transfer.registry_ends import RegistrySource
from tests import fault_proxy as faults
from tests.builders import digest as digest_of
from tests.registries import CONFIG, LAYER, MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cstore import Store
    from cstore.transfer.registry_ends import RegistryAccess
    from tests.fault_proxy import FaultProxy
    from tests.registries import Registry

pytestmark = pytest.mark.usefixtures("needs_root")
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: " + MANIFEST.encode() + b"\r\n"
_HUGE = 10**400


def _document(**changed: object) -> bytes:
    empty = digest_of(b"")
    config = {"mediaType": CONFIG, "digest": empty, "size": 0}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], **changed}).encode()


def _whole(body: bytes) -> bytes:
    return _HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _redirect(to: bytes) -> bytes:
    return b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\nContent-Length: 0\r\n\r\n"


def _refused(challenge: bytes) -> bytes:
    return b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: " + challenge + b"\r\nContent-Length: 0\r\n\r\n"


ANSWERS: dict[str, bytes] = {
    "nothing": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "no status": b"HTTP/1.1 \r\n\r\n",
    "a status beyond all": b"HTTP/1.1 99999 Odd\r\nContent-Length: 0\r\n\r\n",
    "a status of no kind": b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
    "an old protocol": b"HTTP/0.9 200 OK\r\n\r\n{}",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\n{}",
    "a header without an end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 17),
    "headers without number": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: x\r\n" % number for number in range(5000)),
    "a status line without an end": b"HTTP/1.1 200 " + b"O" * (1 << 17),
    "a negative length": _HEAD + b"Content-Length: -5\r\n\r\n{}",
    "a length in words": _HEAD + b"Content-Length: many\r\n\r\n{}",
    "two lengths": _HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
    "a list of lengths": _HEAD + b"Content-Length: 2, 3\r\n\r\n{}}",
    "a huge length": _HEAD + b"Content-Length: " + b"9" * 4000 + b"\r\n\r\n{}",
    "a length and chunks": _HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "a negative chunk": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n",
    "a chunk in words": _HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "a huge chunk": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 300 + b"\r\n{}\r\n",
    "a chunk size without an end": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * (1 << 18),
    "an odd transfer": _HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "compressed": _HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "no redirect": _redirect(b""),
    "a redirect to nowhere": _redirect(b"http://[::1"),
    "a redirect to an odd port": _redirect(b"http://localhost:99999/"),
    "a redirect to a file": _redirect(b"file:///etc/passwd"),
    "a redirect to a cloud": _redirect(b"http://169.254.169.254/latest/meta-data"),
    "a redirect in a circle": _redirect(b"/v2/"),
    "a redirect in bytes": _redirect(b"/\xff\xfe"),
    "an odd challenge": _refused(b'Bearer realm="http://[::1"'),
    "a challenge of quotes": _refused(b'Bearer realm="' + b'\\"' * 20_000),
    "a challenge of schemes": _refused(b"a, " * 20_000),
    "a challenge to itself": _refused(b'Bearer realm="/token"'),
    "a deep document": _whole(b"[" * 100_000),
    "a long number": _whole(b'{"schemaVersion":' + b"2" * 1_000_000 + b"}"),
    "an infinite number": _whole(_document(schemaVersion=float("inf"))),
    "no text": _whole(b"\xff\xfe{\0}\0"),
    "a huge config": _whole(_document(config={"mediaType": CONFIG, "digest": digest_of(b""), "size": _HUGE})),
    "a huge layer": _whole(_document(layers=[{"mediaType": LAYER, "digest": digest_of(b"x"), "size": _HUGE}])),
    "a digest that climbs": _whole(_document(config={"mediaType": CONFIG, "digest": "sha256:../../x", "size": 2})),
    "a digest of no kind": _whole(_document(config={"mediaType": CONFIG, "digest": "md5:" + "0" * 32, "size": 2})),
}


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A registry that gives one answer to whatever it is asked; yields its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client, suppress(OSError):
                        asked = client.recv(1 << 16)
                        while asked[:1] != b"\x16" and b"\r\n\r\n" not in asked and (piece := client.recv(1 << 16)):
                            asked += piece
                        if asked[:1] != b"\x16":  # which is TLS, that this one does not speak
                            client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_whatever_is_answered_is_an_error(answer: bytes, store: Store, whole: RegistryAccess) -> None:
    """To a pull, a push and a list of tags."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with answering(answer) as host:
        name = f"docker://{host}/app:1"
        for goal in ("app:1", f"docker://{host}/other:1"):
            with pytest.raises(CstoreError) as told:
                copy(name, goal, store=store, access=whole)
            assert "\n" not in str(told.value)
            assert len(str(told.value)) < 1000
        with suppress(CstoreError):  # or there is none, for all that it says
            assert tags_of([RegistrySource(name, whole).reference], whole) == []
    assert not store.images.list()
    assert not store.layers.list()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("goal", ["oci:{0}/new", "dir:{0}/new", "oci-archive:{0}/new.tar", "docker://{1}/other:1"])
def test_what_cannot_fit_is_not_begun(
    goal: str, registry: Registry, proxy: FaultProxy, tmp_path: Path, whole: RegistryAccess
) -> None:
    """A layer that is said to be larger than any disk: not a byte of it is asked for, and nothing is left."""
    vast = 1 << 60
    told = {"rootfs": {"type": "layers", "diff_ids": [digest_of(b"x")]}}
    config = registry.push_blob("vast", json.dumps(told).encode())
    contents = registry.push_blob("vast", b"x")
    layer = {"mediaType": LAYER, "digest": contents, "size": vast}
    described = {"mediaType": CONFIG, "digest": config, "size": len(registry.blob("vast", config))}
    raw = _document(config=described, layers=[layer])
    proxy.fail("GET .*/manifests/", faults.status(200, {"Content-Type": MANIFEST}, raw), times=9)

    with pytest.raises(DoesNotFit):
        copy(f"docker://{proxy.host}/vast:1", goal.format(tmp_path, registry.host), access=whole)

    assert not [one for one in proxy.requests("GET .*/blobs/") if contents in one.path]
    assert not [name for name in os.listdir(tmp_path) if "new" in name]


@pytest.mark.parametrize("size", [7, (1 << 63) - 1, 1 << 63])
def test_a_manifest_that_lies_of_a_layer_that_is_here_is_refused(
    size: int, registry: Registry, proxy: FaultProxy, store: Store, whole: RegistryAccess
) -> None:
    """Nothing of the layer is fetched, but its size is known; a number that Go cannot read would stop Podman."""
    image = registry.push("known:1")
    copy(f"docker://{image.name}", "known:1", store=store, access=whole)
    document = json.loads(image.raw)
    document["layers"][0]["size"] = size
    proxy.fail("GET .*/manifests/", faults.status(200, {"Content-Type": MANIFEST}, json.dumps(document).encode()))

    with pytest.raises(CstoreError) as told:
        copy(f"docker://{proxy.host}/known:2", "lies:1", store=store, access=whole)

    assert "bytes" in str(told.value)
    assert [found.names for found in store.images.list()] == [("localhost/known:1",)]


def test_what_is_no_image_is_no_docker_archive(
    registry: Registry, proxy: FaultProxy, tmp_path: Path, whole: RegistryAccess
) -> None:
    """It is refused before a layer of it is fetched."""
    empty, text = registry.push_blob("art", b"{}"), registry.push_blob("art", b"hello")
    parts = ({"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},)
    raw = _document(config=parts[0], layers=[{"mediaType": "text/plain", "digest": text, "size": 5}])
    registry.push_manifest("art", "1", raw)

    with pytest.raises(NoImage):
        copy(f"docker://{proxy.host}/art:1", f"docker-archive:{tmp_path}/it.tar", access=whole)

    assert not proxy.requests("GET .*/blobs/")
    assert copy(f"docker://{proxy.host}/art:1", f"dir:{tmp_path}/it", access=whole).digest == digest_of(raw)
