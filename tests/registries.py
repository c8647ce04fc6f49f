"""Registries for tests: Debian's `docker-registry` on 127.0.0.1, plain, with TLS, with passwords or with tokens.

    with running_registry(folder) as registry:
        registry.host               # 127.0.0.1:43211
        registry.push("app:1")      # a small generated image, pushed without cstore's client

Each has its own directory, port and process, and ends with its block. The machine's configuration is not used.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import io
import json
import os
import re
import shutil
import ssl
import subprocess
import tarfile
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.builders import digest as digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TIMEOUT = 20
"""Seconds within which a registry must start."""

USER, PASSWORD = "alice", "wonder:land"
_HTPASSWD = "alice:$2y$04$adhorv3D3hrlNmdQCC.HjO8g/GH4XDlbw/zerqi4qQ/VQykO9aPT."
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Pushed:
    """An image that a test pushed. `blobs` are the config and layers, by digest."""

    name: str
    digest: str
    raw: bytes
    blobs: dict[str, bytes]

    @property
    def layers(self) -> list[str]:
        """The digests of the layers."""
        return [layer["digest"] for layer in json.loads(self.raw)["layers"]]


@dataclass(frozen=True)
class Registry:
    """A running registry.

    Attributes:
        host: host and port, the beginning of image names.
        root: its data directory.
        authority: the file of the CA that issued its certificate; "" with plain HTTP.
        certificates: a directory as in certs.d with the CA's certificate.
        log: its log file.
    """

    host: str
    root: str
    authority: str = ""
    certificates: str = ""
    log: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the tests' own requests."""

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Send a request directly, without cstore's client."""
        if self.authority:
            context = ssl.create_default_context(cafile=self.authority)
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the CA's certificate lacks extensions, as many do
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(self.host, context=context, timeout=30)
        else:
            connection = http.client.HTTPConnection(self.host, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            got = connection.getresponse()
            return Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())

    def push_blob(self, repository: str, data: bytes) -> str:
        """Push a blob; return its digest."""
        digest = digest_of(data)
        begun = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status == 202, begun
        place = urlsplit(begun.headers["location"])
        done = self.request("PUT", f"{place.path}?{place.query}&digest={digest}", data)
        assert done.status == 201, done
        return digest

    def push_manifest(self, repository: str, reference: str, raw: bytes, media_type: str = MANIFEST) -> str:
        """Push a manifest; return its digest."""
        done = self.request("PUT", f"/v2/{repository}/manifests/{reference}", raw, {"Content-Type": media_type})
        assert done.status == 201, done
        return digest_of(raw)

    def push(self, name: str, layers: Sequence[bytes] = (), *, architecture: str = "amd64") -> Pushed:
        """Push an image with these layer archives, or with a layer that has a small file."""
        repository, _, tag = name.partition(":")
        raw, blobs = image_of(layers or [layer_of({"hello.txt": f"hello from {name}\n".encode()})], architecture)
        for data in blobs.values():
            self.push_blob(repository, data)
        digest = self.push_manifest(repository, tag or "latest", raw)
        return Pushed(f"{self.host}/{name}", digest, raw, blobs)

    def blob(self, repository: str, digest: str) -> bytes:
        """Return a blob from the registry."""
        got = self.request("GET", f"/v2/{repository}/blobs/{digest}")
        assert got.status == 200, got
        return got.body


@dataclass(frozen=True)
class Answer:
    """A registry's response."""

    status: int
    headers: dict[str, str]
    body: bytes


def layer_of(files: dict[str, bytes]) -> bytes:
    """Return a layer's tar archive with a few files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def image_of(layers: Sequence[bytes], architecture: str = "amd64") -> tuple[bytes, dict[str, bytes]]:
    """Return a manifest of uncompressed layers, and its blobs."""
    diff_ids = [digest_of(layer) for layer in layers]
    config = json.dumps(
        {"architecture": architecture, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    ).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)} for layer in layers],
    }
    return json.dumps(manifest).encode(), {digest_of(data): data for data in (config, *layers)}


# ── certificates ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Authority:
    """A CA for tests, and its certificate for 127.0.0.1 and localhost."""

    folder: str

    def path(self, name: str) -> str:
        """Return the path of a file: ca.crt, server.crt, server.key, client.cert, client.key."""
        return os.path.join(self.folder, name)


def make_authority(folder: str) -> Authority:
    """Create a CA, a server certificate and a client certificate with openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    os.makedirs(folder, exist_ok=True)
    authority = Authority(folder)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    ca_key, ca = authority.path("ca.key"), authority.path("ca.crt")
    openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-subj", "/CN=tests' own CA")
    signed = ["-x509", *curve, "-CA", ca, "-CAkey", ca_key]
    for name, ending in (("server", "crt"), ("client", "cert")):
        extensions = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=CA:FALSE"]
        files = ["-keyout", authority.path(f"{name}.key"), "-out", authority.path(f"{name}.{ending}")]
        openssl("req", *signed, *files, "-subj", f"/CN={name}", *extensions)
    return authority


