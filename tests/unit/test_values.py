"""Values, choices and named tuples are what the libraries that they stand for would make."""

from __future__ import annotations

import copy
import functools
import pickle
import typing

import pytest

from cstore import tuples, values
from cstore.values import Choice, IntChoice, Value


class Place(Value):
    """Somewhere."""

    path: str
    mode: int = 0o755
    names: tuple[str, ...] = ()


class Home(Place):
    """Somewhere to live."""

    owner: str = "root"


class Level(IntChoice):
    """How much."""

    LOW = 1
    HIGH = 2


class Colour(Choice):
    """Which."""

    RED = "red"
    BLUE = "blue"


class Ours(tuples.NamedTuple):
    """A pair."""

    kind: int
    second: str = "x"

    def both(self) -> str:
        """Both as one text."""
        return f"{self.kind}{self.second}"


class Theirs(typing.NamedTuple):
    """A pair."""

    kind: int
    second: str = "x"

    def both(self) -> str:
        """Both as one text."""
        return f"{self.kind}{self.second}"


PAIRS = pytest.mark.parametrize("pair", [Ours, Theirs])


def test_a_kind_of_values_has_the_fields_of_its_base_first_whichever_was_made_first() -> None:
    """What a base is made of may be known before, or be worked out with, what a class above it is made of."""
    Place("/a")

    assert Home.field_names() == ("path", "mode", "names", "owner")
    assert Home("/a", owner="u") == Home("/a", 0o755, (), "u")
    assert Place.field_names() == ("path", "mode", "names")


def test_a_value_says_which_field_is_missing_unknown_or_given_twice() -> None:
    """The sentence names the kind of value and the field."""
    with pytest.raises(TypeError, match="Place takes path, mode, names; needs 'path'"):
        Place()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no 'other'"):
        Place("/a", other=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Place takes path, mode, names; each once"):
        Place("/a", path="/b")  # type: ignore[misc]


def test_a_text_is_not_taken_for_several_things() -> None:
    """A tuple of names is easily forgotten around one name."""
    with pytest.raises(TypeError, match=r"Home: names takes several values, \('a',\), not a string"):
        Home("/a", names="a")  # type: ignore[arg-type]


def test_a_value_does_not_change_and_is_equal_by_its_fields() -> None:
    """It can be a key, be copied with changes, and go through pickle."""
    place = Place("/a")

    with pytest.raises(AttributeError, match="is immutable"):
        place.path = "/b"  # type: ignore[misc]
    assert {place: 1}[Place("/a", 0o755)] == 1
    assert place.with_(mode=0).as_dict() == {"path": "/a", "mode": 0, "names": ()}
    assert pickle.loads(pickle.dumps(place)) == place  # noqa: S301  - our own


@PAIRS
def test_a_named_tuple_is_the_one_of_typing(pair: type[Theirs]) -> None:
    """With defaults, methods, replacement, copies and matching."""
    made = pair(1)

    assert made == (1, "x")
    assert (made.kind, made.second, made.both()) == (1, "x", "1x")
    assert repr(made) == f"{pair.__name__}(kind=1, second='x')"
    assert made._replace(second="y") == pair(1, "y")
    assert made._asdict() == {"kind": 1, "second": "x"}
    assert pair._make([2, "z"]) == (2, "z")
    assert pair._fields == pair.__match_args__ == ("kind", "second")
    assert [copy.deepcopy(made), pickle.loads(pickle.dumps(made))] == [made, made]  # noqa: S301  - our own
    assert type(copy.copy(made)) is pair
    match made:
        case pair(kind, second):
            assert (kind, second) == (1, "x")
    with pytest.raises(AttributeError):
        made.kind = 2  # type: ignore[misc]
    for wrong in ((), (1, 2, 3)):
        with pytest.raises(TypeError, match="__new__"):
            pair(*wrong)


@pytest.mark.parametrize("once", [functools.cached_property, values.cached_property])
def test_a_cached_property_is_worked_out_once_for_each_object(once: type[functools.cached_property[int]]) -> None:
    """It can be given up, and is then worked out again."""
    calls: list[object] = []

    class Counted:
        @once  # type: ignore[untyped-decorator]
        def number(self) -> int:
            """How often it was asked for."""
            calls.append(self)
            return len(calls)

    one, other = Counted(), Counted()

    assert (one.number, one.number, other.number) == (1, 1, 2)
    del one.number
    assert one.number == 3
    assert Counted.number.__doc__ == "How often it was asked for."


def test_choices_are_found_by_value_and_by_name() -> None:
    """They are the only ones of their class, also after pickling."""
    assert Colour("red") is Colour.RED is Colour["RED"]
    assert [each.value for each in Colour] == ["red", "blue"]
    assert Level(2) is Level.HIGH
    assert Level.LOW < Level.HIGH
    assert f"{Level.HIGH}" == "2"
    assert pickle.loads(pickle.dumps(Colour.BLUE)) is Colour.BLUE  # noqa: S301  - our own
    with pytest.raises(ValueError, match="'green' is not a valid Colour"):
        Colour("green")
