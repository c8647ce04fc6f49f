"""Whatever a line or a registry does: the right bytes or none, and after a cut the rest only."""

from __future__ import annotations

import io
import random
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cstore.errors import InvalidName, SystemFailure
from cstore.registry import Retrying
from cstore.registry.errors import (
    AnswerInvalid,
    NotInRegistry,
    RegistryBusy,
    RegistryError,
    RegistryFailed,
    RegistryUnreachable,
)
from tests import fault_proxy as faults
from tests.builders import digest as digest_of
from tests.registries import layer_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from cstore.registry import Access, BlobReader, Repository
    from tests.fault_proxy import Fault, FaultProxy
    from tests.registries import Pushed, Registry

    Opened = Callable[..., Repository]

BLOBS = "GET .*/blobs/"
MANIFESTS = "GET .*/manifests/"


def big(image: Pushed) -> tuple[str, bytes]:
    """The larger layer: its digest and its bytes."""
    digest = image.layers[1]
    return digest, image.blobs[digest]


# ── in ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("after", [0, 1, 4095, 65_536, 262_144, 500_000, -1], ids=str)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
def test_a_blob_that_is_cut_goes_on_where_it_was(
    proxy: FaultProxy, image: Pushed, opened: Opened, after: int, chunked: bool
) -> None:
    """At every class of offset: the bytes are right, and no byte came twice."""
    digest, data = big(image)
    after %= len(data)
    proxy.fail(BLOBS, faults.cut(after, chunked=chunked))

    with opened(f"{proxy.host}/app:1").blob(digest, len(data)) as reader:
        assert reader.read() == data

    assert reader.fetched == proxy.given == len(data)
    asked = [one.headers.get("range") for one in proxy.requests(BLOBS)]
    assert asked == [None, f"bytes={after}-" if after else None]


def test_a_registry_that_gives_a_byte_now_and_then_counts_as_cut(
    proxy: FaultProxy, image: Pushed, opened: Opened, access: Access
) -> None:
    """In a blob, whose rest is fetched anew; a client that reads slowly itself is none of its concern."""
    digest, data = big(image)
    impatient = access.with_(read_timeout=0.2)
    proxy.fail(BLOBS, faults.slow_after(100_000, 0.02))

    with opened(f"{proxy.host}/app:1", access=impatient).blob(digest, len(data)) as reader:
        got = reader.read(60_000)
        time.sleep(0.3)
        got += reader.read()

    assert got == data
    assert reader.resumed == 1
    assert len(data) <= proxy.given < len(data) + 100


def test_a_registry_that_always_drips_is_given_up(
    proxy: FaultProxy, image: Pushed, opened: Opened, access: Access
) -> None:
    """In headers and documents as well, after the usual attempts, with one sentence."""
    proxy.fail(MANIFESTS, faults.dripping(0.02), times=9)

    with pytest.raises(RegistryUnreachable, match="stopped responding") as told:
        opened(f"{proxy.host}/app:1", access=access.with_(read_timeout=0.2)).manifest()

    assert "\n" not in str(told.value)
    assert len(proxy.requests(MANIFESTS)) == 3


def test_a_blob_is_cut_twice_and_goes_on_twice(proxy: FaultProxy, image: Pushed, opened: Opened) -> None:
    digest, data = big(image)
    proxy.fail(BLOBS, faults.cut(200_000), faults.cut(100_000))

    with opened(f"{proxy.host}/app:1").blob(digest, len(data), offset=10) as reader:
        assert reader.read() == data[10:]

    assert (reader.fetched, reader.resumed) == (len(data) - 10, 2)
    assert [one.headers.get("range") for one in proxy.requests(BLOBS)] == [
        "bytes=10-",
        "bytes=200010-",
        "bytes=300010-",
    ]


@pytest.mark.parametrize("fault", [faults.hung_up, faults.cut_in_headers, faults.status(500), faults.status(503)])
def test_a_blob_is_asked_for_again_after(proxy: FaultProxy, image: Pushed, opened: Opened, fault: Fault) -> None:
    digest, data = big(image)
    repository = opened(f"{proxy.host}/app:1")
    repository.manifest()
    proxy.fail(BLOBS, fault)

    with repository.blob(digest, len(data)) as reader:
        assert reader.read() == data

    assert reader.fetched == len(data)


