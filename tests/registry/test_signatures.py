"""Signatures of sigstore by key: what is signed is accepted, and nothing else.

The tests sign with openssl. skopeo is no witness here: Debian's refuses whatever wants such a signature.
"""

from __future__ import annotations

import base64
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from cstore.errors import ConfigError
from cstore.oci.names import parse_name
from cstore.registry import read_policy
from cstore.registry.errors import PolicyRefuses, RegistryError
from cstore.registry.registries_conf import RegistriesConfig, RegistryTable
from cstore.transfer.manifests import Descriptor
from cstore.transfer.registry_ends import RegistryAccess, RegistrySource
from tests.builders import digest as digest_of
from tests.registries import openssl

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.registry import Access, Repository, Settings
    from tests.registries import Authority, Pushed, Registry

    Opened = Callable[..., Repository]

PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
NAME = "signed.example/team/app"
"""What the image is called; where it is, is a matter of the configuration."""


@dataclass
class Signer:
    """Signs images with the key of the tests' own certificates."""

    registry: Registry
    authority: Authority

    @property
    def public_key(self) -> bytes:
        """In PEM."""
        return openssl("pkey", "-in", self.authority.path("server.key"), "-pubout")

    def sign(self, image: Pushed, name: str, /, *, key: str = "server.key", **changes: Any) -> None:
        """Put a signature beside an image, that calls it by a name; `changes` are made to the document after."""
        critical = {
            "type": "cosign container image signature",
            "image": {"docker-manifest-digest": image.digest},
            "identity": {"docker-reference": name},
            **changes,
        }
        payload = json.dumps({"critical": critical, "optional": {"creator": "tests"}}).encode()
        signature = openssl("dgst", "-sha256", "-sign", self.authority.path(key), stdin=payload)
        self.put(image, payload, base64.b64encode(signature).decode())

    def put(self, image: Pushed, payload: bytes, signature: str) -> None:
        """Put a signed document beside an image."""
        config = b'{"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}'
        for data in (config, payload):
            self.registry.push_blob("team/app", data)
        described = {"mediaType": PAYLOAD, "digest": digest_of(payload), "size": len(payload)}
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest_of(config),
                "size": len(config),
            },
            "layers": [{**described, "annotations": {"dev.cosignproject.cosign/signature": signature}}],
        }
        tag = f"{image.digest.replace(':', '-')}.sig"
        self.registry.push_manifest("team/app", tag, json.dumps(manifest).encode())


@pytest.fixture
def signer(registry: Registry, authority: Authority) -> Signer:
    """Who signs."""
    return Signer(registry, authority)


@pytest.fixture
def team_image(registry: Registry, request: pytest.FixtureRequest) -> Pushed:
    """An image of the test's own."""
    return registry.push("team/app:1", [request.node.name.encode().ljust(512, b"\0") + bytes(1024)])


@pytest.fixture
def asking(
    registry: Registry, signer: Signer, opened: Opened, access: Access, settings: Settings, tmp_path: Path
) -> Callable[..., str]:
    """Asks whether a policy accepts an image; returns why not."""

    def ask(name: str, digest: str, identity: dict[str, str] | None = None, *, key: bytes = b"") -> str:
        requirement: dict[str, Any] = {
            "type": "sigstoreSigned", "keyData": base64.b64encode(key or signer.public_key).decode(),
        }  # fmt: skip
        if identity is not None:
            requirement["signedIdentity"] = identity
        path = tmp_path / "policy.json"
        path.write_text(
            json.dumps({"default": [{"type": "reject"}], "transports": {"docker": {"signed.example": [requirement]}}})
        )
        table = RegistryTable("signed.example", registry.host, insecure=True)
        configured = settings.with_(registries=RegistriesConfig(tables=(table,)))
        repository = opened(name, access=access.with_(tls_verify=None), settings=configured)
        assert repository.manifest().digest == digest
        try:
            read_policy(str(path)).verify(parse_name(name), repository, digest)
        except PolicyRefuses as error:
            why = error.reason
        else:
            why = ""
        return why

    return ask