def openssl(*words: str, stdin: bytes = b"") -> bytes:
    """Run openssl; return its output."""
    done = subprocess.run(["openssl", *words], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ── the registry ──────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def running_registry(
    folder: str,
    *,
    authority: Authority | None = None,
    passwords: bool = False,
    tokens: TokenService | None = None,
    client_certificates: bool = False,
) -> Iterator[Registry]:
    """Run `docker-registry` below a directory; skip the test if it is not installed.

    Args:
        folder: an existing directory, for its data, configuration and log.
        authority: use TLS with the certificate of this CA.
        passwords: require `USER` and `PASSWORD`.
        tokens: require tokens of this service.
        client_certificates: accept only clients with a certificate of the CA.
    """
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    data, log = os.path.join(folder, "data"), os.path.join(folder, "registry.log")
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": data},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": "127.0.0.1:0", "secret": "tests"},
    }
    if authority is not None:
        config["http"]["tls"] = {"certificate": authority.path("server.crt"), "key": authority.path("server.key")}
        if client_certificates:
            config["http"]["tls"]["clientcas"] = [authority.path("ca.crt")]
    if passwords:
        path = os.path.join(folder, "htpasswd")
        with open(path, "w", encoding="utf-8") as file:
            file.write(_HTPASSWD + "\n")
        config["auth"] = {"htpasswd": {"realm": "tests", "path": path}}
    if tokens is not None:
        config["auth"] = {"token": tokens.settings}
    path = os.path.join(folder, "config.yml")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)  # which is YAML, too
    with open(log, "wb") as output:
        server = subprocess.Popen(
            ["docker-registry", "serve", path],
            stdout=output,
            stderr=output,
            env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
        )
    try:
        host = f"127.0.0.1:{_port_of(server, log)}"
        headers = {"Authorization": basic(USER, PASSWORD)} if passwords else {}
        certificates = os.path.join(folder, "certs.d", host)
        if authority is not None:
            os.makedirs(certificates)
            shutil.copy(authority.path("ca.crt"), certificates)
        yield Registry(host, data, authority.path("ca.crt") if authority else "", certificates, log, headers)
    finally:
        server.kill()
        server.wait()


def _port_of(server: subprocess.Popen[bytes], log: str) -> int:
    """Return the port that the kernel assigned, from the log."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and server.poll() is None:
        with open(log, encoding="utf-8", errors="replace") as file:
            if told := re.search(r"listening on 127\.0\.0\.1:([0-9]+)", file.read()):
                return int(told[1])
        time.sleep(0.02)
    with open(log, encoding="utf-8", errors="replace") as file:
        raise AssertionError(f"docker-registry does not start: {file.read()[-1000:]}")


def basic(user: str, password: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# ── a token service ───────────────────────────────────────────────────────────────────────────────────────────────────


class TokenService:
    """A token service: grants everything with the right password, and pulls of public repositories without.

    Attributes:
        asked: the query of each request, with its `authorization`, if any.
        lifetime: the lifetime of tokens in seconds.
        public: the repositories that everyone may pull.
        refresh: the identity token that is accepted instead of a password, by POST.
    """

    def __init__(self, folder: str, authority: Authority) -> None:
        self.asked: list[dict[str, str]] = []
        self.lifetime = 300
        self.public: set[str] = set()
        self.refresh = "identity-of-alice"
        self._folder, self._authority = folder, authority
        self._server = QuietServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/token"

    @property
    def settings(self) -> dict[str, str]:
        """The registry's configuration for this service."""
        bundle = self._authority.path("ca.crt")
        return {"realm": self.url, "service": "tests", "issuer": "tests' tokens", "rootcertbundle": bundle}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                query = {name: " ".join(values) for name, values in parse_qs(urlsplit(self.path).query).items()}
                asked = self.headers.get("Authorization", "")
                if asked and asked != basic(USER, PASSWORD):
                    service.asked.append({**query, "authorization": asked})
                    self.answer(401, {"details": "incorrect username or password"})
                    return
                self.give(query, asked)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: " ".join(values) for name, values in parse_qs(body).items()}
                if form.get("refresh_token") == service.refresh:
                    self.give(form, "refresh")
                else:
                    service.asked.append(form)
                    self.answer(401, {"details": "unknown identity token"})

            def give(self, query: dict[str, str], who: str) -> None:
                service.asked.append({**query, "authorization": who})
                granted = [grant for scope in query.get("scope", "").split() if (grant := service.grant(scope, who))]
                key, token = "access_token" if who == "refresh" else "token", service.signed(granted, query["service"])
                self.answer(200, {key: token, "expires_in": service.lifetime})

            def answer(self, status: int, document: dict[str, Any]) -> None:
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return Handler

    def grant(self, scope: str, who: str) -> dict[str, Any] | None:
        """Return what is granted for a scope."""
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        if who:
            return {"type": kind, "name": name, "actions": actions.split(",")}
        return {"type": kind, "name": name, "actions": ["pull"]} if name in self.public else None

    def signed(self, access: list[dict[str, Any]], audience: str) -> str:
        """Return a token in the registry's format: a JSON web token with the certificate in its header."""
        certificate = openssl("x509", "-in", self._authority.path("server.crt"), "-outform", "DER")
        header = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(certificate).decode()]}
        now = int(time.time())
        claims = {
            "iss": "tests' tokens", "sub": USER, "aud": audience, "nbf": now - 10, "iat": now - 10,
            "exp": now + self.lifetime, "jti": str(len(self.asked)), "access": access,
        }  # fmt: skip
        text = ".".join(_part(json.dumps(part).encode()) for part in (header, claims))
        der = openssl("dgst", "-sha256", "-sign", self._authority.path("server.key"), stdin=text.encode())
        return f"{text}.{_part(_plain_signature(der))}"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _plain_signature(der: bytes) -> bytes:
    """Convert an ECDSA signature from DER to its two numbers of 32 bytes."""
    numbers, rest = [], der[2:]
    for _ in range(2):
        length = rest[1]
        numbers.append(int.from_bytes(rest[2 : 2 + length], "big").to_bytes(32, "big"))
        rest = rest[2 + length :]
    return b"".join(numbers)


class QuietServer(http.server.ThreadingHTTPServer):
    """A threading server that does not report lost clients."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Ignore lost clients: tests cause them."""
