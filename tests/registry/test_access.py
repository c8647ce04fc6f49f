"""Who is let in, by what, and to whom credentials never go."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ConfigError, SystemFailure
from cstore.registry import Access, Credentials
from cstore.registry.authorization import parse_challenges
from cstore.registry.errors import AccessDenied, AnswerInvalid, RegistryError, RegistryUnreachable, RegistryUntrusted
from cstore.registry.proxies import read_proxies
from cstore.registry.registries_conf import Mirror, RegistriesConfig, RegistryTable
from cstore.registry.tls import find_trust
from tests import fault_proxy as faults
from tests.builders import digest as digest_of
from tests.fault_proxy import FaultProxy
from tests.registries import PASSWORD, USER, basic, running_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cstore.registry import Repository, Settings
    from tests.registries import Authority, Pushed, Registry, TokenService

    Opened = Callable[..., Repository]

ALICE = Credentials(USER, PASSWORD)


@contextmanager
def hello(offset: int) -> Iterator[io.BytesIO]:
    """A small blob."""
    yield io.BytesIO(b"hello"[offset:])


# ── passwords and certificates ────────────────────────────────────────────────────────────────────────────────────────


def test_a_password_opens_the_registry_and_none_does_not(
    locked_registry: Registry, opened: Opened, access: Access
) -> None:
    image = locked_registry.push("app:1")
    trusting = access.with_(tls_verify=None, certificates=locked_registry.certificates)

    assert opened(image.name, access=trusting.with_(credentials=ALICE)).manifest().digest == image.digest
    with pytest.raises(AccessDenied, match="requires a login") as anonymous:
        opened(image.name, access=trusting).manifest()
    with pytest.raises(AccessDenied, match="for the user 'alice'") as wrong:
        opened(image.name, access=trusting.with_(credentials=Credentials(USER, "S3cret"))).manifest()

    assert anonymous.value.hint == f"log in with: cstore login {locked_registry.host}"
    assert "S3cret" not in repr(vars(wrong.value)) + str(wrong.value)


def test_credentials_are_not_shown_by_repr() -> None:
    assert "wonder" not in repr(Access(credentials=Credentials(USER, PASSWORD, "wonderful")))


def test_a_certificate_must_be_trusted_unless_that_is_waived(
    locked_registry: Registry, opened: Opened, access: Access
) -> None:
    image = locked_registry.push("app:1")
    known = access.with_(credentials=ALICE)

    with pytest.raises(RegistryUntrusted, match="certificate is not trusted") as caught:
        opened(image.name, access=known.with_(tls_verify=None)).manifest()

    assert f"/etc/containers/certs.d/{locked_registry.host}/ca.crt" in caught.value.hint
    assert opened(image.name, access=known.with_(tls_verify=False)).manifest().digest == image.digest


def test_certs_d_is_found_by_host_and_port(
    locked_registry: Registry, opened: Opened, access: Access, settings: Settings
) -> None:
    image = locked_registry.push("app:1")
    folder = locked_registry.certificates.removesuffix(locked_registry.host)

    repository = opened(
        image.name,
        access=access.with_(tls_verify=True, credentials=ALICE),
        settings=settings.with_(certificates=("/nonexistent", folder)),
    )

    assert repository.tags() == ["1"]


def test_a_certificate_that_is_itself_in_certs_d_is_trusted(
    locked_registry: Registry, authority: Authority, opened: Opened, access: Access, tmp_path: Path
) -> None:
    """The registry's own, without the authority that gave it: Podman takes it, too."""
    image = locked_registry.push("app:1")
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "registry.crt").write_bytes(_bytes_of(authority.path("server.crt")))
    trusting = access.with_(tls_verify=None, certificates=str(folder), credentials=ALICE)

    assert opened(image.name, access=trusting).manifest().digest == image.digest


def test_a_directory_of_certificates_that_is_not_there_is_named(opened: Opened, access: Access) -> None:
    with pytest.raises(SystemFailure, match="/no/such/directory"):
        opened("r.example/app", access=access.with_(certificates="/no/such/directory"))


def test_plain_http_is_spoken_only_where_that_is_allowed(
    registry: Registry, image: Pushed, opened: Opened, access: Access
) -> None:
    with pytest.raises(RegistryUntrusted, match="does not speak TLS"):
        opened(image.name, access=access.with_(tls_verify=None)).manifest()