EXACT = {"type": "matchExact"}
BY_REPOSITORY = {"type": "matchRepository"}
REMAPPED = {"type": "remapIdentity", "prefix": "signed.example", "signedPrefix": "origin.example/all"}


@pytest.mark.parametrize(
    ("signed", "asked", "identity", "why"),
    [
        (f"{NAME}:1", f"{NAME}:1", None, ""),
        (f"{NAME}:2", f"{NAME}:1", None, "is for signed.example/team/app:2"),
        (NAME, f"{NAME}:1", None, "is for signed.example/team/app"),
        (f"{NAME}:2", f"{NAME}@", None, ""),
        ("other.example/app:1", f"{NAME}@", None, "is for other.example"),
        (f"{NAME}:1", f"{NAME}:1", EXACT, ""),
        (f"{NAME}:1", f"{NAME}@", EXACT, "is for"),
        (NAME, f"{NAME}:1", BY_REPOSITORY, ""),
        (f"{NAME}2:1", f"{NAME}:1", BY_REPOSITORY, "is for"),
        ("a.example/b:3", f"{NAME}:1", {"type": "exactReference", "dockerReference": "a.example/b:3"}, ""),
        ("a.example/b", f"{NAME}:1", {"type": "exactReference", "dockerReference": "a.example/b:latest"}, "is for"),
        ("a.example/b", f"{NAME}:1", {"type": "exactRepository", "dockerRepository": "a.example/b"}, ""),
        ("origin.example/all/team/app:1", f"{NAME}:1", REMAPPED, ""),
        (f"{NAME}:1", f"{NAME}:1", REMAPPED, "is for"),
    ],
)
def test_the_name_in_a_signature_must_agree(
    signer: Signer,
    team_image: Pushed,
    asking: Callable[..., str],
    signed: str,
    asked: str,
    identity: dict[str, str] | None,
    why: str,
) -> None:
    signer.sign(team_image, signed)
    asked += team_image.digest if asked.endswith("@") else ""

    found = asking(asked, team_image.digest, identity)

    assert (why in found) if why else not found, found


def test_without_a_signature_or_with_that_of_another_key_an_image_is_refused(
    signer: Signer, team_image: Pushed, asking: Callable[..., str]
) -> None:
    assert asking(f"{NAME}:1", team_image.digest) == "no signature found"
    signer.sign(team_image, f"{NAME}:1", key="client.key")
    assert asking(f"{NAME}:1", team_image.digest) == "no signature by a trusted key"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"image": {"docker-manifest-digest": digest_of(b"other")}}, "for another image"),
        ({"type": "atomic container signature"}, "not an image signature"),
        ({"more": 1}, "not an image signature"),
        ({"identity": {"docker-reference": 5}}, "not an image signature"),
        ({"identity": {}}, "not an image signature"),
    ],
)
def test_a_signature_of_something_else_does_not_count(
    signer: Signer, team_image: Pushed, asking: Callable[..., str], changes: dict[str, Any], why: str
) -> None:
    signer.sign(team_image, f"{NAME}:1", **changes)

    assert why in asking(f"{NAME}:1", team_image.digest)


@pytest.mark.parametrize("signature", ["", "!!", "QUJD", base64.b64encode(b"x" * 5000).decode()])
def test_a_damaged_signature_does_not_count(
    signer: Signer, team_image: Pushed, asking: Callable[..., str], signature: str
) -> None:
    signer.put(team_image, b"{}", signature)

    assert "signature" in asking(f"{NAME}:1", team_image.digest)


def test_a_document_that_is_not_what_its_digest_says_is_an_error(
    signer: Signer, team_image: Pushed, registry: Registry, asking: Callable[..., str]
) -> None:
    payload = b'{"critical": 1}'
    signer.put(team_image, payload, "QUJD")
    for place in _files_with(registry.root, payload):
        place.write_bytes(b'{"critical": 2}')

    with pytest.raises(RegistryError, match="digest mismatch"):
        asking(f"{NAME}:1", team_image.digest)


def _files_with(root: str, data: bytes) -> list[Path]:
    from pathlib import Path as Made

    return [path for path in Made(root).rglob("data") if path.is_file() and path.read_bytes() == data]


