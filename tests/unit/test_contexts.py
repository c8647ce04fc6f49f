"""The context managers that stand for those of `contextlib` do what these do."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from cstore import contexts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOTH = pytest.mark.parametrize("module", [contextlib, contexts], ids=["contextlib", "cstore"])


def outcome(enter: Callable[[], Any], error: BaseException | None) -> tuple[object, ...]:
    """What comes of a context that is left with an error, or without one."""
    try:
        with enter() as given:
            if error is not None:
                raise error  # noqa: TRY301  - it is the context that shall see it
    except BaseException as raised:  # noqa: BLE001  - that is what is compared
        return "raised", type(raised), raised is error, type(raised.__cause__)
    return "left", given


def passes(log: list[str]) -> Iterator[int]:
    """Let everything pass."""
    try:
        yield 1
    finally:
        log.append("left")


def swallows(log: list[str]) -> Iterator[int]:
    """End every error."""
    try:
        yield 2
    except BaseException as error:  # noqa: BLE001  - likewise
        log.append(type(error).__name__)


def translates(log: list[str]) -> Iterator[int]:
    """Make another error of it."""
    try:
        yield 3
    except Exception as error:
        log.append("translated")
        raise LookupError from error


def never(log: list[str]) -> Iterator[int]:
    """Yield not at all."""
    yield from [4] if log else []


def twice(log: list[str]) -> Iterator[int]:
    """Yield once too often."""
    with contextlib.suppress(ValueError):
        yield 5
    log.append("again")
    yield 6


GENERATORS = (passes, swallows, translates, never, twice)
ERRORS = (None, ValueError("bad"), StopIteration("end"), KeyboardInterrupt(), RuntimeError("run"), GeneratorExit())


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("generator", GENERATORS, ids=lambda generator: generator.__name__)
def test_generators(generator: Callable[[list[str]], Iterator[int]], error: BaseException | None) -> None:
    """Whatever a generator does with whatever error, both kinds of context do the same with it."""
    told: list[list[str]] = [[], []]

    ours, theirs = (
        outcome(lambda: module.contextmanager(generator)(log), error)  # noqa: B023  - called at once
        for module, log in zip((contexts, contextlib), told, strict=True)
    )

    assert ours == theirs
    assert told[0] == told[1]


@BOTH
def test_a_function_stays_what_it_was(module: Any) -> None:
    """For `help` and for whoever looks at its parameters."""
    made = module.contextmanager(passes)

    assert (made.__name__, made.__doc__) == ("passes", "Let everything pass.")
    assert str(inspect.signature(made)) == "(log: 'list[str]') -> 'Iterator[int]'"


@BOTH
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_suppress(module: Any, error: BaseException | None) -> None:
    """Errors of the classes named end there, and of their subclasses; no others do."""
    expected = ("left", None) if error is None or isinstance(error, ValueError) else ("raised", type(error), True)

    assert outcome(lambda: module.suppress(OSError, ValueError), error)[: len(expected)] == expected


@BOTH
def test_a_stack_leaves_everything(module: Any) -> None:
    """In the opposite order; an error while leaving takes the place of the one before, and one may end it."""
    log: list[str] = []

    def note(word: str, *, fails: bool = False) -> None:
        log.append(word)
        if fails:
            raise LookupError(word)

    with pytest.raises(LookupError, match="second"), module.ExitStack() as stack:  # noqa: PT012  - all of it is needed
        stack.callback(note, "last")
        stack.callback(note, "second", fails=True)
        assert stack.enter_context(module.nullcontext(7)) == 7
        stack.callback(note, "first")
        raise ValueError

    with module.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(LookupError))
        stack.callback(note, "fails", fails=True)

    assert log == ["first", "second", "last", "fails"]