def test_an_answer_that_comes_late_is_waited_for(proxy: FaultProxy, image: Pushed, opened: Opened) -> None:
    """And not asked for again."""
    digest, data = big(image)
    proxy.fail(BLOBS, faults.delayed(0.2))

    with opened(f"{proxy.host}/app:1").blob(digest, len(data)) as reader:
        assert reader.read() == data

    assert len(proxy.requests(BLOBS)) == 1


@pytest.mark.parametrize("fault", [faults.silent, faults.stalled(300_000)], ids=["silent", "stalled"])
def test_a_registry_that_stops_answering_is_asked_again(
    proxy: FaultProxy, image: Pushed, opened: Opened, access: Access, fault: Fault
) -> None:
    """For the rest."""
    digest, data = big(image)
    repository = opened(f"{proxy.host}/app:1", access=access.with_(read_timeout=0.5))
    proxy.fail(BLOBS, fault)

    with repository.blob(digest, len(data)) as reader:
        assert reader.read() == data

    assert reader.fetched == len(data)
    assert len(proxy.requests(BLOBS)) >= 2


def test_whatever_happens_in_a_row_the_bytes_are_right(
    proxy: FaultProxy, image: Pushed, opened: Opened, access: Access
) -> None:
    """Cuts anywhere, in answers with and without a length, from any offset, read in pieces of any size."""
    digest, data = big(image)
    draw = random.Random(19)
    repository = opened(f"{proxy.host}/app:1", access=access.with_(retrying=Retrying(attempts=6)))
    for _ in range(12):
        proxy.forget()
        start = draw.choice([0, 1, draw.randrange(len(data)), len(data)])
        plan = [faults.cut(draw.randrange(200_000), chunked=draw.random() < 0.5) for _ in range(draw.randrange(5))]
        proxy.fail(BLOBS, *plan)
        buffer, came = bytearray(draw.choice([1000, 65_537, 1 << 20])), bytearray()

        with repository.blob(digest, len(data), start) as reader:
            while count := reader.readinto(buffer):
                came += buffer[:count]

        assert came == data[start:]
        assert reader.fetched == proxy.given == len(data) - start


def test_a_registry_that_knows_no_ranges_sends_all_and_what_is_known_is_skipped(
    proxy: FaultProxy, image: Pushed, opened: Opened
) -> None:
    digest, data = big(image)

    def without_ranges(exchange: faults.Exchange) -> None:
        exchange.seen.headers.pop("range", None)
        exchange.relay()

    proxy.fail(BLOBS, faults.cut(300_000), without_ranges)

    with opened(f"{proxy.host}/app:1").blob(digest, len(data)) as reader:
        assert reader.read() == data

    assert reader.fetched == proxy.given == 300_000 + len(data)


def test_a_blob_that_is_always_cut_is_given_up_after_as_many_attempts_as_said(
    proxy: FaultProxy, image: Pushed, opened: Opened, waits: list[float]
) -> None:
    digest, data = big(image)
    proxy.fail(BLOBS, faults.cut(1), times=50)

    with (
        opened(f"{proxy.host}/app:1").blob(digest, len(data)) as reader,
        pytest.raises(RegistryUnreachable, match="the connection was cut"),
    ):
        reader.read()

    assert len(proxy.requests(BLOBS)) == 3
    assert waits == [1, 2]


LIES: dict[str, Fault] = {
    "a longer body": faults.longer(1),
    "more in chunks": faults.in_chunks(b"x"),
    "a content encoding": faults.with_headers(Content_Encoding="gzip"),
}


