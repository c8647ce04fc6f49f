"""When each layer was read: what is remembered, where, and what if that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.check.contents import LayerJob
from cstore.check.memory import Memory, place_of_memory
from cstore.config.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path


def job(layer: str) -> LayerJob:
    """A layer to look into."""
    return LayerJob(layer, "sha256:1", 1, "/x", ("/x",), ("/x",))


def test_longest_ago_first(tmp_path: Path) -> None:
    """Layers that were never read come first, those that were not sound keep their turn."""
    path = str(tmp_path / "state" / "memory.json")
    jobs = [job("a"), job("b"), job("c")]
    assert Memory(path).keep(jobs, ["a", "b"], 100.0) == ""
    assert Memory(path).keep(jobs, ["a"], 200.0) == ""

    assert [each.layer for each in Memory(path).order([*jobs, job("new")])] == ["c", "new", "b", "a"]


def test_another_digest_is_another_layer(tmp_path: Path) -> None:
    """What was known of the old contents does not count."""
    path = str(tmp_path / "memory.json")
    Memory(path).keep([job("a"), job("b")], ["a", "b"], 100.0)

    again = [job("b"), job("a").with_(digest="sha256:2")]
    assert [each.layer for each in Memory(path).order(again)] == ["a", "b"]


def test_a_memory_that_is_none(tmp_path: Path) -> None:
    """Garbage is forgotten; a place that cannot be written is said."""
    path = tmp_path / "memory.json"
    path.write_text('{"version":1,"layers":[')
    assert [each.layer for each in Memory(str(path)).order([job("a")])] == ["a"]
    (tmp_path / "file").write_text("")
    assert "from the beginning" in Memory(str(tmp_path / "file" / "below.json")).keep([job("a")], ["a"], 1.0)


def test_the_place() -> None:
    """With the user, one file a store; nowhere without a home."""
    named = Environment(home="/home/u", variables={"XDG_STATE_HOME": "/state"})

    assert place_of_memory(named, "/g", "vfs").startswith("/state/cstore/check-")
    assert place_of_memory(Environment(home="/home/u"), "/g", "vfs").startswith("/home/u/.local/state/cstore/check-")
    assert place_of_memory(named, "/g", "vfs") != place_of_memory(named, "/g", "overlay")
    assert place_of_memory(Environment(), "/g", "vfs") == ""
