"""Docker's image store: configs by digest, partial IDs, parents and children, histories."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cstore.docker import ImageStore
from cstore.docker.facts import BUILT_LOCALLY, LAST_UPDATED, PARENT
from cstore.docker.partial_id import resolve
from cstore.errors import (
    AmbiguousImageID,
    ChainUnknown,
    ImageDamaged,
    ImageInvalid,
    ImageUnknown,
    InvalidName,
    NameTaken,
    ParentImageUnknown,
    WrongSystem,
)
from cstore.oci.chain import EMPTY_DIFF_ID
from cstore.oci.child import Child
from cstore.oci.media_types import made_up_manifest
from cstore.store.image_creation import NewImage
from tests.unit.docker.conftest import ONE, THREE, TWO

if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.docker import LayerStore
    from cstore.docker.layer import ReadOnlyLayer
    from cstore.store import Store
    from tests.unit.docker.conftest import Register

NOWHERE = "sha256:" + "0" * 64


def config(*layers: ReadOnlyLayer, **fields: object) -> bytes:
    """An image JSON over some layers."""
    rootfs = {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}
    return json.dumps({"os": "linux", "rootfs": rootfs, **fields}).encode()


@pytest.fixture
def images(store: Store, layers: LayerStore) -> ImageStore:
    """Docker's image store over the test's store."""
    return ImageStore(store, layers)


def test_an_image_has_what_others_need_of_it(images: ImageStore, chain: list[ReadOnlyLayer], store: Store) -> None:
    """Config and manifest under the names that skopeo and Podman look for, and nothing else."""
    raw = config(*chain, created="2026-11-20T19:42:46.631307049Z")
    identifier = images.create(raw)
    record = store.images.get(identifier.removeprefix("sha256:"))
    manifest = made_up_manifest(
        raw, [(layer.diff_id, size) for layer, size in zip(chain, map(len, (ONE, TWO, THREE)), strict=True)]
    )

    assert images.create(raw) == identifier, "again is no error"
    assert images.get(identifier).raw == raw
    assert (record.layer, record.created, record.metadata) == (chain[2].layer, "2026-11-20T19:42:46.631307049Z", "{}")
    assert record.data_names == (identifier, f"manifest-{record.digest}", "manifest")
    assert store.images.get_data(record.id, "manifest") == manifest
    assert len(images) == 1
    assert list(images.map()) == [identifier]


def test_an_image_keeps_its_layers_until_it_is_deleted(
    images: ImageStore, layers: LayerStore, chain: list[ReadOnlyLayer], store: Store
) -> None:
    """Then all of them are told, uppermost first."""
    identifier = images.create(config(*chain))
    for layer in reversed(chain):
        assert layers.release(layer) == []
    freed = images.delete(identifier)

    assert [(one.chain_id, one.size) for one in freed] == [
        (chain[2].chain_id, 19),
        (chain[1].chain_id, 13),
        (chain[0].chain_id, 6),
    ]
    assert store.layers.list() == []
    with pytest.raises(ImageUnknown) as unknown:
        images.delete(identifier)
    assert unknown.value.go_text == f"unrecognized image ID {identifier}"


def test_references_outlive_an_image(
    images: ImageStore, layers: LayerStore, chain: list[ReadOnlyLayer], store: Store
) -> None:
    """What somebody holds stays, with all below it."""
    identifier = images.create(config(*chain))
    layers.release(chain[2])

    assert [one.chain_id for one in images.delete(identifier)] == [chain[2].chain_id]
    assert store.images.list() == []
    assert len(store.layers.list()) == 2


def test_what_cannot_be_an_image_is_refused(images: ImageStore, chain: list[ReadOnlyLayer], store: Store) -> None:
    """Before anything is written."""
    other = json.dumps({"rootfs": {"diff_ids": [NOWHERE]}}).encode()
    for raw, kind, words in (
        (b"{}", ImageInvalid, "invalid image JSON, no RootFS key"),
        (config(chain[0], history=[{}, {}]), ImageInvalid, "too many non-empty layers in History section"),
        (other, ChainUnknown, f"failed to get layer {NOWHERE}: layer does not exist"),
        (config(chain[0], os="windows"), WrongSystem, "operating system is not supported"),
    ):
        with pytest.raises(kind) as refused:
            images.create(raw)
        assert refused.value.go_text == words
    assert store.images.list() == []


def test_an_image_without_layers_is_for_any_system(images: ImageStore) -> None:
    """It has nothing that could not be run; it frees nothing."""
    identifier = images.create(config(os="windows"))

    assert images.get(identifier).platform.os == "windows"
    assert images.delete(identifier) == []


def test_a_changed_config_is_found(images: ImageStore, store: Store) -> None:
    """And the image is left out of what lists images."""
    raw = config()
    identifier = images.create(raw)
    store.images.set_data(identifier[7:], identifier, raw.replace(b"linux", b"macos"))

    with pytest.raises(ImageDamaged) as damaged:
        images.get(identifier)
    assert damaged.value.go_text == f"failed to verify: {identifier}"
    assert images.map() == {}


IDS = ["182473fa" + "0" * 56, "182473fb" + "0" * 56, "99" + "a" * 62]


@pytest.mark.parametrize(
    ("term", "found"),
    [("182473fa", 0), ("sha256:99", 2), ("9", 2), (IDS[1], 1), (f"sha256:{IDS[1]}", 1)],
)
def test_the_beginning_of_an_id_will_do(term: str, found: int) -> None:
    """With the algorithm or without, from one digit on."""
    assert resolve(term, IDS) == IDS[found]


@pytest.mark.parametrize(
    "term", ["", "sha256:", "sha256", "SHA256:99", "sha512:99", "foo:99", "99A", IDS[2] + "0", "7"]
)
def test_what_no_id_begins_with_is_unknown(term: str) -> None:
    """Nothing at all is not everything."""
    with pytest.raises(ImageUnknown) as unknown:
        resolve(term, IDS)
    assert unknown.value.go_text == f"No such image: {term}"


def test_several_ids_are_told() -> None:
    """Docker hides it; whoever typed too little wants to know."""
    with pytest.raises(AmbiguousImageID) as ambiguous:
        resolve("182", IDS)
    assert ambiguous.value.go_text == "ambiguous digest string"
    assert ambiguous.value.images == tuple(IDS[:2])


def test_search_is_among_the_images_of_the_store(images: ImageStore) -> None:
    """An ID comes back in full."""
    identifier = images.create(config())

    assert images.search(identifier[7:10]) == images.search(identifier[:12]) == identifier


def test_parents_and_children(images: ImageStore) -> None:
    """A second parent takes the place of the first; a child outlives its parent and has none then."""
    first, second, child = (images.create(config(comment=word)) for word in ("first", "second", "child"))
    with pytest.raises(ParentImageUnknown):
        images.parent(child)
    images.set_parent(child, first)
    assert (images.children(first), images.children(second)) == ([child], [])
    images.set_parent(child, second)

    assert (images.children(first), images.children(second), images.parent(child)) == ([], [child], second)
    assert set(images.heads()) == {first, child}
    images.delete(second)
    with pytest.raises(ParentImageUnknown) as none:
        images.parent(child)
    assert none.value.go_text == "failed to read metadata"
    images.create(config(comment="second"))
    assert images.children(second) == [], "not even when the parent comes back"


def test_unknown_images_have_no_facts(images: ImageStore) -> None:
    """Asking is no error, telling is."""
    child = images.create(config())
    assert (images.children(NOWHERE), images.last_updated(NOWHERE), images.built_locally(NOWHERE)) == ([], "", False)
    refusals: list[Callable[[], object]] = [
        lambda: images.set_parent(NOWHERE, child),
        lambda: images.set_parent(child, NOWHERE),
        lambda: images.set_last_updated(NOWHERE),
        lambda: images.set_built_locally(NOWHERE),
    ]
    for refused in refusals:
        with pytest.raises(ImageUnknown):
            refused()


def test_facts_are_absent_until_they_are_set(images: ImageStore, store: Store) -> None:
    """And lie beside what other programs look at."""
    identifier = images.create(config())
    record = store.images.get(identifier[7:])
    assert (images.last_updated(identifier), images.built_locally(identifier)) == ("", False)
    images.set_last_updated(identifier)
    images.set_built_locally(identifier)
    images.set_parent(identifier, identifier)
    changed = store.images.get(identifier[7:])

    assert images.last_updated(identifier).startswith("2")
    assert images.built_locally(identifier)
    assert changed.data_names == (*record.data_names, LAST_UPDATED, BUILT_LOCALLY, PARENT)
    assert changed.digest == record.digest


def test_a_child_image(images: ImageStore, chain: list[ReadOnlyLayer]) -> None:
    """One layer and one item of history more; its platform is its parent's."""
    parent = images.get(
        images.create(config(chain[0], architecture="arm64", variant="v8", history=[{"created_by": "first"}]))
    )
    made = images.new_child(
        parent,
        Child(
            diff_id=chain[1].diff_id,
            author="me",
            comment="more",
            container="c0ffee",
            container_config={"Cmd": ["sh", "-c", "x > y"], "Env": ["A=b"]},
            config={"Cmd": ["sh"], "Healthcheck": {"Test": ["NONE"]}},
        ),
    )
    document = json.loads(made.raw)

    assert made.rootfs.diff_ids == (chain[0].diff_id, chain[1].diff_id)
    assert [item.created_by for item in made.history] == ["first", "sh -c x > y"]
    assert made.history[1].as_dict() | {"created": ""} == {
        "created": "",
        "created_by": "sh -c x > y",
        "author": "me",
        "comment": "more",
        "empty_layer": False,
    }
    assert made.created == made.history[1].created
    assert (made.platform.architecture, made.platform.variant, made.platform.os) == ("arm64", "v8", "linux")
    assert list(document) == sorted(document)
    assert "comment" not in document
    assert "parent" not in document
    assert document["container"] == "c0ffee"
    assert list(document["config"])[:4] == ["Hostname", "Domainname", "User", "AttachStdin"]
    assert document["config"]["Healthcheck"] == {"Test": ["NONE"]}
    assert "Healthcheck" not in document["container_config"]
    assert b"x \\u003e y" in made.raw
    assert images.create(made.raw) == made.digest