def test_a_client_certificate_is_shown(tmp_path: Path, authority: Authority, opened: Opened, access: Access) -> None:
    with running_registry(str(tmp_path), authority=authority, client_certificates=True) as registry:
        certificates = tmp_path / "with-client"
        certificates.mkdir()
        trusting = access.with_(tls_verify=None, certificates=str(certificates))
        (certificates / "ca.crt").write_bytes(_bytes_of(authority.path("ca.crt")))

        with pytest.raises(RegistryError):
            opened(f"{registry.host}/app", access=trusting).tags()

        for name in ("client.cert", "client.key"):
            (certificates / name).write_bytes(_bytes_of(authority.path(name)))
        opened(f"{registry.host}/app", access=trusting, writing=True).upload(digest_of(b"hello"), 5, hello)


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


# ── tokens ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_token_is_fetched_once_for_many_requests(
    token_registry: Registry, tokens: TokenService, opened: Opened, access: Access
) -> None:
    tokens.asked.clear()
    repository = opened(f"{token_registry.host}/mine/app", access=access.with_(credentials=ALICE), writing=True)

    repository.upload(digest_of(b"hello"), 5, hello)
    repository.put_manifest("1", b'{"schemaVersion": 2, "manifests": []}', "application/vnd.oci.image.index.v1+json")
    assert repository.tags() == ["1"]

    assert [one["scope"] for one in tokens.asked] == [
        "repository:mine/app:pull",
        "repository:mine/app:pull,push",
    ]
    assert {one["account"] for one in tokens.asked} == {USER}


def test_what_is_public_needs_no_login(
    token_registry: Registry, tokens: TokenService, opened: Opened, access: Access
) -> None:
    tokens.public.add("open/app")
    writer = opened(f"{token_registry.host}/open/app", access=access.with_(credentials=ALICE), writing=True)
    writer.upload(digest_of(b"hello"), 5, hello)

    anonymous = opened(f"{token_registry.host}/open/app", access=access, writing=True)

    assert anonymous.has_blob(digest_of(b"hello"))
    with pytest.raises(AccessDenied):
        anonymous.upload(digest_of(b"other"), 5, hello)


def test_an_old_token_is_replaced(
    token_registry: Registry, tokens: TokenService, opened: Opened, access: Access
) -> None:
    """When its time is over, and when the registry has had enough of it."""
    tokens.asked.clear()
    repository = opened(f"{token_registry.host}/mine/app", access=access.with_(credentials=ALICE))
    repository.has_blob(digest_of(b"nothing"))
    wire = repository.endpoints[0].wire
    start, beyond = wire.clock.now(), 0.0
    wire.clock.now = lambda: start + beyond  # type: ignore[method-assign]

    repository.has_blob(digest_of(b"nothing"))
    beyond = 299.0
    repository.has_blob(digest_of(b"nothing"))

    assert len(tokens.asked) == 2


def test_an_identity_token_stands_for_a_password(
    token_registry: Registry, tokens: TokenService, opened: Opened, access: Access
) -> None:
    tokens.asked.clear()
    known = Credentials(identity_token=tokens.refresh)

    opened(f"{token_registry.host}/mine/app", access=access.with_(credentials=known), writing=True).upload(
        digest_of(b"from a token"[:5]), 5, hello_other
    )

    assert {one["grant_type"] for one in tokens.asked} == {"refresh_token"}


@contextmanager
def hello_other(offset: int) -> Iterator[io.BytesIO]:
    """Another small blob."""
    yield io.BytesIO(b"from "[offset:])


def test_a_token_service_that_refuses_is_a_login_that_is_wrong(
    token_registry: Registry, opened: Opened, access: Access
) -> None:
    wrong = access.with_(credentials=Credentials(USER, "not it"))

    with pytest.raises(AccessDenied, match="for the user 'alice'"):
        opened(f"{token_registry.host}/mine/app", access=wrong).tags()


def test_a_token_that_is_cut_is_fetched_again(opened: Opened, access: Access) -> None:
    with FaultProxy() as service:
        challenge = f'Bearer realm="http://{service.host}/token",service="x"'
        service.fail("GET /v2/", faults.status(200), faults.status(401, {"WWW-Authenticate": challenge}))
        service.fail("GET /token", _cut_token, faults.status(503), faults.status(200, body=b'{"token": "t"}'))
        service.fail("GET /v2/", faults.status(200, body=b'{"tags": ["1"]}'))

        assert opened(f"{service.host}/app", access=access).tags() == ["1"]
        assert service.seen[-1].headers["authorization"] == "Bearer t"


