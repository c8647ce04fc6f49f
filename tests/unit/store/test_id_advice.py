"""Owners that no map has room for: the error says which path needs which ID, and the line that makes room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.config import subids
from cstore.errors import EntryFailed, IDNotMapped
from cstore.idmap import IDMap, IDRange
from cstore.store import NewLayer
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.store import Store
    from tests.unit.store.conftest import Import

pytestmark = pytest.mark.usefixtures("needs_root")
RANGES = (IDRange(0, 200000, 1000),)
ELSEWHERE = (IDRange(0, 900000, 1000),)
ARCHIVE = make_tar(regular("low", uid=999, gid=999), regular("dir/high", uid=1500, gid=1700))


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two users with ranges, the second of whom is in the middle of the file."""
    found = {}
    for name in ("USER_FILE", "GROUP_FILE"):
        path = tmp_path / name
        path.write_text("# comment\nlast:300000:5000\nmine:200000:1000\n\n")
        monkeypatch.setattr(subids, name, str(path))
        found[name] = str(path)
    return found


def test_the_line_of_both_files_is_told(store: Store, put: Import, files: dict[str, str]) -> None:
    """As many IDs as are missing, behind all that anybody has; and nothing remains."""
    with pytest.raises(EntryFailed, match=r"'dir/high'.*1500:1700") as caught:
        put(ARCHIVE, id_map=IDMap(RANGES, RANGES))

    assert f"the line mine:305000:501 to {files['USER_FILE']}" in caught.value.hint
    assert f"the line mine:305000:701 to {files['GROUP_FILE']}" in caught.value.hint
    assert "requested 1500:1700 for dir/high" in caught.value.go_text
    assert store.layers.list() == []


def test_the_line_makes_room(put: Import, files: dict[str, str]) -> None:
    """With it, the same import succeeds."""
    for name, line in (("USER_FILE", "mine:305000:501"), ("GROUP_FILE", "mine:305000:701")):
        with open(files[name], "a", encoding="ascii") as file:
            file.write(line + "\n")
    granted = subids.sub_id_map("mine", user_file=files["USER_FILE"], group_file=files["GROUP_FILE"])
    assert put(ARCHIVE, id_map=granted).uids == (999, 1500)


def test_only_the_kind_that_is_missing_is_told(put: Import) -> None:
    """A map of users alone says nothing of groups."""
    with pytest.raises(EntryFailed) as caught:
        put(ARCHIVE, id_map=IDMap(uids=RANGES))
    assert "--uidmap" in caught.value.hint
    assert "gid" not in caught.value.hint.lower()


def test_a_map_that_is_nobodys_needs_a_range(put: Import) -> None:
    """No line of any file would change it."""
    with pytest.raises(EntryFailed) as caught:
        put(ARCHIVE, id_map=IDMap(ELSEWHERE, ()))
    assert caught.value.hint == "add a range that covers 1500 to --uidmap"


@pytest.mark.parametrize("names", [["mine"], ["mine/deep"]])
def test_a_child_with_a_map_names_the_file_beneath(
    store: Store, put: Import, apply: Callable[[str, bytes], int], names: list[str]
) -> None:
    """The parent's tree holds it; the layer is not made."""
    base = put(make_tar(*(regular(name, uid=1200) for name in names)))
    with pytest.raises(IDNotMapped, match=f"/{names[0]} needs container UID 1200") as caught:
        store.layers.create(NewLayer(parent=base.id, id_map=IDMap(RANGES, RANGES)))
    assert "mine:305000:201" in caught.value.hint
    assert len(store.layers.list()) == 1


def test_a_diff_that_does_not_fit_changes_nothing(
    store: Store, put: Import, apply: Callable[[str, bytes], int]
) -> None:
    """It is told like an import."""
    layer = put(make_tar(regular("low")), id_map=IDMap(RANGES, RANGES))
    with pytest.raises(EntryFailed) as caught:
        apply(layer.id, ARCHIVE)
    assert "mine:305000:501" in caught.value.hint
    assert store.layers.get(layer.id) == layer
