"""A damaged record file is named beside the failure that may come of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Runner, StoreRoots


def test_an_unknown_layer_of_a_damaged_store_comes_with_the_damage(run: Runner, store_roots: StoreRoots) -> None:
    """The layer may well be there: its record could not be read."""
    run("create-layer", "--id", "it").ok()
    with open(store_roots.records, "r+b") as records:
        records.truncate(os.fstat(records.fileno()).st_size - 3)

    done = run("diffsize", "it")

    assert done.code == 1
    first, second = done.stderr.splitlines()
    assert "layer not known: 'it'" in first
    assert f"the record file {store_roots.records} is damaged" in second