def test_a_child_that_changes_nothing_has_no_layer_more(images: ImageStore, chain: list[ReadOnlyLayer]) -> None:
    """Only its history tells of it."""
    parent = images.get(images.create(config(chain[0])))
    made = images.new_child(parent, Child(diff_id=EMPTY_DIFF_ID))

    assert made.rootfs.diff_ids == parent.rootfs.diff_ids
    assert made.history[-1].empty_layer
    made.check_history()


def test_history_is_newest_first(images: ImageStore, chain: list[ReadOnlyLayer], store: Store) -> None:
    """Sizes are those of the layers; an ID is known as far as parents are."""
    steps = [{"created_by": "one"}, {"created_by": "env", "empty_layer": True}, {"created_by": "two"}]
    parent = images.create(config(chain[0], history=steps[:1]))
    child = images.create(config(*chain[:2], history=steps))
    images.set_parent(child, parent)
    store.set_names(child[7:], ["docker.io/library/child:latest"])

    assert [(step.image, step.created_by, step.size, step.names) for step in images.history(child)] == [
        (child, "two", 7, ("docker.io/library/child:latest",)),
        (parent, "env", 0, ()),
        ("", "one", 6, ()),
    ]


def test_images_without_a_config_are_not_dockers_matter(images: ImageStore, store: Store) -> None:
    """They stay what they are."""
    store.images.create(NewImage(id="ab" * 32))

    assert (len(images), images.heads(), images.map()) == (0, [], {})
    with pytest.raises(ImageUnknown):
        images.search("abab")


