"""The library tells of itself, and refuses what is easily got wrong."""

from __future__ import annotations

import gzip
import inspect
import os
import pydoc
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

import cstore
from cstore import (
    Container,
    Image,
    Layer,
    LockPolicy,
    NewContainer,
    NewImage,
    NewLayer,
    Overrides,
    errors,
    load_config,
    open_store,
)
from cstore.check import CheckOptions, check_store
from cstore.check.repair import RepairOptions, repair_store
from cstore.config import user_runtime_directory
from tests.builders import make_tar, regular
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> cstore.Store:
    """A store on vfs."""
    return open_store(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="vfs")


# ── requests and records ──


@pytest.mark.parametrize("kind", [NewLayer, NewImage, NewContainer])
def test_requests_show_their_fields(kind: type[NewLayer | NewImage | NewContainer]) -> None:
    """`inspect.signature` and `help` name each field, with its type and its default."""
    parameters = inspect.signature(kind).parameters

    assert tuple(parameters) == kind.field_names()
    assert parameters["names"].default == ()
    assert parameters["names"].annotation == "tuple[str, ...]"
    assert "names: 'tuple[str, ...]' = ()" in pydoc.plain(pydoc.render_doc(kind))


def test_what_must_be_given_has_no_default() -> None:
    """A record has an ID, which is no matter of choice, and its fields go by name."""
    parameter = inspect.signature(Layer).parameters["id"]

    assert parameter.default is inspect.Parameter.empty
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY


def test_a_signature_costs_nothing_before_it_is_asked_for() -> None:
    """The module that describes signatures is not imported for the sake of a request."""
    probe = "import sys; from cstore import NewLayer; NewLayer(); print('inspect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True, text=True, cwd=ROOT)

    assert done.stdout == "False\n"


@pytest.mark.parametrize("kind", [NewLayer, NewImage, NewContainer])
def test_a_text_is_not_several_names(kind: type[NewLayer | NewImage | NewContainer]) -> None:
    """It would become as many names as it has characters."""
    with pytest.raises(TypeError, match=r"names takes several values, \('app',\)"):
        kind(names="app")  # type: ignore[arg-type]  # the mistake


def test_a_text_is_not_several_names_of_an_item(store: cstore.Store) -> None:
    """Neither when names are set, added or removed; nothing changes."""
    layer = store.layers.create(NewLayer(names=("app",))).id

    for change in (store.set_names, store.add_names, store.remove_names):
        with pytest.raises(TypeError, match=r"(new|old) must be several strings"):
            change(layer, "app")
    assert store.names(layer) == ("app",)


def test_records_are_members_of_sets() -> None:
    """Equal ones are one member, whatever their mappings hold and in which order."""
    flags = {"a": [1], "b": {"c": 2}}
    turned = dict(reversed(flags.items()))

    assert len({Layer(id="x", flags=flags), Layer(id="x", flags=turned), Layer(id="y")}) == 2
    assert len({Image(id="x", data_sizes={"a": 1}), Image(id="x", data_sizes={"a": 1})}) == 1
    assert len({Container(id="x", flags=flags), Container(id="x")}) == 2
    assert len({NewLayer(flags=flags), NewLayer(flags=turned)}) == 1


def test_a_layer_tells_sizes_that_nobody_knows(store: cstore.Store) -> None:
    """An empty archive has a size; a layer made of none has not, nor one that was pulled in part."""
    empty, made = store.layers.put(NewLayer(), b""), store.layers.create(NewLayer())

    assert empty.known_size == empty.diff_size
    assert made.known_size is None
    assert made.known_compressed_size is None
    assert made.with_(diff_size=-1, toc_digest="sha256:" + "0" * 64).known_size is None


def test_records_tell_their_date(store: cstore.Store) -> None:
    """As a moment with a time zone; one that is not recorded is none."""
    created = store.layers.create(NewLayer()).created_at

    assert created is not None
    assert abs((datetime.now(UTC) - created).total_seconds()) < 3600
    assert Layer(id="x").created_at is None
    assert Layer(id="x", created="yesterday").created_at is None


# ── the store ──


def test_a_store_is_opened_by_its_path(tmp_path: Path) -> None:
    """What is said by keyword counts before a configuration."""
    run = str(tmp_path / "run")
    config = load_config(Overrides(graph_root=str(tmp_path / "other"), run_root=run, driver="overlay"))
    store = open_store(config, graph_root=str(tmp_path / "graph"), driver="vfs")

    assert (store.config.graph_root, store.driver_name) == (str(tmp_path / "graph"), "vfs")
    assert store.config.run_root == run


