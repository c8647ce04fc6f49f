"""An ordinary user pulls, copies and pushes: in the user's own namespace, with owners as the archive says."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.users import ordinary_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.registries import Pushed, Registry
    from tests.users import User


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with sub-IDs."""
    with ordinary_user(ranges=True) as found:
        yield found
        shutil.rmtree(f"/tmp/storage-run-{found.uid}", ignore_errors=True)


def test_an_ordinary_user_pulls_and_pushes(user: User, registry: Registry, image: Pushed) -> None:
    """Into the store at home, and back to where the image came from, with the same digest."""
    identifier = user.cstore("pull", "--tls-verify=false", f"{registry.host}/app:1").ok().stdout.strip()
    assert os.listdir(os.path.join(user.graph, "cstore-partial")) == []
    assert user.cstore("check").ok().stdout == ""
    pushed = user.cstore("push", "--tls-verify=false", f"{registry.host}/app:1", f"docker://{registry.host}/user:1")
    assert pushed.ok().stdout.strip() == image.digest
    assert user.cstore("copy-image", f"{registry.host}/app:1", f"oci:{user.home}/layout:v").ok().stdout.strip() == (
        identifier
    )