@pytest.mark.parametrize("fault", LIES.values(), ids=LIES.keys())
def test_a_blob_that_is_not_as_long_as_promised_is_refused(
    proxy: FaultProxy, image: Pushed, opened: Opened, fault: Fault
) -> None:
    """In one sentence, and no byte more than was promised comes out."""
    digest, data = big(image)
    proxy.fail(BLOBS, fault)
    came = bytearray()

    def read_all(reader: BlobReader) -> None:
        buffer = bytearray(100_000)
        while count := reader.readinto(buffer):
            came.extend(buffer[:count])

    with opened(f"{proxy.host}/app:1").blob(digest, len(data)) as reader, pytest.raises(AnswerInvalid) as caught:
        read_all(reader)

    assert len(came) <= len(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fault",
    [faults.with_headers(Content_Range="bytes 5-99/100"), faults.with_headers(Content_Range=""), faults.status(416)],
    ids=["another range", "no range", "no such range"],
)
def test_a_registry_that_cannot_give_the_rest_gives_all(
    proxy: FaultProxy, image: Pushed, opened: Opened, fault: Fault
) -> None:
    """Once, and what is known already is skipped; else nobody would ever get the rest of what was cut."""
    digest, data = big(image)
    proxy.fail(BLOBS, fault)

    with opened(f"{proxy.host}/app:1").blob(digest, len(data), offset=10) as reader:
        assert reader.read() == data[10:]

    assert [one.headers.get("range") for one in proxy.requests(BLOBS)] == ["bytes=10-", None]


def test_a_port_that_is_none_is_no_name(opened: Opened) -> None:
    with pytest.raises(InvalidName, match="port is above 65535"):
        opened("127.0.0.1:99999/app:1")


def test_an_endless_blob_ends_where_it_should(proxy: FaultProxy, image: Pushed, opened: Opened) -> None:
    digest, data = big(image)
    proxy.fail(BLOBS, faults.endless)

    with opened(f"{proxy.host}/app:1").blob(digest, len(data)) as reader, pytest.raises(AnswerInvalid, match="more"):
        reader.read()

    assert reader.fetched <= len(data) + 1


def test_wrong_bytes_of_a_config_are_refused(proxy: FaultProxy, image: Pushed, opened: Opened) -> None:
    digest, data = next(iter(image.blobs.items()))
    proxy.fail(BLOBS, faults.flipped(5), times=3)

    with pytest.raises(AnswerInvalid, match="digest mismatch"):
        opened(f"{proxy.host}/app:1").read_blob(digest, len(data))


@pytest.mark.parametrize("reference", ["1", "digest"])
def test_wrong_bytes_of_a_manifest_are_refused(
    proxy: FaultProxy, image: Pushed, opened: Opened, reference: str
) -> None:
    """By digest, and by tag as long as the registry says what it should be."""
    proxy.fail(MANIFESTS, faults.flipped(30))

    with pytest.raises(AnswerInvalid, match="digest mismatch"):
        opened(f"{proxy.host}/app:1").manifest(image.digest if reference == "digest" else reference)


@pytest.mark.parametrize("fault", [faults.cut(50), faults.said_longer(7), faults.hung_up, faults.status(502)])
def test_a_manifest_that_is_cut_is_fetched_again(
    proxy: FaultProxy, image: Pushed, opened: Opened, fault: Fault
) -> None:
    repository = opened(f"{proxy.host}/app:1")
    assert repository.manifest_digest() == image.digest
    proxy.fail(MANIFESTS, fault)

    assert repository.manifest().raw == image.raw


VAST: dict[str, Fault] = {
    "1 GiB, as it says": faults.vast(1 << 30),
    "1 GiB in chunks": faults.vast(1 << 30, said=False),
    "endless": faults.endless,
}


@pytest.mark.parametrize("fault", VAST.values(), ids=VAST.keys())
def test_a_vast_manifest_is_refused_after_four_mebibytes(
    proxy: FaultProxy, image: Pushed, opened: Opened, fault: Fault
) -> None:
    exchanges: list[faults.Exchange] = []

    def counting(exchange: faults.Exchange) -> None:
        exchanges.append(exchange)
        fault(exchange)

    proxy.fail(MANIFESTS, counting)

    with pytest.raises(AnswerInvalid, match="the limit of 4194304"):
        opened(f"{proxy.host}/app:1").manifest()

    assert exchanges[0].given < 32 << 20  # what the kernel's buffers take is beyond what is read


