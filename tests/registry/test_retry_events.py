"""Whoever listens hears what is tried again, when and why: blobs in and out, manifests, and at the next mirror."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cstore.cli.output import progress
from cstore.cli.output.transfers import told
from cstore.transfer import CopyRequest, Retried, copy
from tests import fault_proxy as faults
from tests.registries import layer_of

if TYPE_CHECKING:
    from cstore import Store
    from cstore.transfer.registry_ends import RegistryAccess
    from tests.fault_proxy import FaultProxy
    from tests.registries import Pushed, Registry

pytestmark = pytest.mark.usefixtures("needs_root")


def test_retries_of_a_pull_are_told(store: Store, image: Pushed, proxy: FaultProxy, whole: RegistryAccess) -> None:
    """Of the manifest, and of a blob that another process fetches, with its digest."""
    big = image.layers[1]
    proxy.fail("GET .*/manifests/", faults.status(429))
    proxy.fail(f"GET .*/blobs/{big}", faults.cut(300_000))
    events: list[Any] = []

    copy(f"docker://{proxy.host}/app:1", "pulled", CopyRequest(), events.append, store=store, access=whole)

    manifest, blob = (event for event in events if isinstance(event, Retried))
    assert (manifest.digest, manifest.attempt, manifest.wait) == ("", 2, 1.0)
    assert "too many requests" in manifest.reason
    assert (blob.digest, blob.action, blob.attempt) == (big, f"fetch blob {big}", 2)
    assert "cut" in blob.reason


def test_retries_of_a_push_are_told(
    registry: Registry, store: Store, image: Pushed, proxy: FaultProxy, whole: RegistryAccess
) -> None:
    """With the digest of what is sent."""
    assert image
    name = f"docker://{registry.host}/told/source:1"
    pushed = registry.push("told/source:1", [layer_of({"f": b"told"})])
    copy(name, "pulled", store=store, access=whole)
    proxy.fail("POST .*", faults.status(503))
    events: list[Any] = []

    copy("pulled", f"docker://{proxy.host}/told/new:1", CopyRequest(), events.append, store=store, access=whole)

    (retry,) = (event for event in events if isinstance(event, Retried))
    assert retry.action == f"push blob {retry.digest}"
    assert retry.digest
    assert "503" in retry.reason
    assert pushed


def test_a_retry_is_said_in_a_line_or_a_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By --progress=plain and json; not with --quiet."""
    event = Retried("sha256:12", "fetch blob sha256:12", 2, 1.5, "reg: cannot fetch blob sha256:12: the line was cut")
    said = {}
    for style, quiet in (("plain", False), ("json", False), ("json", True)):
        monkeypatch.setattr(progress, "style", style)
        with told(quiet=quiet) as tell:
            tell(event)
        said[style, quiet] = capsys.readouterr().err

    assert said["plain", False] == (
        "retrying in 1.5 s to fetch blob sha256:12, attempt 2: reg: cannot fetch blob sha256:12: the line was cut\n"
    )
    document = json.loads(said["json", False])["progress"]
    assert document["event"] == "retry"
    assert (document["attempt"], document["wait"], document["digest"]) == (2, 1.5, "sha256:12")
    assert said["json", True] == ""