def test_nothing_of_an_image_is_left(images: ImageStore, register: Register, store: Store, driver: str) -> None:
    """Neither data nor records."""
    layer = register(ONE)
    identifier = images.create(config(layer))
    images.set_built_locally(identifier)
    images.delete(identifier)

    assert identifier[7:] not in os.listdir(os.path.join(store.config.graph_root, f"{driver}-images"))


def test_a_name_is_taken_from_another_image_only_if_that_is_meant(images: ImageStore, store: Store) -> None:
    """It is completed, and the image remembers when."""
    first, second = images.create(config()), images.create(config(comment="second"))

    assert images.tag(first, "app") == "docker.io/library/app:latest"
    assert images.last_updated(first)
    with pytest.raises(NameTaken) as taken:
        images.tag(second, "app", force=False)
    told = f"tag docker.io/library/app:latest is already set to image {first}, use the force option to replace it"
    assert taken.value.go_text == told
    assert images.last_updated(second) == ""
    images.tag(second, "app")
    images.tag(second, "app", force=False)

    assert [image.names for image in store.images.list()] == [(), ("docker.io/library/app:latest",)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"app@{NOWHERE}", "refusing to create a tag with a digest reference"),
        ("sha256:1", "refusing to create an ambiguous tag using digest algorithm as name"),
        ("UPPER", "invalid reference format: repository name (library/UPPER) must be lowercase"),
    ],
)
def test_what_is_no_tag_is_refused(images: ImageStore, name: str, words: str) -> None:
    """Nobody shall take it for an ID."""
    image = images.create(config())
    with pytest.raises(InvalidName) as refused:
        images.tag(image, name)
    assert refused.value.go_text == words


def test_an_image_without_a_config_is_told_apart_from_none(images: ImageStore, store: Store) -> None:
    """It stands in the list of images, so the error says why it is none of Docker's."""
    plain = store.images.create(NewImage(names=("plain",)))

    with pytest.raises(ImageUnknown) as caught:
        images.history(plain.id)

    assert "no config" in caught.value.hint