def test_a_busy_registry_is_asked_again_when_it_says(
    proxy: FaultProxy, image: Pushed, opened: Opened, waits: list[float]
) -> None:
    proxy.fail(MANIFESTS, faults.status(429, {"Retry-After": "17"}), faults.status(429))

    assert opened(f"{proxy.host}/app:1").manifest().raw == image.raw
    assert waits == [17, 2]


def test_a_registry_that_wants_an_hour_is_not_waited_for(
    proxy: FaultProxy, image: Pushed, opened: Opened, waits: list[float]
) -> None:
    proxy.fail(MANIFESTS, faults.status(429, {"Retry-After": "3600"}))

    with pytest.raises(RegistryBusy):
        opened(f"{proxy.host}/app:1").manifest()

    assert waits == []


def test_what_is_not_there_is_asked_for_once(proxy: FaultProxy, image: Pushed, opened: Opened) -> None:
    with pytest.raises(NotInRegistry, match="MANIFEST_UNKNOWN") as caught:
        opened(f"{proxy.host}/app:2").manifest()

    assert caught.value.hint == f"see cstore tags {proxy.host}/app"

    assert len(proxy.requests(MANIFESTS)) == 1


def test_one_connection_serves_one_request_after_the_other(proxy: FaultProxy, image: Pushed, opened: Opened) -> None:
    """Also after an answer that nobody reads, and one that says no."""
    repository = opened(f"{proxy.host}/app:1")
    proxy.fail("GET .*/tags", faults.status(503, body=b"x" * 5000))

    assert repository.manifest_digest() == repository.manifest().digest
    for digest, data in image.blobs.items():
        assert repository.has_blob(digest)
        assert repository.read_blob(digest, len(data)) == data
    assert repository.tags() == ["1"]
    assert not repository.has_blob(digest_of(b"nothing"))

    assert proxy.connections == 1


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def source_of(data: bytes, offsets: list[int]) -> Callable[[int], AbstractContextManager[io.BytesIO]]:
    """Opens bytes at an offset, and remembers where."""

    @contextmanager
    def opened_at(offset: int) -> Iterator[io.BytesIO]:
        offsets.append(offset)
        yield io.BytesIO(data[offset:])

    return opened_at


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> bytes:
    """A blob that no registry has."""
    return layer_of({request.node.name: bytes(range(256)) * 2000})


@pytest.mark.parametrize("after", [2, 4096, 300_000])
def test_an_upload_that_is_cut_goes_on_where_the_registry_is(
    proxy: FaultProxy, registry: Registry, opened: Opened, fresh: bytes, after: int
) -> None:
    offsets: list[int] = []
    proxy.fail("PATCH", faults.kept_partly(after))

    sent = opened(f"{proxy.host}/pushed", writing=True).upload(digest_of(fresh), len(fresh), source_of(fresh, offsets))

    assert registry.blob("pushed", digest_of(fresh)) == fresh
    assert (offsets, sent.resumed, proxy.taken) == ([0, after], 1, len(fresh))


def test_an_upload_that_the_registry_has_lost_begins_anew(
    proxy: FaultProxy, registry: Registry, opened: Opened, fresh: bytes
) -> None:
    """As `docker-registry` 2.8 does it when a request is cut in the middle."""
    offsets: list[int] = []
    proxy.fail("PATCH", faults.swallowed(100_000), faults.hung_up)

    opened(f"{proxy.host}/pushed", writing=True).upload(digest_of(fresh), len(fresh), source_of(fresh, offsets))

    assert registry.blob("pushed", digest_of(fresh)) == fresh
    assert offsets[-1] == 0


