"""Short links and chains: found, distrusted, mended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.drivers.overlay.lower import DEEPEST, Homes, Place, make_link, mend_links, new_link_name
from cstore.errors import DriverError

if TYPE_CHECKING:
    from pathlib import Path


def make(home: str, layer: str, *ancestors: Place) -> Place:
    """A layer directory with its files and its link."""
    place = Place(home, layer)
    os.makedirs(place.diff)
    name = new_link_name()
    write(os.path.join(place.path, "link"), name)
    if ancestors:
        write(os.path.join(place.path, "lower"), ":".join(f"l/{each.link}" for each in ancestors))
    make_link(place, name)
    return place


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


@pytest.fixture
def home(tmp_path: Path) -> str:
    """A home without layers."""
    path = str(tmp_path / "overlay")
    os.mkdir(path)
    return path


@pytest.fixture
def homes(home: str) -> Homes:
    """That home alone."""
    return Homes(home, "", ())


def test_link_names_are_the_peers() -> None:
    """26 characters of base32, never the same."""
    names = {new_link_name() for _ in range(100)}

    assert len(names) == 100
    assert all(len(name) == 26 and set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for name in names)


def test_ancestors_are_found_nearest_first(home: str, homes: Homes) -> None:
    """The order is that of the `lower` file."""
    base = make(home, "base")
    middle = make(home, "middle", base)
    top = make(home, "top", middle, base)

    assert homes.ancestors(top) == [middle, base]
    assert homes.is_parent(top, "middle")
    assert not homes.is_parent(top, "base")
    assert not homes.is_parent(top, None)
    assert homes.is_parent(base, None)


def test_reserved_names_are_no_layers(home: str, homes: Homes) -> None:
    """Neither listed nor found, and neither is a file or a link."""
    make(home, "base")
    for name in ("staging", "tempdirs"):
        os.mkdir(os.path.join(home, name))
    write(os.path.join(home, "file"), "")
    os.symlink("base", os.path.join(home, "link-to-base"))

    assert homes.layers() == ["base"]
    assert homes.look_up("l") is None
    assert homes.look_up("tempdirs") is None


def test_a_missing_link_is_got_over_and_mended(home: str, homes: Homes) -> None:
    """Readers find the layer by its own file and write nothing; a writer makes the link anew."""
    base = make(home, "base")
    top = make(home, "top", base)
    link = os.path.join(home, "l", base.link)
    os.unlink(link)

    assert homes.ancestors(top) == [base]
    assert not os.path.lexists(link)
    mend_links(homes, top)
    assert os.readlink(link) == "../base/diff"


def test_a_link_that_leads_elsewhere_is_not_followed(home: str, homes: Homes, tmp_path: Path) -> None:
    """Not to another place of the host, and not up from the home."""
    base = make(home, "base")
    top = make(home, "top", base)
    (tmp_path / "secret" / "diff").mkdir(parents=True)
    link = os.path.join(home, "l", base.link)
    for target in (str(tmp_path / "secret" / "diff"), "../../secret/diff", "../../diff", "../l/diff"):
        os.unlink(link)
        os.symlink(target, link)

        assert homes.ancestors(top) == [base], "found by its own file"

    mend_links(homes, top)
    assert os.readlink(link) == "../base/diff"


def test_a_missing_link_file_is_written_again(home: str, homes: Homes) -> None:
    """The name comes from the link that leads to the layer; without one it is new."""
    base = make(home, "base")
    name = base.link
    os.unlink(os.path.join(base.path, "link"))
    mend_links(homes, base)
    assert base.link == name

    os.unlink(os.path.join(base.path, "link"))
    os.unlink(os.path.join(home, "l", name))
    mend_links(homes, base)
    assert base.link not in {"", name}
    assert homes.behind(base.link) == base


@pytest.mark.parametrize("text", ["../../etc", "l/../../etc/passwd", "l/SHORT", "l/ABCDEFGHIJKLMNOPQRSTUVWXYZ:x"])
def test_a_lower_file_of_something_else_is_damage(home: str, homes: Homes, text: str) -> None:
    """The file and the word are named."""
    top = make(home, "top")
    write(os.path.join(top.path, "lower"), text)

    with pytest.raises(DriverError, match="not a short link"):
        homes.ancestors(top)


def test_an_ancestor_that_is_gone_is_named(home: str, homes: Homes) -> None:
    """By the link, which is all that is known of it."""
    top = make(home, "top")
    write(os.path.join(top.path, "lower"), "l/ABCDEFGHIJKLMNOPQRSTUVWXYZ")

    with pytest.raises(DriverError, match="short link ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
        homes.ancestors(top)


def test_too_long_a_chain_is_refused(home: str, homes: Homes) -> None:
    """One more than the kernel takes."""
    base = make(home, "base")
    top = make(home, "top")
    write(os.path.join(top.path, "lower"), ":".join([f"l/{base.link}"] * (DEEPEST + 1)))

    with pytest.raises(DriverError, match="501 ancestors"):
        homes.ancestors(top)


def test_a_layer_is_looked_for_in_additional_stores(home: str, tmp_path: Path) -> None:
    """Its own home comes first, and what is elsewhere is foreign."""
    store = str(tmp_path / "store")
    theirs = make(os.path.join(store, "overlay"), "theirs")
    mine = make(home, "mine", theirs)
    homes = Homes(home, "", [store])

    found = homes.look_up("theirs")
    assert found is not None
    assert found.foreign
    assert homes.layers() == ["mine"]
    assert [each.layer for each in homes.ancestors(mine)] == ["theirs"]
    assert homes.ancestors(mine)[0].foreign
