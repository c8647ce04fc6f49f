"""When a command enters a user namespace, and when not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore import config
from cstore.cli.session import Intent, Session
from cstore.config import Identity
from cstore.store import rootless

if TYPE_CHECKING:
    from tests.conftest import StoreRoots

ROOT = Identity(uid=0, gid=0, seen_uid=0, rootless=False, per_user=False)
USER = Identity(uid=1000, gid=1000, seen_uid=1000, rootless=True, per_user=True)
USER_INSIDE = Identity(uid=1000, gid=1000, seen_uid=0, rootless=True, per_user=True)
ROOT_OF_A_CONTAINER = Identity(uid=0, gid=0, seen_uid=0, rootless=True, per_user=False)


@pytest.mark.parametrize(
    ("who", "unshare", "intent", "enters"),
    [
        (ROOT, None, Intent.WRITE, False),
        (ROOT, True, Intent.WRITE, True),
        (ROOT_OF_A_CONTAINER, None, Intent.WRITE, False),
        (USER, None, Intent.WRITE, True),
        (USER, None, Intent.CONTENT, True),
        (USER, None, Intent.RECORDS, False),
        (USER, False, Intent.WRITE, False),
        (USER_INSIDE, None, Intent.WRITE, False),
        (USER_INSIDE, True, Intent.WRITE, False),
    ],
)
def test_who_enters_a_user_namespace(
    monkeypatch: pytest.MonkeyPatch,
    store_roots: StoreRoots,
    who: Identity,
    unshare: bool | None,
    intent: str,
    enters: bool,
) -> None:
    """An ordinary user does, once, to change or read contents; a list of records needs nothing of the kind."""
    entered: list[bool] = []
    monkeypatch.setattr(config, "rootless_identity", lambda: who)
    monkeypatch.setattr(rootless, "enter", lambda: entered.append(True))
    session = Session({"graph": store_roots.graph, "run": store_roots.run, "storage_driver": "vfs", "unshare": unshare})

    session.open(intent)
    assert entered == [True] * enters

    session.open(Intent.WRITE)  # as a later command of a batch
    assert entered == [True] * (enters or (who is USER and unshare is None))
