"""Root looks at the store of an ordinary user, in which root is that user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.check.repair import RepairOptions, repair_store
from cstore.errors import Unsupported
from tests.builders import paths_below
from tests.damage.specimen import BASE, look

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.damage.specimen import Specimen

USER = 54321


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_owners_are_those_of_the_users_namespace(fresh: Callable[[str], Specimen], driver: str) -> None:
    """What belongs to the user there is root's in the layer, and no damage; what belongs to root is."""
    store = fresh(driver)
    for path in [os.fsencode(store.graph), *paths_below(os.fsencode(store.graph))]:
        os.lchown(path, USER, USER)
    sound = store.check()

    os.chown(store.tree(BASE, "etc", "hosts"), 0, 0)
    found = store.check().findings

    assert [finding for finding in sound.findings if finding.severity.name in {"DATA", "RECORDS"}] == []
    assert [finding.evidence["differs"] for finding in found if finding.kind == "file-attributes"] == [
        {"uid": [USER, 0], "gid": [USER, 0]}
    ]


def test_root_leaves_its_repair_to_the_user(fresh: Callable[[str], Specimen]) -> None:
    """What root would make there, the user could not use; planning does no harm."""
    store = fresh("overlay")
    for path in [os.fsencode(store.graph), *paths_below(os.fsencode(store.graph))]:
        os.lchown(path, USER, USER)
    before = look(store.graph)

    repair_store(store.open().context, RepairOptions(dry_run=True))
    with pytest.raises(Unsupported, match="belongs to UID 54321"):
        repair_store(store.open().context, RepairOptions())
    assert look(store.graph) == before