def _cut_token(exchange: faults.Exchange) -> None:
    exchange.begin(200, [], 1000)
    exchange.handler.wfile.write(b'{"token": ')
    exchange.hang_up()


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"token": 5}', b'{"token": "a\\r\\nX: y"}', b"[" * 100_000])
def test_a_token_that_is_none_is_refused(opened: Opened, access: Access, body: bytes) -> None:
    with FaultProxy() as evil:
        challenge = f'Bearer realm="http://{evil.host}/token",service="x"'
        evil.fail("GET /v2/", faults.status(200), faults.status(401, {"WWW-Authenticate": challenge}))
        evil.fail("GET /token", faults.status(200, body=body))

        with pytest.raises(AnswerInvalid) as caught:
            opened(f"{evil.host}/app", access=access).tags()

    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (['Basic realm="a, b"'], [("basic", {"realm": "a, b"})]),
        (['Bearer realm="https://x/?a=b",service=s , scope="r:a:pull r:b:pull"'],
         [("bearer", {"realm": "https://x/?a=b", "service": "s", "scope": "r:a:pull r:b:pull"})]),
        (['Negotiate, Basic realm="x", Bearer realm="y"', "Digest"],
         [("negotiate", {}), ("basic", {"realm": "x"}), ("bearer", {"realm": "y"}), ("digest", {})]),
        (['BEARER Realm="a\\"b"'], [("bearer", {"realm": 'a"b'})]),
    ],
)  # fmt: skip
def test_challenges_are_read(headers: list[str], told: list[tuple[str, dict[str, str]]]) -> None:
    found = [(one.scheme, dict(one.parameters)) for one in parse_challenges(headers)]

    assert found == told


@pytest.mark.parametrize(
    "header", ["", ",,", '"', "=x", "Basic =", "\x1b[2J", 'Bearer realm="never closed', "a=" * 30_000]
)
def test_a_challenge_that_makes_no_sense_names_no_realm(header: str) -> None:
    assert not [one for one in parse_challenges([header]) if one.parameters.get("realm")]


# ── where credentials do not go ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def elsewhere() -> Iterator[FaultProxy]:
    """Another host, that answers what it is told to."""
    with FaultProxy() as running:
        yield running


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[FaultProxy, Pushed]]:
    """A registry that wants a password, behind a proxy, and an image there."""
    with running_registry(str(tmp_path), passwords=True) as registry, FaultProxy(registry.host) as proxy:
        yield proxy, registry.push("app:1")


def test_credentials_do_not_follow_a_redirect_to_another_host(
    locked: tuple[FaultProxy, Pushed], elsewhere: FaultProxy, opened: Opened, access: Access
) -> None:
    """A blob may be anywhere, such as at a store of objects; who asks for it there is nobody's business."""
    proxy, image = locked
    digest, data = image.layers[0], image.blobs[image.layers[0]]
    proxy.fail("GET .*/blobs/", faults.status(401, {"WWW-Authenticate": "Basic realm=x"}))
    proxy.fail("GET .*/blobs/", faults.redirect(f"http://{elsewhere.host}/store?signature=S3cret"))
    elsewhere.fail("GET /store", faults.redirect("/moved"), times=1)
    elsewhere.fail("GET /moved", faults.status(200, body=data))

    with opened(f"{proxy.host}/app:1", access=access.with_(credentials=ALICE)).blob(digest, len(data)) as reader:
        assert reader.read() == data

    assert proxy.requests("GET .*/blobs/")[-1].headers["authorization"] == basic(USER, PASSWORD)
    assert [one.line for one in elsewhere.seen] == ["GET /store?signature=S3cret", "GET /moved"]
    assert all("authorization" not in one.headers and "cookie" not in one.headers for one in elsewhere.seen)


def test_who_answers_after_a_redirect_cannot_ask_for_credentials(
    locked: tuple[FaultProxy, Pushed], elsewhere: FaultProxy, opened: Opened, access: Access
) -> None:
    """Neither for itself nor for a token service of its own."""
    proxy, _ = locked
    challenge = f'Bearer realm="http://{elsewhere.host}/token",service="x"'
    repository = opened(f"{proxy.host}/app:1", access=access.with_(credentials=ALICE))
    assert repository.tags() == ["1"]
    proxy.fail("GET .*/manifests", faults.redirect(f"http://{elsewhere.host}/store"))
    elsewhere.fail("GET", faults.status(401, {"WWW-Authenticate": challenge}), times=5)

    with pytest.raises(AccessDenied):
        repository.manifest()

    assert [one.line for one in elsewhere.seen] == ["GET /store"]
    assert "authorization" not in elsewhere.seen[0].headers


