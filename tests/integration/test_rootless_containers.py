"""An ordinary user's containers: made, filled, copied to and from, and deleted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.users import ordinary_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.users import User


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with sub-IDs."""
    with ordinary_user(ranges=True) as found:
        yield found


def own_layer(shown: str) -> str:
    """The ID of a container's own layer, from what is shown of the container."""
    return next(line[7:] for line in shown.splitlines() if line.startswith("Layer: "))


@pytest.mark.parametrize("driver", ["vfs", "overlay"])
def test_a_container_of_ones_own(user: User, driver: str) -> None:
    """With an ID map inside the user's own, and directories that are the user's."""

    def cstore(*words: str, stdin: bytes = b"") -> str:
        return user.cstore("-s", driver, *words, stdin=stdin).ok().stdout

    graph = os.path.join(user.home, driver)
    place = ["--graph", graph, "--run", os.path.join(user.home, f"run-{driver}")]
    facts = user.cstore("status", "--storage-driver", "overlay", *place)
    if driver == "overlay" and facts.code:
        pytest.skip(f"overlay is not for ordinary users here: {facts.stderr}")
    cstore(*place, "import-layer", "-i", "base", stdin=make_tar(regular("file", b"data", uid=7)))
    cstore(*place, "create-image", "-i", "image", "base")
    cstore(*place, "create-container", "-i", "plain", "image")
    cstore(*place, "create-container", "-i", "mapped", "--uidmap", "0:1:100", "--gidmap", "0:1:100", "image")
    cstore(*place, "set-container-data", "plain", "item", stdin=b"data")

    directory = cstore(*place, "get-container-dir", "plain").strip()
    assert os.stat(directory).st_uid == user.uid
    assert "plain\n\tdata: item\nmapped\n" in cstore(*place, "containers")
    assert "Size: 4\n" in cstore(*place, "container", "plain")
    out = os.path.join(user.home, f"out-{driver}")
    cstore(
        *place, "copy", "--chown", "9", "base:/file", f"{own_layer(cstore(*place, 'container', 'mapped'))}:/new/file"
    )
    cstore(*place, "copy", "--chown", "0", f"{own_layer(cstore(*place, 'container', 'mapped'))}:/new/file", out)
    cstore(*place, "copy", "base:/file", "base:/again")
    with open(out, "rb") as file:
        assert (file.read(), os.fstat(file.fileno()).st_uid) == (b"data", user.uid)
    assert user.cstore("-s", driver, *place, "mounted", "mapped", "base").stdout == ""
    cstore(*place, "delete-container", "mapped", "plain")
    cstore(*place, "delete-image", "image")
    assert cstore(*place, "layers") == ""
