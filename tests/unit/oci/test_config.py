"""The image JSON: what is understood of it, and what is refused."""

from __future__ import annotations

import json

import pytest

from cstore.digests import digest_of
from cstore.errors import ImageInvalid
from cstore.oci.config import HistoryItem, RootFS, parse_config
from cstore.oci.media_types import made_up_manifest

ONE = "sha256:" + "1" * 64
TWO = "sha256:" + "2" * 64


def config(**fields: object) -> bytes:
    """An image JSON with some fields."""
    return json.dumps({"rootfs": {"type": "layers", "diff_ids": [ONE]}, **fields}).encode()


def test_the_id_is_the_digest_of_the_bytes() -> None:
    """Of exactly these bytes, white space and all."""
    raw = (
        b'{"comment": "abc", "rootfs": {"type": "layers", "diff_ids": '
        b'["2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"]}}'
    )

    assert parse_config(raw).digest == "sha256:8d25a9c45df515f9d0fe8e4a6b1c64dd3b965a84790ddbcc7954bb9bc89eb993"
    assert parse_config(raw).raw is raw


def test_fields_are_typed() -> None:
    """Everything that is understood, in one config."""
    read = parse_config(
        config(
            created="2026-11-20T19:42:46.631307049Z",
            os="linux",
            architecture="arm64",
            variant="v8",
            author="me",
            config={"Cmd": ["sh"]},
            history=[{"created_by": "a"}, {"created_by": "b", "empty_layer": True}],
        )
    )

    assert read.rootfs == RootFS("layers", (ONE,))
    assert read.history == (HistoryItem(created_by="a"), HistoryItem(created_by="b", empty_layer=True))
    assert (read.platform.os, read.platform.architecture, read.platform.variant) == ("linux", "arm64", "v8")
    assert (read.created, read.text("author")) == ("2026-11-20T19:42:46.631307049Z", "me")
    assert read.run_config == {"Cmd": ["sh"]}
    read.check_history()
    read.check_diff_ids()


def test_keys_are_found_as_go_finds_them() -> None:
    """Without regard to case."""
    read = parse_config(b'{"RootFS": {"Diff_IDs": ["%s"]}, "OS": "linux"}' % ONE.encode())

    assert (read.rootfs.diff_ids, read.platform.os) == ((ONE,), "linux")


@pytest.mark.parametrize(
    ("raw", "peer"),
    [
        (b"{}", "invalid image JSON, no RootFS key"),
        (b'{"rootfs": null}', "invalid image JSON, no RootFS key"),
        (config(created="yesterday"), 'parsing time "yesterday"'),
        (b"[]", "not a JSON object"),
        (b"{", "not JSON"),
        (b'{"rootfs": {}, "x": NaN}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"rootfs": []}', "not an object"),
        (b'{"rootfs": {"diff_ids": [1]}}', "not a string"),
        (config(history=[1]), "not an object"),
        (config(history={}), "not a list"),
        (config(os=1), "not a string"),
    ],
)
def test_bad_configs_are_refused(raw: bytes, peer: str) -> None:
    """With one sentence, and where Docker has words for it, those."""
    with pytest.raises(ImageInvalid) as refused:
        parse_config(raw)
    assert peer in refused.value.go_text


def test_a_history_longer_than_the_layers_is_refused() -> None:
    """Fewer items than layers are fine."""
    parse_config(config(history=[])).check_history()
    with pytest.raises(ImageInvalid) as refused:
        parse_config(config(history=[{}, {}])).check_history()
    assert refused.value.go_text == "too many non-empty layers in History section"


@pytest.mark.parametrize("diff_id", ["../../x", "1" * 64, "sha256:12", "sha512:" + "1" * 128])
def test_diff_ids_have_one_form(diff_id: str) -> None:
    """They become parts of paths, so nothing else goes on."""
    with pytest.raises(ImageInvalid):
        parse_config(config(rootfs={"diff_ids": [diff_id]})).check_diff_ids()


def test_the_made_up_manifest_is_what_others_make_up() -> None:
    """Key by key in that order, without white space, and saying gzip of a tar that is not compressed."""
    raw = config()
    manifest = made_up_manifest(raw, [(ONE, 7168), (TWO, 3072)])

    assert manifest == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":'
        b'"application/vnd.docker.container.image.v1+json","size":%d,"digest":"%s"},"layers":[{"mediaType":'
        b'"application/vnd.docker.image.rootfs.diff.tar.gzip","size":7168,"digest":"%s"},{"mediaType":'
        b'"application/vnd.docker.image.rootfs.diff.tar.gzip","size":3072,"digest":"%s"}]}'
        % (len(raw), digest_of(raw).encode(), ONE.encode(), TWO.encode())
    )
