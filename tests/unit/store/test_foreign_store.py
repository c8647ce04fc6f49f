"""Somebody else's store is neither damaged nor absent: who may not look into it hears that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import SystemFailure
from cstore.store import NewLayer, Store

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = 65534

OPERATIONS: dict[str, Callable[[Store], object]] = {
    "list": lambda store: store.layers.list(),
    "gc": lambda store: store.gc(),
    "wipe": lambda store: store.wipe(),
    "delete": lambda store: store.layers.delete("it"),
    "mount": lambda store: store.mount("it"),
    "create": lambda store: store.layers.create(NewLayer(id="it")),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_ordinary_user_is_told_why(reopen: Callable[[], Store], needs_root: None, name: str) -> None:
    """Before and after, the owner sees the same."""
    del needs_root
    store = reopen()
    for operation in (
        "list",
        "gc",
        "wipe",
        "create",
        "mount",
        "delete",
        "create",
    ):  # loads the modules, which that user may not be able to read
        OPERATIONS[operation](store)
    foreign = reopen()
    os.seteuid(NOBODY)
    try:
        with pytest.raises(SystemFailure, match="Permission denied"):
            OPERATIONS[name](foreign)
    finally:
        os.seteuid(0)
    assert [layer.id for layer in reopen().layers.list()] == ["it"]