def test_a_redirect_that_fails_names_the_host_and_not_its_secret(
    proxy: FaultProxy, image: Pushed, opened: Opened, access: Access
) -> None:
    proxy.fail("GET .*/manifests", faults.redirect("http://user:S3cret@127.0.0.1:1/?signature=S3cret"))

    with pytest.raises(RegistryError) as caught:
        opened(f"{proxy.host}/app:1").manifest()

    assert "S3cret" not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize(
    "target",
    [
        "",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "http://[::1",
        "http://a b/",
        "gopher://x",
        "http://x:0/",
    ],
)
def test_a_redirect_to_nowhere_is_refused(proxy: FaultProxy, image: Pushed, opened: Opened, target: str) -> None:
    proxy.fail("GET .*/manifests", faults.redirect(target))

    with pytest.raises(AnswerInvalid, match="not a URL"):
        opened(f"{proxy.host}/app:1").manifest()


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_a_redirect_to_where_clouds_keep_secrets_is_refused(
    proxy: FaultProxy, image: Pushed, opened: Opened, host: str
) -> None:
    """Also for a token: the registry would get what is found there."""
    proxy.fail("GET .*/manifests", faults.redirect(f"http://{host}/latest/meta-data"))
    challenge = f'Bearer realm="http://{host}/latest/meta-data",service="x"'
    proxy.fail("GET .*/tags", faults.status(401, {"WWW-Authenticate": challenge}))
    repository = opened(f"{proxy.host}/app:1")

    for ask in (repository.manifest, repository.tags):
        with pytest.raises(AnswerInvalid, match="link-local address refused"):
            ask()


def test_credentials_for_a_registry_are_not_for_its_mirrors(
    proxy: FaultProxy, registry: Registry, opened: Opened, access: Access, settings: Settings
) -> None:
    proxy.fail("GET", faults.status(200), faults.status(401, {"WWW-Authenticate": "Basic realm=x"}))
    mirror = Mirror(proxy.host, insecure=True)
    table = RegistryTable("127.0.0.1", registry.host, insecure=True, mirrors=(mirror,))
    configured = settings.with_(registries=RegistriesConfig(tables=(table,)))

    with pytest.raises(RegistryError):
        opened("127.0.0.1/app:none", access=access.with_(credentials=ALICE), settings=configured).manifest()

    assert proxy.requests("GET .*/manifests")
    assert all("authorization" not in one.headers for one in proxy.seen)


def test_debugging_lines_have_no_secrets(
    proxy: FaultProxy,
    elsewhere: FaultProxy,
    image: Pushed,
    opened: Opened,
    access: Access,
    caplog: pytest.LogCaptureFixture,
) -> None:
    proxy.fail("GET .*/manifests", faults.status(401, {"WWW-Authenticate": "Basic realm=x"}))
    proxy.fail("GET .*/manifests", faults.redirect(f"http://{elsewhere.host}/store?signature=S3cret"))
    elsewhere.fail("GET", faults.status(404))
    caplog.set_level("DEBUG", "cstore")

    with pytest.raises(RegistryError):
        opened(f"{proxy.host}/app:1", access=access.with_(credentials=ALICE)).manifest()

    lines = [record.getMessage() for record in caplog.records if record.name == "cstore"]
    assert f"GET http://{elsewhere.host}/store: 404" in lines
    assert not [line for line in lines if "S3cret" in line or PASSWORD in line]


@pytest.mark.parametrize(
    ("name", "told"),
    [("a.cert", r"a\.key is missing"), ("b.key", r"b\.cert is missing"), ("ca.crt", "no usable certificate")],
)
def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / name).write_text("nothing")

    with pytest.raises(ConfigError, match=told) as caught:
        find_trust("r.example", (), str(tmp_path)).context(insecure=False, show_client=True)

    assert caught.value.source == str(tmp_path / name)


def test_redirects_that_never_end_do(proxy: FaultProxy, image: Pushed, opened: Opened) -> None:
    proxy.fail("GET .*/manifests", faults.redirect("{path}"), times=100)

    with pytest.raises(AnswerInvalid, match="too many redirects"):
        opened(f"{proxy.host}/app:1").manifest()

    assert len(proxy.requests("GET .*/manifests")) == 6


def test_what_is_pushed_does_not_follow_a_redirect(proxy: FaultProxy, elsewhere: FaultProxy, opened: Opened) -> None:
    proxy.fail("PUT", faults.redirect(f"http://{elsewhere.host}/upload"))

    with pytest.raises(AnswerInvalid, match="redirect of a write request refused"):
        opened(f"{proxy.host}/app", writing=True).upload(digest_of(b"hello"), 5, hello)

    assert elsewhere.seen == []