def test_a_relative_path_is_one_of_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And stays so when the program goes elsewhere."""
    monkeypatch.chdir(tmp_path)
    store = open_store(graph_root="graph", run_root="run", driver="vfs")
    monkeypatch.chdir("/")
    store.layers.create(NewLayer())

    assert os.path.isdir(tmp_path / "graph" / "vfs-layers")


def test_a_store_may_be_used_in_a_with(tmp_path: Path) -> None:
    """It is of use inside, and after."""
    with open_store(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="vfs") as store:
        layer = store.layers.create(NewLayer())
    assert store.layers.list() == [layer]


def test_a_store_tells_the_version_of_its_library(store: cstore.Store) -> None:
    """The one that the command prints."""
    assert store.version == cstore.__version__


def test_a_digest_is_locked_for_one_importer_at_a_time(tmp_path: Path) -> None:
    """Others wait, or give up when their lock policy ends; another digest is another lock."""
    graph, run = str(tmp_path / "graph"), str(tmp_path / "run")
    first, second = (
        open_store(graph_root=graph, run_root=run, driver="vfs", lock_policy=LockPolicy(timeout=0)) for _ in range(2)
    )
    one, two = ("sha256:" + digit * 64 for digit in "12")
    with first.digest_lock(one):
        with pytest.raises(errors.LockTimeout), second.digest_lock(one):
            pass
        with second.digest_lock(two):
            pass
    with second.digest_lock(one) as held:
        assert held.path == str(tmp_path / "run" / "vfs-locks" / one)
    with pytest.raises(errors.InvalidDigest):
        first.digest_lock("../one")


def test_layers_are_found_by_the_digest_as_it_came_or_not(store: cstore.Store) -> None:
    """Either, or the one that is asked for."""
    layer = store.layers.put(NewLayer(), gzip.compress(make_tar(regular("file", b"data"))))

    for digest, compressed in ((layer.compressed_digest, True), (layer.diff_digest, False)):
        assert store.layers.by_digest(digest) == [layer]
        assert store.layers.by_digest(digest, compressed=compressed) == [layer]
        assert store.layers.by_digest(digest, compressed=not compressed) == []


def test_a_mount_lasts_as_long_as_its_with(store: cstore.Store) -> None:
    """Whatever ends the block; other mounts of the layer stay."""
    store.layers.create(NewLayer(names=("base",)))
    path = store.mount("base")
    with suppress(ZeroDivisionError), store.mounting("base") as again:
        assert again == path
        raise ZeroDivisionError
    assert store.mounted("base")
    assert store.unmount("base") is False

    with store.mounting("base"):
        store.remove_names("base", ("base",))
    assert not store.mounted(store.layers.list()[0].id)


def test_an_image_is_mounted_as_long_as_its_with(store: cstore.Store) -> None:
    """Though it loses its name meanwhile."""
    layer = store.layers.put(NewLayer(), make_tar(regular("file", b"data"))).id
    store.images.create(NewImage(layer=layer, names=("image",)))
    with store.images.mounting("image") as path:
        assert os.listdir(path) == ["file"]
        store.remove_names("image", ("image",))
        assert store.mount_count(layer) == 1
    assert store.mount_count(layer) == 0


def test_a_user_s_runtime_directory_can_be_asked_for(tmp_path: Path) -> None:
    """By the environment alone."""
    assert user_runtime_directory({"XDG_RUNTIME_DIR": str(tmp_path)}) == str(tmp_path)
    with pytest.raises(errors.ConfigError):
        user_runtime_directory({"XDG_RUNTIME_DIR": str(tmp_path / "nothing")})


def test_a_layer_knows_what_it_builds_on_and_who_needs_it(store: cstore.Store) -> None:
    """Downward the whole chain, upward the next ones only."""
    base = store.layers.create(NewLayer(names=("base",)))
    app = store.layers.create(NewLayer(parent="base"))
    top = store.layers.create(NewLayer(parent=app.id, names=("top",)))
    image = store.images.create(NewImage(layer=app.id))

    assert store.layers.chain("top") == [top, app, base]
    assert [(item.kind, item.id) for item in store.layers.users(app.id)] == [("layer", top.id), ("image", image.id)]
    assert store.layers.users("top") == []


# ── checking and healing ──


@pytest.fixture
def damaged(store: cstore.Store) -> cstore.Store:
    """A store with two layers whose only files were changed behind its back."""
    for name in ("one", "two"):
        store.layers.put(NewLayer(id=name), make_tar(regular("file", b"right")))
        with open(os.path.join(store.config.graph_root, "vfs/dir", name, "file"), "w", encoding="ascii") as file:
            file.write("wrong")
    return store


def test_a_store_checks_and_heals_itself(damaged: cstore.Store, tmp_path: Path) -> None:
    """What was taken out is in quarantine, and comes back from there."""
    source = tmp_path / "layer.tar"
    source.write_bytes(make_tar(regular("file", b"right")))
    assert {finding.subject.id for finding in damaged.check().serious} == {"one", "two"}

    healed = damaged.repair(RepairOptions(sources=(str(source),), workers=1))

    assert healed.healed
    assert damaged.check().serious == ()
    assert [case.id for case in damaged.quarantine.list()] == [healed.case]
    assert damaged.quarantine.get(healed.case[:10]).id == healed.case
    assert damaged.quarantine.undo(healed.case).left == ()
    assert len(damaged.check().serious) == 2


def test_a_repair_of_a_report_leaves_all_else(damaged: cstore.Store, tmp_path: Path) -> None:
    """Also what is damaged as well."""
    source = tmp_path / "layer.tar"
    source.write_bytes(make_tar(regular("file", b"right")))
    report = damaged.check(CheckOptions(layers=("one",)))

    healed = damaged.repair(RepairOptions(sources=(str(source),), workers=1), report)

    assert {step.subject.id for step in healed.done} == {"one"}
    assert {finding.subject.id for finding in healed.left.serious} == {"two"}


def test_the_functions_take_a_store_or_its_context(damaged: cstore.Store) -> None:
    """And what is neither is refused by its name."""
    assert check_store(damaged).findings == check_store(damaged.context).findings
    assert repair_store(damaged, RepairOptions(dry_run=True)).plans
    with pytest.raises(TypeError, match="store must be Store or Context"):
        check_store(damaged.config)  # type: ignore[arg-type]  # the mistake


# ── ordinary users ──


def test_root_need_not_enter_a_user_namespace() -> None:
    """Nothing happens to who can write everything already."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    before = os.readlink("/proc/self/ns/user")

    cstore.enter_user_namespace()

    assert os.readlink("/proc/self/ns/user") == before


# ── errors ──


def test_an_error_says_its_message_also_when_that_was_changed() -> None:
    """`str` is the sentence, and the exception's argument too."""
    error = errors.ParentUnknown("top", "base")

    assert str(error) == error.message == error.args[0]
    assert "top" in str(error)