@pytest.mark.parametrize("key", [b"nothing", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_key_that_is_none_is_named(team_image: Pushed, asking: Callable[..., str], key: bytes) -> None:
    with pytest.raises(ConfigError, match="not a PEM public key"):
        asking(f"{NAME}:1", team_image.digest, key=key)


def test_other_kinds_of_keys_sign_too(
    signer: Signer, team_image: Pushed, asking: Callable[..., str], authority: Authority
) -> None:
    openssl("genpkey", "-algorithm", "RSA", "-out", authority.path("rsa.key"))
    signer.sign(team_image, f"{NAME}:1", key="rsa.key")
    public = openssl("pkey", "-in", authority.path("rsa.key"), "-pubout")

    assert asking(f"{NAME}:1", team_image.digest, key=public) == ""


def test_without_the_package_it_is_said_what_to_install(
    team_image: Pushed, asking: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)

    with pytest.raises(ConfigError, match="need the Python package cryptography") as caught:
        asking(f"{NAME}:1", team_image.digest)

    assert caught.value.hint == "pip install 'cstore[sigstore]'"


@pytest.mark.parametrize(
    "changes",
    [
        {"keyPath": "/key"},
        {"keyData": None},
        {"keyData": 5},
        {"keyData": None, "keyPaths": []},
        {"fulcio": {"caPath": "/ca"}},
        {"signedIdentity": {"type": "matchNothing"}},
        {"signedIdentity": {"type": "exactReference"}},
        {"signedIdentity": {"type": "matchExact", "more": "x"}},
        {"signedIdentity": "matchExact"},
    ],
    ids=str,
)
def test_a_requirement_that_is_not_understood_refuses_the_policy(tmp_path: Path, changes: dict[str, Any]) -> None:
    requirement = {"type": "sigstoreSigned", "keyData": "QUJD", **changes}
    requirement = {key: value for key, value in requirement.items() if value is not None}
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"default": [requirement]}))

    with pytest.raises(ConfigError, match="not a valid policy: sigstoreSigned"):
        read_policy(str(path))


def test_who_does_not_verify_does_not_get_past_the_policy(tmp_path: Path) -> None:
    """A signature that nobody looks for is none."""
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"default": [{"type": "sigstoreSigned", "keyData": "QUJD"}]}))
    policy = read_policy(str(path))

    with pytest.raises(PolicyRefuses):
        policy.require(parse_name("q.example/x"))
    with pytest.raises(PolicyRefuses, match="only looked up in registries"):
        policy.require_scopes("dir", ["/x"], shown="dir:/x")
    policy.require(parse_name("q.example/x"), verified_later=True)


@pytest.mark.parametrize("first", ["manifest", "instance", "blob"])
def test_nothing_of_an_image_is_copied_that_is_not_signed(
    registry: Registry,
    signer: Signer,
    team_image: Pushed,
    access: Access,
    settings: Settings,
    tmp_path: Path,
    first: str,
) -> None:
    """Whatever is asked for first."""
    path = tmp_path / "policy.json"
    key = base64.b64encode(signer.public_key).decode()
    path.write_text(json.dumps({"default": [{"type": "sigstoreSigned", "keyData": key}]}))
    table = RegistryTable("signed.example", registry.host, insecure=True)
    configured = settings.with_(registries=RegistriesConfig(tables=(table,)))
    asked = RegistryAccess(access.with_(tls_verify=None), str(path), configured)
    digest = team_image.layers[0]
    layer = Descriptor("application/vnd.oci.image.layer.v1.tar", digest, len(team_image.blobs[digest]))

    def get(source: RegistrySource) -> object:
        if first == "blob":
            with source.open(layer) as reader:
                return reader.readinto(memoryview(bytearray(10)))
        return source.manifest(team_image.digest if first == "instance" else "")

    with RegistrySource(f"{NAME}:1", asked) as source, pytest.raises(PolicyRefuses, match="no signature found"):
        get(source)
    signer.sign(team_image, f"{NAME}:1")
    with RegistrySource(f"{NAME}:1", asked) as source:
        assert get(source)