def test_a_registry_that_repeats_a_password_does_not_get_it_shown(
    proxy: FaultProxy, image: Pushed, opened: Opened, access: Access
) -> None:
    def telling(exchange: faults.Exchange) -> None:
        told = exchange.seen.headers.get("authorization", "")
        body = json.dumps({"errors": [{"code": "DENIED", "message": f"go away, {PASSWORD} {told}"}]}).encode()
        faults.status(403, body=body)(exchange)

    proxy.fail("GET .*/manifests", faults.status(401, {"WWW-Authenticate": "Basic realm=x"}), telling)

    with pytest.raises(AccessDenied) as caught:
        opened(f"{proxy.host}/app:1", access=access.with_(credentials=ALICE)).manifest()

    assert "go away" in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert basic(USER, PASSWORD).removeprefix("Basic ") not in str(caught.value)


@pytest.fixture
def behind_tls(authority: Authority, tmp_path: Path, access: Access) -> Iterator[tuple[FaultProxy, Access]]:
    """A registry that speaks TLS and answers what it is told to, and what its clients trust."""
    folder = tmp_path / "trusted"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(_bytes_of(authority.path("ca.crt")))
    with FaultProxy(authority=authority) as running:
        yield running, access.with_(tls_verify=None, certificates=str(folder), credentials=ALICE)


def test_a_password_does_not_go_from_tls_to_a_plain_token_service(
    behind_tls: tuple[FaultProxy, Access], elsewhere: FaultProxy, opened: Opened
) -> None:
    """A registry behind TLS may name any token service; one that hears the password in plain text is refused."""
    registry, trusting = behind_tls
    challenge = f'Bearer realm="http://{elsewhere.host}/token",service="x"'
    registry.fail("GET", faults.status(401, {"WWW-Authenticate": challenge}))

    with pytest.raises(AnswerInvalid, match="unencrypted"):
        opened(f"{registry.host}/app", access=trusting).tags()

    assert elsewhere.seen == []


def test_a_redirect_does_not_lead_from_tls_to_plain_http(
    behind_tls: tuple[FaultProxy, Access], elsewhere: FaultProxy, opened: Opened
) -> None:
    registry, trusting = behind_tls
    registry.fail("GET", faults.redirect(f"http://{elsewhere.host}/x"))

    with pytest.raises(AnswerInvalid, match="from TLS to plain HTTP"):
        opened(f"{registry.host}/app", access=trusting).tags()

    assert elsewhere.seen == []


# ── proxies ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_proxy_of_the_environment_is_used_and_gets_its_own_password_only(
    registry: Registry, image: Pushed, opened: Opened, access: Access, settings: Settings
) -> None:
    """A host that only the proxy knows."""
    with FaultProxy() as forward:
        absolute = "http://registry.test:5000"
        forward.fail("GET", faults.status(200), times=1)  # whether it speaks TLS is asked with CONNECT, which fails
        forward.fail("GET", faults.status(200, {"Content-Type": "application/json"}, b'{"tags": ["9"]}'))
        proxies = read_proxies({"http_proxy": f"http://bob:s%40cret@{forward.host}", "NO_PROXY": "localhost"})
        repository = opened("registry.test:5000/app", access=access, settings=settings.with_(proxies=proxies))

        assert repository.tags() == ["9"]

    assert [one.path for one in forward.seen] == [f"{absolute}/v2/", f"{absolute}/v2/app/tags/list?n=1000"]
    assert {one.headers["proxy-authorization"] for one in forward.seen} == {basic("bob", "s@cret")}


def test_a_proxy_that_is_not_there_is_named_without_its_password(
    opened: Opened, access: Access, settings: Settings
) -> None:
    proxies = read_proxies({"HTTPS_PROXY": "http://bob:S3cret@127.0.0.1:1"})

    with pytest.raises(RegistryUnreachable, match="the proxy failed: connection refused") as caught:
        opened(
            "registry.test/app", access=access.with_(tls_verify=None), settings=settings.with_(proxies=proxies)
        ).tags()

    assert "S3cret" not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize(
    ("without", "host", "direct"),
    [
        ("example.com", "example.com", True),
        ("example.com", "a.example.com", True),
        ("example.com", "anexample.com", False),
        (".example.com", "example.com", False),
        (".example.com", "a.example.com", True),
        ("*.example.com", "a.example.com", True),
        ("*", "anything", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("example.com:5000", "example.com", False),
        ("example.com:443", "example.com", True),
        ("a, b ,example.com", "example.com", True),
        ("::1,fd00::/8", "fd00::5", True),
        ("", "127.0.0.1", True),
        ("", "localhost", True),
        ("", "example.com", False),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(without: str, host: str, direct: bool) -> None:
    proxies = read_proxies({"https_proxy": "proxy:3128", "no_proxy": without})

    assert proxies.find("https", host, None) == ("" if direct else "http://proxy:3128")