@pytest.mark.parametrize("request_line", ["HEAD", "POST", "PUT .*blobs", "PUT .*manifests"])
@pytest.mark.parametrize("fault", [faults.status(500), faults.status(429), faults.hung_up], ids=["500", "429", "cut"])
def test_a_push_gets_over(
    proxy: FaultProxy, registry: Registry, opened: Opened, fresh: bytes, request_line: str, fault: Fault
) -> None:
    repository = opened(f"{proxy.host}/pushed:new", writing=True)
    assert not repository.has_blob(digest_of(b"nothing"))
    proxy.fail(request_line, fault)

    repository.upload(digest_of(fresh), len(fresh), source_of(fresh, []))
    digest = repository.put_manifest("new", b'{"schemaVersion": 2, "manifests": []}', MEDIA_TYPE)

    assert registry.blob("pushed", digest_of(fresh)) == fresh
    assert repository.manifest_digest() == digest


MEDIA_TYPE = "application/vnd.oci.image.index.v1+json"


def test_a_registry_that_takes_chunks_gets_them(
    proxy: FaultProxy, registry: Registry, opened: Opened, fresh: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And after a cut in one of them it gets the rest only."""
    monkeypatch.setattr("cstore.registry.uploads._CHUNK", 100_000)
    offsets: list[int] = []
    proxy.fail("POST", faults.with_headers(OCI_Chunk_Min_Length="1000"))
    proxy.fail("PATCH", faults.passed_on, faults.kept_partly(50_000))

    opened(f"{proxy.host}/pushed", writing=True).upload(digest_of(fresh), len(fresh), source_of(fresh, offsets))

    assert registry.blob("pushed", digest_of(fresh)) == fresh
    assert offsets == [0, 100_000, 150_000, 250_000, 350_000, 450_000]
    assert proxy.taken == len(fresh)


def test_a_registry_that_counts_one_too_many_is_believed_no_more_than_the_digest(
    proxy: FaultProxy, registry: Registry, opened: Opened, fresh: bytes
) -> None:
    proxy.fail("PATCH", faults.with_headers(Range=f"0-{len(fresh)}"))

    opened(f"{proxy.host}/pushed", writing=True).upload(digest_of(fresh), len(fresh), source_of(fresh, []))

    assert registry.blob("pushed", digest_of(fresh)) == fresh


def test_a_registry_that_takes_nothing_is_given_up(proxy: FaultProxy, opened: Opened, fresh: bytes) -> None:
    proxy.fail("PATCH", faults.with_headers(Range="0-0"), times=50)

    with pytest.raises(AnswerInvalid, match="accepts no data"):
        opened(f"{proxy.host}/pushed", writing=True).upload(digest_of(fresh), len(fresh), source_of(fresh, []))


def test_a_small_blob_goes_with_two_requests(proxy: FaultProxy, registry: Registry, opened: Opened) -> None:
    """And with as many more as a cut makes necessary."""
    data = b"small"
    upload = opened(f"{proxy.host}/pushed", writing=True).upload
    upload(digest_of(data), len(data), source_of(data, []), missing=True)
    assert [one.method for one in proxy.seen[-2:]] == ["POST", "PUT"]
    proxy.fail("PUT", faults.swallowed(3))

    upload(digest_of(b""), 0, source_of(b"", []), missing=True)
    upload(digest_of(data * 2), len(data * 2), source_of(data * 2, []))

    assert registry.blob("pushed", digest_of(b"")) == b""
    assert registry.blob("pushed", digest_of(data)) == data
    assert registry.blob("pushed", digest_of(data * 2)) == data * 2


def test_an_upload_whose_last_answer_is_lost_is_not_sent_again(
    proxy: FaultProxy, registry: Registry, opened: Opened, fresh: bytes
) -> None:
    def answer_lost(exchange: faults.Exchange) -> None:
        with exchange.upstream() as answer:
            assert answer.status == 201
        exchange.hang_up()

    proxy.fail("PUT", answer_lost)

    opened(f"{proxy.host}/pushed", writing=True).upload(digest_of(fresh), len(fresh), source_of(fresh, []))

    assert registry.blob("pushed", digest_of(fresh)) == fresh
    assert proxy.taken == len(fresh)


def test_a_registry_that_does_not_open_a_blob_again_is_given_up(
    proxy: FaultProxy, image: Pushed, opened: Opened
) -> None:
    """After as many attempts as said, and not as many times as many."""
    digest, data = big(image)
    proxy.fail(BLOBS, faults.cut(100_000))
    proxy.fail(BLOBS, faults.hung_up, times=50)

    with opened(f"{proxy.host}/app:1").blob(digest, len(data)) as reader, pytest.raises(RegistryUnreachable):
        reader.read()

    assert len(proxy.requests(BLOBS)) == 4


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ('{"tags": ["../../etc"]}', "not a valid name"),
        ('{"tags": ["\\u001b[2J"]}', "not a valid name"),
        ('{"tags": "a"}', "not a list"),
        ('{"tags": [1]}', "not a valid name"),
        ("[]", "not a JSON object"),
        ("{", "not a JSON object"),
    ],
)
def test_a_list_of_what_is_no_tag_is_refused(proxy: FaultProxy, opened: Opened, page: str, told: str) -> None:
    proxy.fail("GET .*/tags", faults.status(200, body=page.encode()))

    with pytest.raises(AnswerInvalid, match=told) as caught:
        opened(f"{proxy.host}/app:1").tags()

    assert str(caught.value).isprintable()


def test_lists_come_in_pages(proxy: FaultProxy, opened: Opened) -> None:
    link = '</v2/app/tags/list?n=2&last=b>; rel="next"'
    proxy.fail("GET .*/tags", faults.status(200, {"Link": link}, b'{"tags": ["b", "a"]}'))
    proxy.fail("GET .*/tags", faults.status(200, body=b'{"tags": ["c"]}'))

    assert opened(f"{proxy.host}/app:1").tags() == ["a", "b", "c"]
    assert proxy.requests("GET .*/tags")[-1].path == "/v2/app/tags/list?n=2&last=b"


@pytest.mark.parametrize("link", ["/v2/app/tags/list?n=2", "http://127.0.0.1:1/v2/app/tags/list"])
def test_a_list_without_an_end_or_at_another_host_is_refused(proxy: FaultProxy, opened: Opened, link: str) -> None:
    proxy.fail("GET .*/tags", faults.status(200, {"Link": f'<{link}>; rel="next"'}, b'{"tags": ["a"]}'), times=9)

    with pytest.raises(AnswerInvalid, match=r"the list does not end|another host"):
        opened(f"{proxy.host}/app:1").tags()

    assert len(proxy.requests("GET .*/tags")) <= 2


def test_referrers_are_listed_or_stand_under_a_tag(proxy: FaultProxy, registry: Registry, opened: Opened) -> None:
    raw = b'{"schemaVersion": 2, "manifests": [{"digest": "sha256:1", "artifactType": "a/b"}, {"digest": "sha256:2"}]}'
    digest = digest_of(b"subject")
    repository = opened(f"{proxy.host}/signed")

    assert repository.referrers(digest) == []
    registry.push_manifest("signed", digest.replace(":", "-"), b'{"schemaVersion": 2, "manifests": []}', MEDIA_TYPE)
    assert repository.referrers(digest) == []
    proxy.fail("GET .*/referrers", faults.status(200, body=raw), times=2)
    assert len(repository.referrers(digest)) == 2
    assert [one["digest"] for one in repository.referrers(digest, "a/b")] == ["sha256:1"]


CONFUSED = [
    '{"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}',
    '{"manifests": [], "layers": []}',
    "[1]",
    "nothing",
    '{"mediaType": "\\u001b[2J"}',
]


@pytest.mark.parametrize("body", CONFUSED)
def test_a_manifest_that_contradicts_itself_is_refused(proxy: FaultProxy, opened: Opened, body: str) -> None:
    """Two programs must not take the same bytes for two images."""
    media_type = "application/vnd.oci.image.manifest.v1+json"
    proxy.fail(MANIFESTS, faults.status(200, {"Content-Type": media_type}, body.encode()))

    with pytest.raises(AnswerInvalid) as caught:
        opened(f"{proxy.host}/app:1").manifest()

    assert str(caught.value).isprintable()


@pytest.mark.parametrize("elsewhere", ["http://127.0.0.1:1/upload", "//registry.example/upload", "ftp://x/", "\x1b[2J"])
def test_an_upload_does_not_go_to_another_host(proxy: FaultProxy, opened: Opened, fresh: bytes, elsewhere: str) -> None:
    proxy.fail("POST", faults.status(202, {"Location": elsewhere}))

    with pytest.raises(AnswerInvalid) as caught:
        opened(f"{proxy.host}/pushed", writing=True).upload(digest_of(fresh), len(fresh), source_of(fresh, []))

    assert str(caught.value).isprintable()
    assert proxy.taken == 0


def test_a_relative_location_is_followed(proxy: FaultProxy, registry: Registry, opened: Opened, fresh: bytes) -> None:
    def relative(exchange: faults.Exchange) -> None:
        with exchange.upstream() as answer:
            target = re.sub(r"^http://[^/]*", "", answer.getheader("Location") or "")
            exchange.begin(202, [("Location", target)], 0)

    proxy.fail("POST", relative)

    opened(f"{proxy.host}/pushed", writing=True).upload(digest_of(fresh), len(fresh), source_of(fresh, []))

    assert registry.blob("pushed", digest_of(fresh)) == fresh


def test_a_source_that_is_too_short_is_an_error_and_no_blob(registry: Registry, opened: Opened, fresh: bytes) -> None:
    repository = opened(f"{registry.host}/pushed", writing=True)

    with pytest.raises(Exception, match="the source ended 10 bytes early"):
        repository.upload(digest_of(fresh), len(fresh), source_of(fresh[:-10], []))

    assert not repository.has_blob(digest_of(fresh))


def test_a_source_that_fails_is_no_fault_of_the_line(proxy: FaultProxy, opened: Opened, fresh: bytes) -> None:
    class Broken(io.BytesIO):
        def readinto(self, buffer: object) -> int:
            raise OSError(5, "Input/output error")

    @contextmanager
    def broken(offset: int) -> Iterator[io.BytesIO]:
        yield Broken()

    with pytest.raises(SystemFailure, match=r"cannot read blob sha256:.*: Input/output error"):
        opened(f"{proxy.host}/pushed", writing=True).upload(digest_of(fresh), len(fresh), broken)

    assert len(proxy.requests("PATCH")) <= 1


def test_a_blob_that_the_registry_takes_for_another_is_not_tried_again(
    proxy: FaultProxy, opened: Opened, fresh: bytes
) -> None:
    with pytest.raises(RegistryFailed, match="DIGEST_INVALID"):
        opened(f"{proxy.host}/pushed", writing=True).upload(digest_of(b"another"), len(fresh), source_of(fresh, []))

    assert len(proxy.requests("PUT")) == 1


# ── what nobody may learn, and nobody has to see ──────────────────────────────────────────────────────────────────────


def test_what_a_registry_says_is_shown_without_control_characters(
    proxy: FaultProxy, image: Pushed, opened: Opened
) -> None:
    told = b'{"errors": [{"code": "DENIED", "message": "\\u001b[2Jgone\\r\\n\\u202e and ' + b"x" * 5000 + b'"}]}'
    proxy.fail(MANIFESTS, faults.status(400, body=told))

    with pytest.raises(RegistryError) as caught:
        opened(f"{proxy.host}/app:1").manifest()

    assert "DENIED ?[2Jgone" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_a_stopped_client_does_not_wait(proxy: FaultProxy, image: Pushed, opened: Opened, access: Access) -> None:
    """Other lanes end at once when one has failed."""
    from cstore.registry import Clock

    repository = opened(f"{proxy.host}/app:1", access=access.with_(clock=Clock))
    proxy.fail(MANIFESTS, faults.status(429, {"Retry-After": "100"}))
    repository.endpoints[0].wire.clock.stop()

    with pytest.raises(RegistryUnreachable, match="stopped"):
        repository.manifest()
